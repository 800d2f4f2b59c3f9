//! The program `growth`: measures how the cost of a payment grows with what is stored, known and under way.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "measures of time and counts, no money"
)]

mod banks;
mod history;
mod orders;
mod report;
mod results;
mod rounds;
mod side;
mod size;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use harness::{BenchError, figure::Judged};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Builder;

use results::Results;
use rounds::Pace;
use size::{Pair, Size, Trial};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Banks where it is not their number that grows.
const BANKS: u32 = 3;

/// Measures how the cost of a payment grows: with the payments that are stored or archived, the accounts that pay, the banks that
/// there are, and the memory of the services with the payments in flight.
///
/// Of each pair, the small and the large system stand side by side, each on a PostgreSQL of its own, and are measured in turn; each
/// figure is the median of the rounds, with the least and the most. What is not compared has the pairs' small numbers, and three
/// banks. Afterwards the whole ledgers must balance, what was stored included. The machine must have nothing else to do.
///
/// The default takes about four minutes. Ten million payments take a quarter of an hour, three to seven minutes of it to be stored,
/// and 16 GiB below target/ until they are measured.
#[derive(Parser, Debug)]
#[command(
    name = "cargo growth --",
    bin_name = "cargo growth --",
    after_help = "The figures of record:\n  cargo growth -- --payments 10000,10000000 --accounts 1000,1000000"
)]
struct Args {
    /// What is to grow; without any, all.
    #[arg(value_enum)]
    trials: Vec<Trial>,
    /// Payments stored.
    #[arg(long, default_value = "10000,500000", value_name = "SMALL,LARGE")]
    payments: Pair,
    /// Accounts that pay.
    #[arg(long, default_value = "1000,100000", value_name = "SMALL,LARGE")]
    accounts: Pair,
    /// Banks in the directory.
    #[arg(long, default_value = "1,50", value_name = "SMALL,LARGE")]
    banks: Pair,
    /// Payments in flight while memory is measured.
    #[arg(long, default_value = "1,256,4096", value_delimiter = ',', value_name = "N,…",
        value_parser = clap::value_parser!(u16).range(1..=20_000))]
    memory_in_flight: Vec<u16>,
    /// Payments in flight while pairs are compared.
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20_000))]
    in_flight: u16,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// End with 1 if a figure misses what is required of it.
    #[arg(long)]
    judge: bool,
    /// Write the figures for programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Measures and tells. Returns whether nothing was missed that is judged.
fn run(args: &Args) -> Result<bool, BenchError> {
    // The load is to cost the system as little as it can.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let pace = Pace {
        rounds: args.rounds.into(),
        lasts: Duration::from_secs(args.seconds.into()),
        in_flight: args.in_flight.into(),
    };
    let results = runtime.block_on(async {
        tokio::select! {
            measured = measure(args, &pace) => measured,
            // Whoever is interrupted still stops what was started.
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    })?;
    say(&report::tables::for_people(&results, &pace));
    Ok(!args.judge || results.judged().iter().all(Judged::is_met))
}

async fn measure(args: &Args, pace: &Pace) -> Result<Results, BenchError> {
    let style = ProgressStyle::with_template("  {bar:30} {human_pos}/{human_len}  {msg}  {elapsed_precise}")?;
    let bar = ProgressBar::new(1).with_style(style);
    bar.enable_steady_tick(Duration::from_secs(1));
    let trials = if args.trials.is_empty() { Trial::ALL.as_slice() } else { &args.trials };
    let (payments, accounts) = (args.payments.small, args.accounts.small);
    let base = Size { payments, accounts, banks: BANKS, is_archived: false };
    let mut results = Results::default();
    // A file that cannot be written is to be known before anything is measured.
    keep(args, pace, &results)?;
    for trial in trials {
        let pair = match trial {
            Trial::Payments => Some([base, Size { payments: args.payments.large, ..base }]),
            Trial::Accounts => Some([base, Size { accounts: args.accounts.large, ..base }]),
            Trial::Banks => Some([args.banks.small, args.banks.large].map(|banks| Size { banks, ..base })),
            Trial::Retention => {
                Some([base, Size { payments: args.payments.large, is_archived: true, ..base }])
            }
            Trial::Memory => None,
        };
        match pair {
            Some(sizes) => rounds::compare(*trial, sizes, pace, &bar, &mut results).await?,
            None => {
                let in_flight: Vec<usize> = args.memory_in_flight.iter().copied().map(usize::from).collect();
                rounds::memory(base, &in_flight, pace, &bar, &mut results).await?;
            }
        }
        keep(args, pace, &results)?;
    }
    bar.finish_and_clear();
    Ok(results)
}

/// Writes what there is so far: nobody is to lose the figures of ten million payments to what comes after.
fn keep(args: &Args, pace: &Pace, results: &Results) -> Result<(), BenchError> {
    write(args.markdown.as_deref(), &report::tables::markdown(results, pace))?;
    write(args.json.as_deref(), &serde_json::to_string_pretty(&report::json::document(results, pace))?)
}

fn write(file: Option<&Path>, text: &str) -> Result<(), BenchError> {
    let Some(file) = file else { return Ok(()) };
    fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}

/// Tells a person. A closed pipe is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[expect(clippy::print_stderr, reason = "what a person reads")]
fn complain(error: &BenchError) {
    eprintln!("growth: {error}");
}
