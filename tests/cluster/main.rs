//! The program `cluster`: measures what a system of several machines does, as far as one machine can show it.

#![expect(clippy::float_arithmetic, reason = "measures of time and counts, no money")]

mod failover;

use std::process::ExitCode;

use clap::Parser;

/// Measures what a system of several machines does, with real processes on this one.
#[derive(Parser, Debug)]
#[command(name = "cargo cluster --", bin_name = "cargo cluster --")]
enum Args {
    /// The primary of two PostgreSQL servers goes, in every way, and the standby takes over: what is lost, and for how long nobody pays.
    Failover(failover::Args),
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "says to a person why nothing was measured")]
async fn main() -> ExitCode {
    let measured = match Args::parse() {
        Args::Failover(args) => failover::run(args).await,
    };
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}
