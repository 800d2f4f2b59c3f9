//! The program `chaos`: torments the whole system, and shows that no payment is lost, doubled, stuck or wrong.

mod bench;
mod cells;
mod check;
#[cfg(test)]
mod code;
mod cycle;
mod journal;
mod load;
mod net;
mod plan;
mod planted;
mod power_loss;
mod report;
mod restarts;
mod run;
mod strike;
mod watcher;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use harness::BenchError;

/// Torments Rialto: real processes, killed, stopped, cut off from each other and from PostgreSQL, and banks that misbehave,
/// while callers pay, repeat and hang up. Afterwards every payment is judged by the callers' journal, the banks' own books and
/// the ledger's raw rows.
///
/// Ends with 0 only if nothing was violated.
#[derive(Parser, Debug)]
#[command(name = "cargo chaos --", bin_name = "cargo chaos --")]
pub struct Args {
    /// How many cycles to run: a few seconds of load with faults in it, then quiescence and judgement.
    #[arg(long, default_value_t = 20, value_name = "N")]
    cycles: u64,
    /// The number from which everything is drawn; without one, a new one.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// The first cycle to run, to see a later one of a seed again.
    #[arg(long, default_value_t = 0, value_name = "CYCLE")]
    from: u64,
    /// Only faults whose step or name contains this; of the planted bugs the one of this name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Test the bench itself: plant each known bug, and see whether it is found. Ends with 0 only if all are.
    #[arg(long, conflicts_with = "power_loss")]
    planted: bool,
    /// Cut the power of PostgreSQL's disk once in each of N cycles, instead of all other faults. Skipped where the machine does
    /// not allow it.
    #[arg(long, value_name = "N")]
    power_loss: Option<u64>,
    /// Kill each service and PostgreSQL alone N times, and measure how soon all is well again. Ends with 0 only if that is as soon
    /// as promised.
    #[arg(long, value_name = "N", conflicts_with_all = ["planted", "power_loss"])]
    restarts: Option<u64>,
    /// Write the result for programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the run's folder even if nothing was violated.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Whoever is interrupted still stops what was started.
    let ended = tokio::select! {
        ended = run::run(&args) => ended,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "what a person reads")]
fn complain(error: &BenchError) {
    eprintln!("chaos: {error}");
}
