//! What is measured while a load lasts: what callers felt, and what it cost.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "measures of time and counts, no money"
)]

use std::{thread, time::Instant};

use sqlx::PgPool;

use crate::{
    BenchError,
    load::Measured,
    usage::{Account, machine_us},
};

/// What was measured in one phase.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Payments, calls or transactions that succeeded, a second.
    pub per_s: f64,
    /// Latency in milliseconds: p50 and p99; none of clients that are not ours.
    pub latency_ms: Option<(f64, f64)>,
    /// What came of calls that did not succeed, for people; empty if there is none.
    pub others: String,
    /// CPU time per success, in microseconds, by process, in the order of the accounts.
    pub cpu_us: Vec<(&'static str, f64)>,
    /// Bytes written to PostgreSQL's log per success; none of who does not write.
    pub wal_bytes: Option<f64>,
    /// Whole pages among them per success: the first change of a page after a checkpoint takes all of it along.
    pub wal_full_pages: Option<f64>,
    /// What programs that are not measured took of the machine's CPU time meanwhile, in percent.
    pub strangers_percent: f64,
    /// Memory in use afterwards, in MiB, by process.
    pub memory_mib: Vec<(&'static str, f64)>,
}

impl Sample {
    /// Measures a load while it lasts, and what it costs these processes and this PostgreSQL.
    ///
    /// # Errors
    /// When nothing succeeds, or a process is gone.
    pub async fn of(
        load: impl Future<Output = Measured>,
        accounts: &[Account],
        database: &PgPool,
    ) -> Result<Self, BenchError> {
        let before = Counters::read(accounts, database).await?;
        let measured = load.await;
        let after = Counters::read(accounts, database).await?;
        if measured.good == 0 {
            return Err(format!("nothing succeeded; what came instead: {}", measured.others()).into());
        }
        let memory_mib = accounts.iter().map(|account| Ok((account.name, mib(account.memory_kib()?))));
        Ok(Self {
            per_s: measured.goodput_per_s(),
            latency_ms: Some((measured.latency_ms(50.0), measured.latency_ms(99.0))),
            others: if measured.good == measured.due { String::new() } else { measured.others() },
            cpu_us: after.cpu_us_since(&before, accounts, measured.good),
            wal_bytes: Some(after.wal_bytes_since(&before, measured.good)),
            wal_full_pages: Some(per_of(after.wal_full_pages - before.wal_full_pages, measured.good)),
            strangers_percent: after.strangers_percent_since(&before, 0),
            memory_mib: memory_mib.collect::<Result<_, BenchError>>()?,
        })
    }
}

/// What the kernel and PostgreSQL count, at a moment.
#[derive(Clone, Debug)]
pub struct Counters {
    /// In the order of the accounts.
    cpu_us: Vec<u64>,
    wal_bytes: i64,
    wal_full_pages: i64,
    machine_us: u64,
    at: Instant,
}

impl Counters {
    /// Reads them.
    ///
    /// # Errors
    /// When a process is gone, or PostgreSQL does not answer.
    pub async fn read(accounts: &[Account], database: &PgPool) -> Result<Self, BenchError> {
        let written = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, wal_fpi FROM pg_stat_wal";
        let (wal_bytes, wal_full_pages) = sqlx::query_as(written).fetch_one(database).await?;
        let cpu_us = accounts.iter().map(Account::cpu_us).collect::<Result<_, _>>()?;
        Ok(Self { cpu_us, wal_bytes, wal_full_pages, machine_us: machine_us()?, at: Instant::now() })
    }

    /// In the order of the accounts.
    fn used_us(&self, before: &Self) -> impl Iterator<Item = u64> {
        self.cpu_us.iter().zip(&before.cpu_us).map(|(after, before)| after.saturating_sub(*before))
    }

    /// CPU time per success, in microseconds, by process.
    pub fn cpu_us_since(
        &self,
        before: &Self,
        accounts: &[Account],
        successes: u64,
    ) -> Vec<(&'static str, f64)> {
        let used = self.used_us(before);
        accounts.iter().zip(used).map(|(account, us)| (account.name, per(us, successes))).collect()
    }

    /// What was spent on others than the accounts, `also_ours_us` not counted, in percent of what all cores could have spent.
    pub fn strangers_percent_since(&self, before: &Self, also_ours_us: u64) -> f64 {
        let ours: u64 = self.used_us(before).sum();
        let strangers_us = self.machine_us.saturating_sub(before.machine_us + ours + also_ours_us);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let all_us = (self.at - before.at).as_micros() as f64 * cores as f64;
        strangers_us as f64 * 100.0 / all_us.max(1.0)
    }

    /// Bytes written to PostgreSQL's log per success.
    pub fn wal_bytes_since(&self, before: &Self, successes: u64) -> f64 {
        per_of(self.wal_bytes - before.wal_bytes, successes)
    }
}

/// So many for each success.
pub fn per(count: u64, successes: u64) -> f64 {
    count as f64 / successes.max(1) as f64
}

fn per_of(count: i64, successes: u64) -> f64 {
    per(u64::try_from(count).unwrap_or_default(), successes)
}

/// KiB in MiB.
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1_024.0
}
