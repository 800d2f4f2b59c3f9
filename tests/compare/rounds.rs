//! The rounds: everyone in turn, so that whatever slows the machine for a while slows all of them.

use std::{
    thread,
    time::{Duration, Instant},
};

use harness::{BenchError, load::Measured};
use indicatif::ProgressBar;
use sqlx::PgPool;

use crate::{
    contender::{Contender, Phase, Pressure},
    stage::Stage,
    tpcb::TpcB,
    usage::{Account, ended_children_us, machine_us},
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

/// What was measured in one phase.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Payments, calls or transactions that succeeded, a second.
    pub per_s: f64,
    /// Latency in milliseconds: p50 and p99; none of TPC-B, whose clients are not ours.
    pub latency_ms: Option<(f64, f64)>,
    /// What came of calls that did not succeed, for people; empty if there is none.
    pub others: String,
    /// CPU time per success, in microseconds, by process; whoever makes the load is the first.
    pub cpu_us: Vec<(&'static str, f64)>,
    /// Bytes written to PostgreSQL's log per success; none of who does not write.
    pub wal_bytes: Option<f64>,
    /// What programs that are not measured took of the machine's CPU time meanwhile, in percent.
    pub strangers_percent: f64,
    /// Memory in use afterwards, in MiB, by process.
    pub memory_mib: Vec<(&'static str, f64)>,
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
            let before = Counters::read(&accounts, &stage.ledger).await?;
            let measured = call(pace.lasts).await;
            let after = Counters::read(&accounts, &stage.ledger).await?;
            sample(phase, &measured, &accounts, &before, &after)
        }
        (None, Some(tpcb)) => {
            tpcb.run(pace.warm_up).await?;
            measure_tpcb(&tpcb, &accounts, &stage.ledger, pace.lasts).await
        }
        (None, None) => Err("there is no pgbench".into()),
    }
}

fn sample(
    phase: Phase,
    measured: &Measured,
    accounts: &[Account],
    before: &Counters,
    after: &Counters,
) -> Result<Sample, BenchError> {
    if measured.good == 0 {
        return Err(format!("nothing succeeded; what came instead: {}", measured.others()).into());
    }
    let memory_mib = accounts.iter().map(|account| Ok((account.name, mib(account.memory_kib()?))));
    Ok(Sample {
        per_s: measured.goodput_per_s(),
        latency_ms: Some((measured.latency_ms(50.0), measured.latency_ms(99.0))),
        others: if measured.good == measured.due { String::new() } else { measured.others() },
        cpu_us: after.cpu_us_since(before, accounts, measured.good),
        wal_bytes: phase.contender.writes().then(|| after.wal_bytes_since(before, measured.good)),
        strangers_percent: after.strangers_percent_since(before, 0),
        memory_mib: memory_mib.collect::<Result<_, BenchError>>()?,
    })
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

/// What the kernel and PostgreSQL count, at a moment.
struct Counters {
    /// In the order of the accounts.
    cpu_us: Vec<u64>,
    wal_bytes: i64,
    machine_us: u64,
    at: Instant,
}

impl Counters {
    async fn read(accounts: &[Account], database: &PgPool) -> Result<Self, BenchError> {
        let wal_bytes = sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
            .fetch_one(database)
            .await?;
        let cpu_us = accounts.iter().map(Account::cpu_us).collect::<Result<_, _>>()?;
        Ok(Self { cpu_us, wal_bytes, machine_us: machine_us()?, at: Instant::now() })
    }

    /// In the order of the accounts.
    fn used_us(&self, before: &Self) -> impl Iterator<Item = u64> {
        self.cpu_us.iter().zip(&before.cpu_us).map(|(after, before)| after.saturating_sub(*before))
    }

    fn cpu_us_since(&self, before: &Self, accounts: &[Account], successes: u64) -> Vec<(&'static str, f64)> {
        let used =
            self.cpu_us.iter().zip(&before.cpu_us).map(|(after, before)| after.saturating_sub(*before));
        accounts.iter().zip(used).map(|(account, us)| (account.name, per(us, successes))).collect()
    }

    /// What was spent on others than the accounts, `also_ours_us` not counted, in percent of what all cores could have spent.
    fn strangers_percent_since(&self, before: &Self, also_ours_us: u64) -> f64 {
        let ours: u64 = self.used_us(before).sum();
        let strangers_us = self.machine_us.saturating_sub(before.machine_us + ours + also_ours_us);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let all_us = (self.at - before.at).as_micros() as f64 * cores as f64;
        strangers_us as f64 * 100.0 / all_us.max(1.0)
    }

    fn wal_bytes_since(&self, before: &Self, successes: u64) -> f64 {
        per(u64::try_from(self.wal_bytes - before.wal_bytes).unwrap_or_default(), successes)
    }
}

fn per(count: u64, successes: u64) -> f64 {
    count as f64 / successes.max(1) as f64
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1_024.0
}
