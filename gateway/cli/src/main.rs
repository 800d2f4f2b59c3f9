//! The program `rialto`.

use std::process::ExitCode;

use clap::Parser;
use rialto::{args::Args, settings::Environment};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    rialto::run(Args::parse(), &Environment::of_process()).await
}
