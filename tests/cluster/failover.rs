//! The failover of PostgreSQL: RPO and RTO, in each way that a primary can go.

mod fault;
mod journal;

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use harness::{
    BenchError,
    client::insist,
    postgres::own_folder,
    system::{Setup, System},
    work,
};
use platform::trial_balance::TrialBalance;
use serde::Serialize;

use fault::Fault;
use journal::{Callers, Journal};

/// Measures a failover of PostgreSQL: a primary, a synchronous standby, callers who pay at a fixed rate, and a primary that goes. Each round is a
/// system of its own. Both servers are on this machine, at ports of their own; to cut the link takes root and iptables, and is left out without.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How the primary goes; without any, in every way.
    #[arg(value_enum)]
    faults: Vec<Fault>,
    /// Rounds of each.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Payments a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Seconds from when the primary goes to when the standby is promoted.
    #[arg(long, default_value_t = 2)]
    promote_after_s: u64,
}

/// How long payments are made before the primary goes, and after the standby was promoted.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(15);

/// How soon payments must go on.
const SOON_S: f64 = 15.0;

/// What was measured in a round.
#[derive(Debug, Serialize)]
struct Round {
    fault: String,
    /// Payments that were acknowledged as succeeded or failed.
    acknowledged: usize,
    /// Of those, how many the new primary does not have, or has otherwise.
    lost: usize,
    /// From when the primary went to the first payment that succeeded and was begun after it.
    rto_s: Option<f64>,
    p99_before_ms: f64,
    /// Of payments that were due within ten seconds of the primary's going.
    p99_around_ms: f64,
    p99_after_ms: f64,
    /// Steps of payments that the old primary got after it came back; none where it can't be asked.
    written_to_old: i64,
    /// What the trial balance, and the banks' own books, disagree on.
    differences: Vec<String>,
}

impl Round {
    fn is_good(&self) -> bool {
        self.lost == 0
            && self.written_to_old == 0
            && self.differences.is_empty()
            && self.rto_s.is_some_and(|s| s <= SOON_S)
    }
}

/// Measures, tells, and says whether all is as promised.
///
/// # Errors
/// When a system does not come up, or does not come to rest.
pub async fn run(args: &Args, json: Option<&Path>) -> Result<bool, BenchError> {
    let faults = if args.faults.is_empty() { Fault::ALL.to_vec() } else { args.faults.clone() };
    let mut rounds = Vec::new();
    for fault in faults {
        if let Err(why) = fault.can_be_done() {
            writeln!(io::stdout(), "{fault}: left out: {why}")?;
            continue;
        }
        for _ in 0..args.rounds {
            rounds.push(round(fault, args).await?);
            writeln!(io::stdout(), "{}", table(&rounds[rounds.len() - 1..]))?;
        }
    }
    writeln!(io::stdout(), "\n{}", table(&rounds))?;
    crate::write(json, &rounds)?;
    Ok(!rounds.is_empty() && rounds.iter().all(Round::is_good))
}

async fn round(fault: Fault, args: &Args) -> Result<Round, BenchError> {
    let setup = Setup { is_replicated: true, ..Setup::new(own_folder("cluster-failover")?) };
    let mut system = System::start(setup).await?;
    let client = system.client(0)?;
    let payer = insist(|| client.open_account("payer", "Ada Buyer", "EUR", "")).await?.id;
    insist(|| client.deposit("money", &payer, 1_000_000_000, "EUR", "aurora")).await?;

    let callers = Callers::begin(&client, &payer, args.rate);
    tokio::time::sleep(BEFORE).await;
    let went = Instant::now();
    let gone = fault.strike(&mut system)?;
    tokio::time::sleep(Duration::from_secs(args.promote_after_s)).await;
    system.fail_over().await?;
    tokio::time::sleep(AFTER / 2).await;
    fault.end(gone, &mut system).await?;
    let at_old = fault::steps(system.other_postgres()?).await?;
    tokio::time::sleep(AFTER / 2).await;
    let journal = callers.end().await;

    work::none_left(&system.database(), Duration::from_secs(90)).await?;
    let written_to_old = fault::steps(system.other_postgres()?).await? - at_old;
    let mut differences = system.compare_with_banks().await?;
    differences.extend(TrialBalance::take(&system.database()).await?.differences);
    judge(fault, &journal, went, &system, written_to_old, differences).await
}

async fn judge(
    fault: Fault,
    journal: &Journal,
    went: Instant,
    system: &System,
    written_to_old: i64,
    differences: Vec<String>,
) -> Result<Round, BenchError> {
    let around = [went - Duration::from_secs(1), went + Duration::from_secs(10)];
    Ok(Round {
        fault: fault.to_string(),
        acknowledged: journal.acknowledged(),
        lost: journal.lost(&system.database()).await?,
        rto_s: journal.first_success_after(went).map(|at| (at - went).as_secs_f64()),
        p99_before_ms: journal.p99_ms(|due| due < around[0]),
        p99_around_ms: journal.p99_ms(|due| due >= around[0] && due < around[1]),
        p99_after_ms: journal.p99_ms(|due| due >= around[1]),
        written_to_old,
        differences,
    })
}

fn table(rounds: &[Round]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "The primary",
        "Acknowledged",
        "RPO: lost of them",
        "RTO, s",
        "p99 before, ms",
        "around",
        "after",
        "Written to the old one",
        "Differences",
    ]);
    for round in rounds {
        table.add_row([
            round.fault.clone(),
            round.acknowledged.to_string(),
            round.lost.to_string(),
            round.rto_s.map_or_else(|| "never".to_owned(), |s| format!("{s:.1}")),
            format!("{:.0}", round.p99_before_ms),
            format!("{:.0}", round.p99_around_ms),
            format!("{:.0}", round.p99_after_ms),
            round.written_to_old.to_string(),
            round.differences.len().to_string(),
        ]);
    }
    table
}
