//! The program `cluster`: more than one of every service, and what callers feel when some of them go, hang, come or are replaced.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "measures of time and counts, no money"
)]

mod cells;
mod failover;
mod in_flight;
mod replicas;
mod report;
mod stage;
mod upgrade;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use harness::BenchError;
use serde::Serialize;

use report::Report;

/// Runs several of each service on one PostgreSQL, real processes with TLS on every hop, pays over them at a fixed rate, and judges what
/// callers feel while something happens to them. Callers try once more, with the same request id, when they are told to or a connection
/// breaks.
///
/// Ends with 0 only if nothing was lost or doubled and every figure is within its bound.
#[derive(Parser, Debug)]
#[command(name = "cargo cluster --", bin_name = "cargo cluster --")]
struct Args {
    #[command(subcommand)]
    job: Job,
    /// Write the figures for programs.
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Job {
    /// Two of each: each kind is killed, told to end, stopped for a while, and scaled from one to three and back.
    Replicas(replicas::Args),
    /// Two of each, of another version: every service is replaced by this version's, and back, in every order.
    Upgrade(upgrade::Args),
    /// Two cells behind one gateway, each with a database of its own: what the second one costs the first, and payments from one to the
    /// other, whose services are killed meanwhile.
    Cells(cells::Args),
    /// The primary of two PostgreSQL servers goes, in every way, and the standby takes over: what is lost, and for how long nobody pays.
    Failover(failover::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = tokio::select! {
        done = run(&args) => done,
        // Whoever is interrupted still stops what was started.
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as promised.
async fn run(args: &Args) -> Result<bool, BenchError> {
    let json = args.json.as_deref();
    match &args.job {
        Job::Replicas(args) => told(&replicas::run(args).await?, json),
        Job::Upgrade(args) => told(&upgrade::run(args).await?, json),
        Job::Failover(args) => failover::run(args, json).await,
        Job::Cells(args) => {
            let report = cells::run(args).await?;
            say(&report.to_string());
            write(json, &report)?;
            Ok(report.is_good())
        }
    }
}

fn told(report: &Report, json: Option<&Path>) -> Result<bool, BenchError> {
    say(&report.to_string());
    write(json, report)?;
    Ok(report.is_good())
}

/// Writes the figures for programs, if they are wanted.
fn write(json: Option<&Path>, figures: &impl Serialize) -> Result<(), BenchError> {
    let Some(file) = json else { return Ok(()) };
    let written = fs::write(file, serde_json::to_string_pretty(figures)?);
    Ok(written.map_err(|error| format!("cannot write {}: {error}", file.display()))?)
}

/// Tells a person. A closed pipe is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[expect(clippy::print_stderr, reason = "what a person reads")]
fn complain(error: &BenchError) {
    eprintln!("cluster: {error}");
}
