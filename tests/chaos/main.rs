//! The program `chaos`: torments the whole system, and shows that no payment is lost, doubled, stuck or wrong.

mod bench;
mod cells;
mod check;
mod cycle;
mod journal;
mod load;
mod net;
mod plan;
mod report;
mod strike;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use harness::{BenchError, binaries, detour::Link};
use indicatif::{ProgressBar, ProgressStyle};

use bench::{Bench, BenchSetup};
use check::{Checker, Violation, snapshots::Snapshots};
use plan::Plan;
use report::Tally;

/// How many violations are shown with all that is known of them.
const SHOWN: usize = 5;

/// Torments Rialto: real processes, killed, stopped, cut off from each other and from PostgreSQL, and banks that misbehave,
/// while callers pay, repeat and hang up. Afterwards every payment is judged by the callers' journal, the banks' own books and
/// the ledger's raw rows.
///
/// Ends with 0 only if nothing was violated.
#[derive(Parser, Debug)]
#[command(name = "cargo chaos --", bin_name = "cargo chaos --")]
struct Args {
    /// How many cycles to run: a few seconds of load with faults in it, then quiescence and judgement.
    #[arg(long, default_value_t = 20)]
    cycles: u64,
    /// The number from which everything is drawn; without one, a new one.
    #[arg(long)]
    seed: Option<u64>,
    /// The first cycle to run, to see a later one of a seed again.
    #[arg(long, default_value_t = 0, value_name = "CYCLE")]
    from: u64,
    /// Only faults whose step or name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write the result for programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the run's folder even if nothing was violated.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<bool, BenchError> {
    if !common::crash_point::IN_THIS_BUILD {
        return Err("this build has no crash points: run it as `cargo chaos`".into());
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    say(&format!("seed {seed}"));
    let folder = own_folder(seed)?;
    say("Building the programs with crash points, and starting them …");
    let setup = BenchSetup { folder: folder.clone(), planted: None, database_settings: Vec::new() };
    let bench = Bench::start(setup).await?;
    let mut checker = Checker::new(folder.clone(), bench.database());
    let mut tally = Tally::new(seed);
    let (snapshots, violations) = torment(&args, seed, &bench, &mut checker, &mut tally).await?;
    say(&tally.for_people(&bench.outages, snapshots));
    for violation in violations.iter().take(SHOWN) {
        let about = match violation.request_id.as_str() {
            "" => Vec::new(),
            request_id => checker.all_about(request_id).await?,
        };
        say(&report::violation(violation, &about));
    }
    drop(bench);
    if let Some(json) = &args.json {
        fs::write(json, serde_json::to_string_pretty(&tally.report)?)
            .map_err(|error| format!("cannot write {}: {error}", json.display()))?;
    }
    if !violations.is_empty() {
        let cycle = args.from + tally.report.cycles - 1;
        say(&format!(
            "{} violations. All evidence is in {}.\nTo see it again: cargo chaos -- --seed {seed} --from {cycle} --cycles 1",
            violations.len(),
            folder.display()
        ));
    } else if !args.keep {
        fs::remove_dir_all(&folder)?;
    }
    Ok(violations.is_empty())
}

/// Runs cycles until one has a violation. Returns how many snapshots were taken, and the violations.
async fn torment(
    args: &Args,
    seed: u64,
    bench: &Bench,
    checker: &mut Checker,
    tally: &mut Tally,
) -> Result<(u64, Vec<Violation>), BenchError> {
    let mut cells = cells::all();
    if let Some(only) = &args.only {
        cells.retain(|cell| cell.step().contains(only) || cell.fault().contains(only));
    }
    let snapshots = Snapshots::begin(bench.database());
    let style = ProgressStyle::with_template("{bar:30} cycle {pos}/{len} {elapsed} (left {eta}) {msg}")?;
    let bar = ProgressBar::new(args.cycles).with_style(style);
    let mut violations = Vec::new();
    for cycle in args.from..args.from + args.cycles {
        let plan = Plan::draw(seed, cycle, &cells);
        let judged = cycle::run(bench, checker, &snapshots, &plan, seed, cycle).await?;
        violations.extend(judged.violations.iter().cloned());
        tally.add(judged, checker.payments());
        bar.set_message(format!("{} payments, {} cells", tally.report.payments, tally.report.cells_hit));
        bar.inc(1);
        if !violations.is_empty() {
            let strikes: Vec<String> = plan.strikes.iter().map(|strike| format!("  {strike:?}")).collect();
            say(&format!("cycle {cycle} had\n{}", strikes.join("\n")));
            break;
        }
    }
    bar.finish();
    if bench.net.proxy(Link::PlatformToDatabase)?.commits() == 0 {
        return Err("the proxy saw no COMMIT pass: it does not understand how the platform commits".into());
    }
    Ok((snapshots.take().0, violations))
}

/// A folder of this run's own below `target/`.
fn own_folder(seed: u64) -> Result<PathBuf, BenchError> {
    let folder = binaries::target()?.join("rialto-chaos").join(format!("{}-seed-{seed}", std::process::id()));
    if Path::new(&folder).exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Tells a person. A closed pipe is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[expect(clippy::print_stderr, reason = "what a person reads")]
fn complain(error: &dyn std::error::Error) {
    eprintln!("chaos: {error}");
}
