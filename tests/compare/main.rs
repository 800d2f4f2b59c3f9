//! The program `compare`: measures Rialto against yardsticks, side by side on one machine.

#![expect(clippy::float_arithmetic, reason = "measures of time and counts, no money")]

mod contender;
mod costs;
mod echo;
mod naive;
mod report;
mod results;
mod rounds;
mod settings;
mod stage;
mod tpcb;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use harness::{BenchError, figure::Judged};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Builder;

use results::Results;
use rounds::Pace;
use settings::Settings;
use stage::Stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// On hops that carry each call by itself: as many at once as anyone asks for, over one connection.
const MAX_STREAMS: &str = "--max-streams=10000";
/// How long a phase runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures Rialto against an empty chain of calls, pgbench's TPC-B and the naive design, side by side on this machine.
///
/// Everyone is made of real processes, and writes to the same PostgreSQL. They are measured in turn, round by round; each figure
/// is the median of the rounds, with the least and the most. It takes about four minutes. The machine must have nothing else to
/// do.
#[derive(Parser, Debug)]
#[command(name = "cargo compare --", bin_name = "cargo compare --", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    job: Option<Job>,
    /// How often everyone is measured.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Calls in flight; the first number is that of record, the others are measured in at most three rounds.
    #[arg(long, default_value = "256,64,1024", value_delimiter = ',', value_name = "N,…",
        value_parser = clap::value_parser!(u16).range(1..=10_000))]
    in_flight: Vec<u16>,
    /// How large TPC-B's tables are: 100,000 accounts for each unit.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    scale: u32,
    /// Accounts that pay, at each bank.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    payers: u16,
    /// End with 1 if a figure misses what is required of it.
    #[arg(long)]
    judge: bool,
    /// Write the figures for programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Draw the rates.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What the program does for itself.
#[derive(Subcommand, Debug)]
enum Job {
    /// Measures what TLS, the audit log and authentication cost a payment: the whole system, and beside it one without.
    Costs(costs::Args),
    /// Serves as a hop of the echo chain.
    #[command(hide = true)]
    EchoHop(Box<echo::HopArgs>),
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

fn run(args: &Args) -> Result<bool, BenchError> {
    let as_tokio_makes_it = matches!(&args.job, Some(Job::EchoHop(hop)) if !hop.one_thread);
    // The load is to cost the others as little as it can, and so are the services: on one thread.
    let mut builder =
        if as_tokio_makes_it { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = builder.enable_all().build()?;
    match &args.job {
        Some(Job::EchoHop(hop)) => runtime.block_on(echo::serve(hop)).map(|()| true),
        Some(Job::Costs(costs)) => runtime.block_on(costs::run(costs)).map(|()| true),
        None => runtime.block_on(compare(args)),
    }
}

/// Measures, tells and writes. Returns whether nothing was missed that is judged.
async fn compare(args: &Args) -> Result<bool, BenchError> {
    let (results, settings) = tokio::select! {
        measured = measure(args) => measured,
        // Whoever is interrupted still stops what was started.
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }?;
    say(&report::tables::for_people(&results, &settings));
    write(args.markdown.as_deref(), || Ok(report::tables::markdown(&results, &settings)))?;
    write(args.svg.as_deref(), || Ok(report::svg::picture(&results)))?;
    write(args.json.as_deref(), || {
        Ok(serde_json::to_string_pretty(&report::json::document(&results, &settings))?)
    })?;
    Ok(!args.judge || results.ratios().iter().chain(&results.wal()).all(Judged::is_met))
}

async fn measure(args: &Args) -> Result<(Results, Settings), BenchError> {
    let pace = Pace {
        rounds: args.rounds.into(),
        lasts: Duration::from_secs(args.seconds.into()),
        warm_up: WARM_UP,
        in_flight: args.in_flight.iter().copied().map(usize::from).collect(),
    };
    let style = ProgressStyle::with_template("  {bar:30} {pos}/{len}  {msg}  {elapsed}")?;
    let bar = ProgressBar::new(1).with_style(style);
    bar.enable_steady_tick(Duration::from_secs(1));
    let mut stage = Stage::set(args.scale, args.payers.into(), &bar).await?;
    let settings =
        Settings::read(&pace, stage.tpcb.is_some().then_some(args.scale), &stage.ledger, &stage.system)
            .await?;
    let samples = rounds::run(&mut stage, &pace, &bar).await?;
    bar.set_message("checking the books");
    stage.close().await?;
    bar.finish_and_clear();
    Ok((Results::new(samples, &pace), settings))
}

pub(crate) fn write(
    file: Option<&Path>,
    text: impl FnOnce() -> Result<String, BenchError>,
) -> Result<(), BenchError> {
    let Some(file) = file else { return Ok(()) };
    fs::write(file, text()?).map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}

/// Tells a person. A closed pipe is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[expect(clippy::print_stderr, reason = "what a person reads")]
fn complain(error: &BenchError) {
    eprintln!("compare: {error}");
}
