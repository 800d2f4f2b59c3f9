//! The program `load`: puts a running gateway under load, and tells what its callers felt.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "measures of time and counts, no money"
)]

mod args;
mod plot;
mod progress;
mod report;
mod settings;
mod slow_banks;
mod target;

use std::{
    fs,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use harness::{
    BenchError,
    load::{Load, Measured},
};
use rustix::time::{ClockId, clock_gettime};

use args::{Args, Pace};
use report::Report;
use slow_banks::SlowBanks;
use target::Target;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One thread: the load shares the machine with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), BenchError> {
    let target = Target::find(args)?;
    let settings = settings::ask(&target).await?;
    let load = progress::opening(Load::open(&target.route()?, target.keys(), args.plan())).await?;
    let slow_banks = SlowBanks::make(args, &target).await?;
    let measured = tokio::select! {
        measured = measure(args, &load) => Ok(measured),
        () = interrupted_twice(&load) => Err("interrupted twice: nothing is told"),
    };
    slow_banks.mend().await?;
    let (measured, cpu) = measured?;
    if measured.due == 0 {
        return Err("ended before the warm-up was over: nothing was measured".into());
    }
    let report = Report { args, measured: &measured, cpu, settings: &settings };
    say(&if args.json { serde_json::to_string_pretty(&report.json())? } else { report.for_people() })?;
    if let Some(file) = &args.plot {
        let picture = plot::picture(&report.title(), &report.subtitle(), &measured, args.pace());
        fs::write(file, picture).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        complain(&format!("the picture is in {}", file.display()));
    }
    Ok(())
}

/// Warms up, and measures. Returns the processor time of this process meanwhile as well.
async fn measure(args: &Args, load: &Load) -> (Measured, Duration) {
    at_pace(args, load, args.warm_up, "warm-up").await;
    let before = processor_time();
    let measured = at_pace(args, load, args.duration, "measuring").await;
    (measured, processor_time().saturating_sub(before))
}

async fn at_pace(args: &Args, load: &Load, lasts: Duration, what: &'static str) -> Measured {
    let loaded = async {
        match args.pace() {
            Pace::InFlight(in_flight) => load.closed(in_flight, lasts).await,
            Pace::PerSecond(per_s) => load.open_loop(per_s, lasts).await,
        }
    };
    progress::shown(loaded, load, lasts, what).await
}

/// The first Ctrl-C ends the load early, the second does not wait for the answers under way.
async fn interrupted_twice(load: &Load) {
    // Who cannot listen to Ctrl-C is ended by it.
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    load.stop();
    complain("ending early, as soon as what is under way is answered; Ctrl-C again does not wait");
    let _ = tokio::signal::ctrl_c().await;
}

/// How long processors have worked for this process.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

#[expect(clippy::print_stderr, reason = "what a person reads beside the result")]
fn complain(text: &str) {
    eprintln!("load: {text}");
}
