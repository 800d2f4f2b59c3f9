//! More than one of everything: what callers feel when one goes, hangs, or others come.

use std::time::Duration;

use harness::{
    BenchError,
    figure::Figure,
    system::{Replica, Service},
};
use tokio::time::sleep;

use crate::{
    report::{Felt, Report},
    say,
    stage::{KINDS, PLACES, Stage, begin, end},
};

/// How many of each there are.
const COUNT: usize = 2;
/// How long after the beginning something happens.
const AFTER: Duration = Duration::from_secs(1);
/// How long what died stays dead.
const DEAD: Duration = Duration::from_secs(1);
/// How soon new processes must have their share.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);

/// How to try more than one of everything.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Payments a second.
    #[arg(long, default_value_t = 200.0, value_name = "N")]
    rate: f64,
    /// How long callers are listened to around each event: at least 6 s.
    #[arg(long, default_value_t = 8, value_name = "S", value_parser = clap::value_parser!(u64).range(6..))]
    seconds: u64,
    /// How often each event is tried.
    #[arg(long, default_value_t = 1, value_name = "N")]
    rounds: usize,
    /// Only events that have this in their name: `kill`, `end`, `stop` or `scale`, or with a service's name, e.g. `kill platform`.
    #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    only: String,
    /// By how much p99 may grow while something happens.
    #[arg(long, default_value_t = 2.0, value_name = "RATIO")]
    max_p99_ratio: f64,
    /// Do not judge latency, which says little on a machine that does other things too.
    #[arg(long)]
    any_latency: bool,
}

/// What happens to one of two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// `kill -9`; it is started again.
    Kill,
    /// SIGTERM; it is started again.
    End,
    /// SIGSTOP, and SIGCONT three seconds later.
    Stop,
}

impl Event {
    const ALL: [Self; 3] = [Self::Kill, Self::End, Self::Stop];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::End => "end",
            Self::Stop => "stop",
        }
    }
}

/// Tries everything that the arguments ask for.
///
/// # Errors
/// When something can't be tried.
pub async fn run(args: &Args) -> Result<Report, BenchError> {
    let mut stage = Stage::set(COUNT, args.rate, |_| ()).await?;
    let lasts = Duration::from_secs(args.seconds);
    let mut felt = Vec::new();
    for _ in 0..args.rounds {
        let quiet = stage.felt("nothing", lasts, async |_, _| Ok(())).await?;
        let mut before = vec![quiet.p99_ms];
        felt.push(quiet);
        for event in Event::ALL {
            for service in KINDS {
                let name = format!("{} {}", event.name(), service.name());
                if !name.contains(&args.only) {
                    continue;
                }
                say(&format!("{name} …"));
                let mut during = happens(&mut stage, event, service, name, lasts).await?;
                during.p99_ratio =
                    Figure::of(before.iter().copied()).map(|before| during.p99_ms / before.median);
                felt.push(during);
                let after = stage.felt("nothing", lasts / 2, async |_, _| Ok(())).await?;
                before.push(after.p99_ms);
            }
        }
        for service in KINDS {
            let name = format!("scale {}", service.name());
            if name.contains(&args.only) {
                say(&format!("{name} …"));
                felt.extend(scale(&mut stage, service, lasts).await?);
            }
        }
    }
    let (payments, wrong) = stage.close().await?;
    let max_p99_ratio = (!args.any_latency).then_some(args.max_p99_ratio);
    Ok(Report { felt, payments, wrong, max_p99_ratio, max_unevenness_percent: 10.0 })
}

async fn happens(
    stage: &mut Stage,
    event: Event,
    service: Service,
    name: String,
    lasts: Duration,
) -> Result<Felt, BenchError> {
    let replica = Replica { service, number: 1 };
    stage
        .felt(name, lasts, async |system, gateways| {
            sleep(AFTER).await;
            match event {
                Event::Kill => {
                    system.process(replica).signal("KILL")?;
                    sleep(DEAD).await;
                    begin(system, gateways, replica).await
                }
                Event::End => {
                    end(system, gateways, replica).await?;
                    sleep(DEAD).await;
                    begin(system, gateways, replica).await
                }
                Event::Stop => {
                    system.process(replica).signal("STOP")?;
                    sleep(Duration::from_secs(3)).await;
                    system.process(replica).signal("CONT")
                }
            }
        })
        .await
}

/// From two to one, to three, and back to two.
async fn scale(stage: &mut Stage, service: Service, lasts: Duration) -> Result<[Felt; 3], BenchError> {
    let others = (1..PLACES).map(|number| Replica { service, number });
    let name = service.name();
    let to_one = stage.felt(format!("{name} 2 → 1"), lasts, async |system, gateways| {
        sleep(AFTER).await;
        end(system, gateways, Replica { service, number: 1 }).await
    });
    let to_one = to_one.await?;
    let to_three = stage.felt(format!("{name} 1 → 3"), lasts, async |system, gateways| {
        sleep(AFTER).await;
        for replica in others.clone() {
            begin(system, gateways, replica).await?;
        }
        Ok(())
    });
    let mut to_three = to_three.await?;
    sleep(SETTLES_WITHIN).await;
    let before = stage.work(service, PLACES).await?;
    let spread = stage.felt("", lasts, async |_, _| Ok(())).await?;
    let after = stage.work(service, PLACES).await?;
    let done: Vec<f64> =
        after.iter().map(|(number, done)| done - before.get(number).unwrap_or(&0.0)).collect();
    let share = done.iter().sum::<f64>() / PLACES as f64;
    let off = done.iter().map(|done| (done - share).abs() / share * 100.0).fold(0.0, f64::max);
    to_three.unevenness_percent = Some(off);
    (to_three.due, to_three.failed) = (to_three.due + spread.due, to_three.failed + spread.failed);
    let to_two = stage.felt(format!("{name} 3 → 2"), lasts, async |system, gateways| {
        sleep(AFTER).await;
        end(system, gateways, Replica { service, number: PLACES - 1 }).await
    });
    Ok([to_one, to_three, to_two.await?])
}
