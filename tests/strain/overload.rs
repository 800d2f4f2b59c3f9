//! More payments than platform and ledger can carry: goodput stays, those accepted are not much slower, refusals are cheap, and all is
//! normal again soon after.

use std::time::{Duration, Instant};

use harness::{
    BenchError,
    load::{Load, Measured},
    system::Service,
};

use crate::{
    cores::Cores,
    figure::{Bound, Figure, median},
    say,
    stage::{Stage, plan},
};

/// How many at once show what the system can carry.
const IN_FLIGHT: [usize; 3] = [64, 128, 256];
const PEAK_LASTS: Duration = Duration::from_secs(6);
const LOAD_LASTS: Duration = Duration::from_secs(10);
/// How long after the burst all must be normal again.
const NORMAL_AFTER: Duration = Duration::from_secs(10);
const LOOK_LASTS: Duration = Duration::from_secs(5);
const HIGH: f64 = 0.8;
const TOO_MUCH: f64 = 3.0;

/// What was measured in one round.
struct Round {
    peak_per_s: f64,
    high: Measured,
    burst: Measured,
    /// How busy the generator's core was during the burst: one that is full delays calls before anybody else sees them.
    generator_percent: f64,
    after: Measured,
}

/// Measures so many rounds. The ledger is on a disk that takes ten milliseconds more for a commit, and few payments go with
/// one: it gives out long before the cores, of which a machine that makes the load itself has none to spare. Where the load's core is
/// full, calls wait there, before the system sees them, and the figures are the machine's.
///
/// # Errors
/// When the bench itself fails, or the books do not add up afterwards.
pub async fn run(cores: &Cores, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let mut stage = Stage::set("overload", plan(), |setup| {
        setup.database_settings.extend(["commit_delay=10000", "commit_siblings=0"].map(str::to_owned));
        setup.flags.push((Service::Platform, "--max-batch=32".to_owned()));
    })
    .await?;
    // Refusals cost gateways, of which there are as many as it takes; here they share a core with the load.
    for service in [Service::Gateway, Service::Channel, Service::Bank] {
        cores.move_to_generator(stage.system.process(service).pid())?;
    }
    stage.load.closed(128, PEAK_LASTS).await;
    let mut measured = Vec::new();
    for number in 1..=rounds {
        let round = round(&stage.load, cores).await?;
        say(&format!("overload, round {number} of {rounds}: {}", round.for_people()));
        measured.push(round);
    }
    stage.close().await?;
    let of = |figure: fn(&Round) -> f64| median(measured.iter().map(figure));
    let figure = |what: &str, value: f64, bound| Figure::judged(format!("overload: {what}"), value, bound);
    Ok(vec![
        figure("peak goodput with a slow disk, payments/s", of(|round| round.peak_per_s), Bound::Told),
        figure("goodput at 3 times that, % of it", of(Round::goodput_percent), Bound::AtLeast(95.0))
            .remarked(format!("the load's core was {:.0} % busy", of(|round| round.generator_percent))),
        figure("p99 of the accepted ÷ p99 at 80 %", of(Round::p99_ratio), Bound::AtMost(2.0))
            .remarked(format!("{:.0} ms at 80 %", of(|round| round.high.latency_ms(99.0)))),
        figure("p99 ten seconds after ÷ p99 at 80 %", of(Round::p99_after_ratio), Bound::AtMost(1.5)),
        figure(
            "payments that succeed ten seconds after, %",
            of(|round| round.after.success_percent()),
            Bound::AtLeast(100.0),
        ),
    ])
}

async fn round(load: &Load, cores: &Cores) -> Result<Round, BenchError> {
    let mut peak_per_s = 0.0_f64;
    for in_flight in IN_FLIGHT {
        peak_per_s = peak_per_s.max(load.closed(in_flight, PEAK_LASTS).await.goodput_per_s());
    }
    let at = |factor: f64, lasts| load.open_loop(peak_per_s * factor, lasts);
    let high = at(HIGH, LOAD_LASTS).await;
    let (began, busy_us) = (Instant::now(), cores.generator_us()?);
    let burst = at(TOO_MUCH, LOAD_LASTS).await;
    let busy = Duration::from_micros(cores.generator_us()?.saturating_sub(busy_us));
    let generator_percent = 100.0 * busy.as_secs_f64() / began.elapsed().as_secs_f64();
    at(HIGH, NORMAL_AFTER).await;
    let after = at(HIGH, LOOK_LASTS).await;
    Ok(Round { peak_per_s, high, burst, generator_percent, after })
}

impl Round {
    fn goodput_percent(&self) -> f64 {
        self.burst.goodput_per_s() * 100.0 / self.peak_per_s.max(1.0)
    }

    fn p99_ratio(&self) -> f64 {
        self.burst.latency_ms(99.0) / self.high.latency_ms(99.0).max(0.001)
    }

    fn p99_after_ratio(&self) -> f64 {
        self.after.latency_ms(99.0) / self.high.latency_ms(99.0).max(0.001)
    }

    fn for_people(&self) -> String {
        let one = |measured: &Measured| {
            format!(
                "{:.0}/s, p50 {:.0} ms, p99 {:.0} ms, others {}",
                measured.goodput_per_s(),
                measured.latency_ms(50.0),
                measured.latency_ms(99.0),
                measured.others()
            )
        };
        format!(
            "peak {:.0}/s\n  at 80 %: {}\n  at 300 %: {}, the load's core {:.0} % busy\n  10 s after: {}",
            self.peak_per_s,
            one(&self.high),
            one(&self.burst),
            self.generator_percent,
            one(&self.after)
        )
    }
}
