//! The program `strain`: takes the whole system to its limits, and shows that it bends and does not break.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "measures of time and counts, no money"
)]

mod assault;
mod attacks;
mod backlog;
mod beside;
mod cores;
mod figure;
mod isolation;
mod overload;
mod stage;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use harness::BenchError;
use tokio::runtime::Builder;

use cores::Cores;
use figure::{Figure, table};

/// Strains Rialto: real processes, a real PostgreSQL and simulated banks under more load, or with sicker banks, than they can
/// carry, and judges what callers feel.
///
/// The load is made on a core of its own where the machine has two, so that it does not take the system's time. Latency counts
/// from when a call was due, not from when it could be made. Ends with 0 only if every figure is within its bound.
#[derive(Parser, Debug)]
#[command(name = "cargo strain --", bin_name = "cargo strain --")]
struct Args {
    /// What to try; without any, all.
    #[arg(value_enum)]
    trials: Vec<Trial>,
    /// Only illnesses of a bank (dead, silent, slow, erratic) and attacks that have this in their name.
    #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    only: String,
    /// How often each part is measured; medians are judged.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// Payments that queue up for the bank that is down.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    backlog: u32,
    /// Write the figures for programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Something to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trial {
    /// Three times as many payments as the system can carry.
    Overload,
    /// One bank dead, silent, slow or erratic, and the others' payments beside it.
    Isolation,
    /// A bank that comes back to a long queue of payments.
    Backlog,
    /// Whoever wants the gateway to stand still, and the payments of others beside it.
    Attacks,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(figures) => {
            say(&table(&figures));
            if figures.iter().all(Figure::is_good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Tries what the arguments ask for, on cores that the generator of the load leaves to the system.
fn run(args: &Args) -> Result<Vec<Figure>, BenchError> {
    let cores = Cores::split()?;
    say(&format!("{cores}"));
    let generator = Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_start(move || cores.become_generator())
        .enable_all()
        .build()?;
    let trials: &[Trial] = match args.trials.as_slice() {
        [] => Trial::value_variants(),
        trials => trials,
    };
    let mut figures = Vec::new();
    for trial in trials {
        // What this thread starts inherits its cores; what is spawned runs on the generator's.
        figures.extend(generator.block_on(async {
            let tried = async {
                match trial {
                    Trial::Overload => overload::run(&cores, args.rounds).await,
                    Trial::Isolation => isolation::run(&args.only, args.rounds).await,
                    Trial::Backlog => backlog::run(args.backlog).await,
                    Trial::Attacks => attacks::run(&cores, &args.only, args.rounds).await,
                }
            };
            tokio::select! {
                tried = tried => tried,
                // Whoever is interrupted still stops what was started.
                _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            }
        })?);
        if let Some(json) = &args.json {
            fs::write(json, serde_json::to_string_pretty(&figures)?)
                .map_err(|error| format!("cannot write {}: {error}", json.display()))?;
        }
    }
    Ok(figures)
}

/// Tells a person. A closed pipe is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[expect(clippy::print_stderr, reason = "what a person reads")]
fn complain(error: &BenchError) {
    eprintln!("strain: {error}");
}
