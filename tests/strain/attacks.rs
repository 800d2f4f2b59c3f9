//! Somebody attacks the gateway: whoever pays there meanwhile must hardly feel it, and the gateway must not grow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::tls;
use harness::{
    BenchError,
    client::Client,
    load::{Load, Measured, Plan},
    system::Service,
};
use proto::participants::CreateParticipantRequest;
use tokio::{
    runtime::{Builder, Runtime},
    task::{AbortHandle, JoinHandle},
};

use crate::{
    assault::{Attacker, attacks},
    beside::{Beside, for_people},
    cores::Cores,
    figure::{Bound, Figure, median},
    say,
    stage::Stage,
};

/// Payments a second of those who behave, together.
const PER_S: f64 = 150.0;
/// How many participants they are.
const OTHERS: usize = 4;
/// Calls a second that a participant may make: more than each of those who behave, and no more than the machine carries if all do it. What
/// it does not carry would be felt by others, whoever made it.
const QUOTA_PER_S: f64 = 50.0;
/// How many times its quota a noisy participant tries to make.
const NOISE: f64 = 100.0;
const NOISY: &str = "a noisy participant";
const LASTS: Duration = Duration::from_secs(8);
/// The same beside a noisy participant, longer, since its p99 is compared with that beside it at its quota, which is not far from it.
const LASTS_NOISY: Duration = Duration::from_secs(20);
/// How long an attack is under way before it is looked at what others feel.
const UNDER_WAY: Duration = Duration::from_secs(3);
/// How long the gateway has to get rid of what an attacker left.
const REST: Duration = Duration::from_secs(3);
/// How often it is looked how much memory the gateway has.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much more it may have: what callers at one address may take, all of it, in MiB.
const FLAT_MIB: f64 = 128.0;

/// What was measured in one round of one attack: the others' payments, before and during, and how much the gateway grew.
struct Round {
    others: Beside,
    grown_mib: f64,
}

/// What was measured in one round of a noisy participant: against nothing, and against what it may make, which is load like any other.
struct NoisyRound {
    attack: Round,
    beside_quota: Beside,
}

/// Measures so many rounds of each attack whose name contains `only`.
///
/// # Errors
/// When the bench itself fails, or the books do not add up afterwards.
pub async fn run(cores: &Cores, only: &str, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let strangers = Strangers::gather(*cores)?;
    // Few accounts: to open them counts as well.
    let plan = Plan { payers: 4, payees: 8, ..Plan::default() };
    let mut stage = Stage::set("attacks", plan.clone(), |setup| {
        let flags = [format!("--max-calls-per-s={QUOTA_PER_S}"), "--max-calls-per-address=2048".to_owned()];
        setup.flags.extend(flags.map(|flag| (Service::Gateway, flag)));
    })
    .await?;
    let gateway = stage.system.address(Service::Gateway).parse()?;
    let attacker = Attacker::new(gateway, tls::public_client(stage.system.certificates().ca())?.current());
    stage.load = others(&stage, &plan).await?;
    let (address, keys) = (stage.system.gateway()?, stage.system.operators(1).map(str::to_owned));
    let open = async move { Load::open(&address, keys.each_ref().map(String::as_str), plan).await };
    let noisy = strangers.spawn(open).await??;
    stage.load.open_loop(PER_S, LASTS).await;
    let mut figures = Vec::new();
    for attack in attacks().into_iter().filter(|attack| attack.name.contains(only)) {
        let name = attack.name;
        let begin = || strangers.spawn((attack.begin)(attacker.clone()));
        figures.extend(measure(&mut stage, name, attack.strength, rounds, begin).await?);
    }
    if NOISY.contains(only) {
        figures.extend(measure_noise(&mut stage, &strangers, &noisy, rounds).await?);
    }
    stage.close().await?;
    Ok(figures)
}

/// Those who behave.
async fn others(stage: &Stage, plan: &Plan) -> Result<Load, BenchError> {
    let gateway = stage.system.gateway()?;
    let house = Client::new(&gateway, stage.system.house_operator())?;
    let mut others = vec![stage.load.clone()];
    for number in 2..=OTHERS {
        let participant = format!("shop-{number}");
        let message = CreateParticipantRequest { participant: participant.clone() };
        house.participants.clone().create_participant(house.request(message, None)).await?;
        let all: &[&str] = &["payer-app", "merchant", "operator"];
        let key = house.create_api_key(&format!("{participant}-1"), &participant, all).await?.key;
        let second =
            house.create_api_key(&format!("{participant}-2"), &participant, &["operator"]).await?.key;
        others.push(Load::open(&gateway, [&key, &second], plan.clone()).await?);
    }
    Ok(Load::of_several(&others))
}

async fn measure_noise(
    stage: &mut Stage,
    strangers: &Strangers,
    noisy: &Load,
    rounds: usize,
) -> Result<Vec<Figure>, BenchError> {
    let answered = Arc::new(AtomicU64::new(0));
    let calls = |per_s: f64| {
        let (noisy, answered) = (noisy.clone(), Arc::clone(&answered));
        strangers.spawn(async move {
            // A little less, so that all answers are there when it is told how many there were.
            let lasts = UNDER_WAY + LASTS_NOISY - Duration::from_millis(500);
            let measured = noisy.open_loop(per_s, lasts).await;
            let calls = measured.states.values().chain(measured.errors.values()).sum::<u64>();
            answered.store(calls / lasts.as_secs().max(1), Ordering::Relaxed);
        })
    };
    let mut measured = Vec::new();
    for number in 1..=rounds {
        let without = stage.load.open_loop(PER_S, LASTS_NOISY).await;
        let (at_quota, _) = during(stage, calls(QUOTA_PER_S), LASTS_NOISY).await?;
        let (beyond, grown_mib) = during(stage, calls(NOISE * QUOTA_PER_S), LASTS_NOISY).await?;
        let round = NoisyRound {
            attack: Round { others: Beside { without, during: beyond.clone() }, grown_mib },
            beside_quota: Beside { without: at_quota, during: beyond },
        };
        say(&format!(
            "{NOISY}, round {number} of {rounds}: {}\n  at its quota {}; the gateway grew by {} MiB, and answered it {} times a second",
            round.attack.others.for_people(),
            for_people(&round.beside_quota.without),
            grown_mib,
            answered.load(Ordering::Relaxed),
        ));
        measured.push(round);
    }
    let of = |figure: fn(&NoisyRound) -> f64| median(measured.iter().map(figure));
    let at_quota = Figure::judged(
        format!("{NOISY}: p99 of the others ÷ with it at its quota"),
        of(|round| round.beside_quota.p99_ratio()),
        Bound::AtMost(1.5),
    )
    .remarked(format!(
        "{:.1} ms with it at its quota",
        of(|round| round.beside_quota.without.latency_ms(99.0))
    ));
    let attacks: Vec<Round> = measured.into_iter().map(|round| round.attack).collect();
    Ok(figures(NOISY, "100 times its quota", &attacks).into_iter().chain([at_quota]).collect())
}

async fn measure(
    stage: &mut Stage,
    name: &str,
    strength: &str,
    rounds: usize,
    begin: impl Fn() -> JoinHandle<()>,
) -> Result<[Figure; 3], BenchError> {
    let mut measured = Vec::new();
    for number in 1..=rounds {
        let round = round(stage, &begin).await?;
        say(&format!(
            "{name}, round {number} of {rounds}: {}; the gateway grew by {} MiB",
            round.others.for_people(),
            round.grown_mib
        ));
        measured.push(round);
    }
    Ok(figures(name, strength, &measured))
}

fn figures(name: &str, strength: &str, measured: &[Round]) -> [Figure; 3] {
    let of = |figure: fn(&Round) -> f64| median(measured.iter().map(figure));
    [
        Figure::judged(
            format!("{name}: goodput of the others, %"),
            of(|round| round.others.goodput_percent()),
            Bound::AtLeast(99.0),
        )
        .remarked(strength),
        Figure::judged(
            format!("{name}: p99 of the others ÷ without"),
            of(|round| round.others.p99_ratio()),
            Bound::AtMost(1.5),
        )
        .remarked(format!("{:.1} ms without", of(|round| round.others.without.latency_ms(99.0)))),
        Figure::judged(
            format!("{name}: how much the gateway grew, MiB"),
            of(|round| round.grown_mib),
            Bound::AtMost(FLAT_MIB),
        ),
    ]
}

async fn round(stage: &mut Stage, begin: impl Fn() -> JoinHandle<()>) -> Result<Round, BenchError> {
    let without = stage.load.open_loop(PER_S, LASTS).await;
    let (during, grown_mib) = during(stage, begin(), LASTS).await?;
    Ok(Round { others: Beside { without, during }, grown_mib })
}

/// What the others felt during an attack that has just begun and ends with this, and by how many MiB the gateway grew.
async fn during(
    stage: &mut Stage,
    attack: JoinHandle<()>,
    lasts: Duration,
) -> Result<(Measured, f64), BenchError> {
    let had_mib = stage.memory_mib(Service::Gateway)?;
    let attack = Stopped(attack.abort_handle());
    let mut most_mib = had_mib;
    let load = stage.load.clone();
    let during = async {
        tokio::time::sleep(UNDER_WAY).await;
        load.open_loop(PER_S, lasts).await
    };
    tokio::pin!(during);
    let during = loop {
        tokio::select! {
            measured = &mut during => break measured,
            () = tokio::time::sleep(LOOK_EVERY) => most_mib = most_mib.max(stage.memory_mib(Service::Gateway)?),
        }
    };
    drop(attack);
    tokio::time::sleep(REST).await;
    Ok((during, (most_mib - had_mib) as f64))
}

/// Where attackers run.
struct Strangers(Option<Runtime>);

impl Strangers {
    fn gather(cores: Cores) -> Result<Self, BenchError> {
        let threads = Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(move || cores.become_stranger())
            .enable_all()
            .build()?;
        Ok(Self(Some(threads)))
    }

    fn spawn<F: Future<Output: Send> + Send + 'static>(&self, work: F) -> JoinHandle<F::Output> {
        match &self.0 {
            Some(threads) => threads.spawn(work),
            None => tokio::spawn(work),
        }
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        // Dropped as it is, it would wait for its threads, which no task may.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// An attack that ends when this is dropped.
struct Stopped(AbortHandle);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.abort();
    }
}
