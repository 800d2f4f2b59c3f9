//! The rounds: everyone in turn, so that whatever slows the machine for a while slows all of them.

use std::time::Duration;

use harness::{
    BenchError,
    sample::{Counters, Sample, per},
    usage::{Account, ended_children_us},
};
use indicatif::ProgressBar;
use sqlx::PgPool;

use crate::{
    contender::{Contender, Phase, Pressure},
    stage::Stage,
    tpcb::TpcB,
};

/// The rate at which latencies are compared, in calls a second.
pub const RATE_PER_S: u32 = 1_000;
/// The rounds of the numbers in flight beside that of record.
const SIDE_ROUNDS: usize = 3;

/// How long everything takes.
#[derive(Clone, Debug)]
pub struct Pace {
    /// How often each phase is measured.
    pub rounds: usize,
    /// How long it is measured.
    pub lasts: Duration,
    /// How long it runs before that; TPC-B, which counts in seconds, for one.
    pub warm_up: Duration,
    /// Numbers of calls in flight: the one of record first.
    pub in_flight: Vec<usize>,
}

/// Everything that was measured, in the order in which it was.
pub type Samples = Vec<(Phase, Sample)>;

impl Pace {
    /// The phases of every round, and those of the first few.
    fn phases(&self, stage: &Stage) -> Vec<(Vec<Phase>, usize)> {
        let at = |pressure, contenders: &[Contender]| -> Vec<Phase> {
            contenders.iter().map(|&contender| Phase { contender, pressure }).collect()
        };
        let everyone: Vec<Contender> = Contender::ALL
            .into_iter()
            .filter(|contender| *contender != Contender::TpcB || stage.tpcb.is_some())
            .collect();
        let mut of_record = Vec::new();
        let mut beside = Vec::new();
        for (place, &calls) in self.in_flight.iter().enumerate() {
            let pressure = Pressure::InFlight(calls);
            if place == 0 {
                of_record.extend(at(pressure, &everyone));
            } else {
                beside.extend(at(pressure, &[Contender::Rialto, Contender::EchoChain, Contender::Naive]));
            }
        }
        let rate = Pressure::PerSecond(RATE_PER_S);
        of_record.extend(at(rate, &[Contender::Rialto, Contender::EchoChain]));
        vec![(of_record, self.rounds), (beside, self.rounds.min(SIDE_ROUNDS))]
    }
}

/// Measures every round.
///
/// # Errors
/// When the bench itself fails.
pub async fn run(stage: &mut Stage, pace: &Pace, bar: &ProgressBar) -> Result<Samples, BenchError> {
    let parts = pace.phases(stage);
    bar.set_length(u64::try_from(parts.iter().map(|(phases, rounds)| phases.len() * rounds).sum::<usize>())?);
    let mut samples = Samples::new();
    for (mut phases, rounds) in parts {
        for _ in 0..rounds {
            for phase in &phases {
                bar.set_message(phase.to_string());
                let sample =
                    measure(stage, *phase, pace).await.map_err(|error| format!("{phase}: {error}"))?;
                samples.push((*phase, sample));
                bar.inc(1);
            }
            // Whoever came first has to come last: nobody always runs in another's wake.
            if !phases.is_empty() {
                phases.rotate_left(1);
            }
        }
    }
    Ok(samples)
}

async fn measure(stage: &mut Stage, phase: Phase, pace: &Pace) -> Result<Sample, BenchError> {
    let accounts = stage.accounts(phase.contender);
    match (stage.load(phase.contender).cloned(), stage.tpcb.clone()) {
        (Some(load), _) => {
            let call = async |lasts| match phase.pressure {
                Pressure::InFlight(calls) => load.closed(calls, lasts).await,
                Pressure::PerSecond(calls) => load.open_loop(f64::from(calls), lasts).await,
            };
            call(pace.warm_up).await;
            let own = Account { name: "load", pid: std::process::id(), with_children: false };
            let accounts: Vec<Account> = std::iter::once(own).chain(accounts).collect();
            let sample = Sample::of(call(pace.lasts), &accounts, &stage.ledger).await?;
            let wal_bytes = sample.wal_bytes.filter(|_| phase.contender.writes());
            Ok(Sample { wal_bytes, ..sample })
        }
        (None, Some(tpcb)) => {
            tpcb.run(pace.warm_up).await?;
            measure_tpcb(&tpcb, &accounts, &stage.ledger, pace.lasts).await
        }
        (None, None) => Err("there is no pgbench".into()),
    }
}

async fn measure_tpcb(
    tpcb: &TpcB,
    accounts: &[Account],
    database: &PgPool,
    lasts: Duration,
) -> Result<Sample, BenchError> {
    let before = Counters::read(accounts, database).await?;
    let clients_before_us = ended_children_us()?;
    let run = tpcb.run(lasts).await?;
    let clients_us = ended_children_us()? - clients_before_us;
    let after = Counters::read(accounts, database).await?;
    let mut cpu_us = vec![("load", per(clients_us, run.transactions))];
    cpu_us.extend(after.cpu_us_since(&before, accounts, run.transactions));
    let wal_bytes = Some(after.wal_bytes_since(&before, run.transactions));
    let strangers_percent = after.strangers_percent_since(&before, clients_us);
    Ok(Sample { per_s: run.tps, cpu_us, wal_bytes, strangers_percent, ..Sample::default() })
}
