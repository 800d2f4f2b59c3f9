//! The program `naive`: the plain way to build what Rialto does, for `cargo compare` to measure it against.
//!
//! One transaction for each payment and phase over a pool of connections, one unary call for each payment and hop. The channel
//! is Rialto's own, called by its unary `Execute`. What it leaves out would only slow it down: recovery, enquiries, captures,
//! refunds, alarms.

mod banks;
mod check;
mod gateway;
mod platform;
mod store;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use common::{
    lifecycle::Lifecycle,
    rpc_server::{self, Contracts, Door, ServerArgs},
    settings::Problems,
    telemetry::{self, TelemetryArgs},
};
use tonic::service::RoutesBuilder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What can go wrong, said to a person.
type Failure = Box<dyn Error + Send + Sync>;

#[expect(clippy::as_conversions, clippy::allow_attributes, reason = "generated code")]
mod hop {
    tonic::include_proto!("rialto.naive.v1");
}

/// The naive design, which `cargo compare` measures Rialto against: one transaction for each payment and phase, one unary call
/// for each hop.
#[derive(Parser, Debug)]
#[command(name = "naive")]
struct Args {
    #[command(subcommand)]
    part: Part,
}

/// A part of it.
#[derive(Subcommand, Debug)]
enum Part {
    /// Takes CreatePayment, CreateAccount and Deposit of Rialto's public API, and calls the platform.
    Gateway(gateway::Args),
    /// Keeps the ledger, and calls the channel: Rialto's own program `channel`.
    Platform(Box<platform::Args>),
    /// Recomputes every balance from the transfers; ends with 0 only if nothing differs.
    Check(check::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Args::parse().part {
        Part::Gateway(args) => gateway::run(args).await,
        Part::Platform(args) => platform::run(*args).await,
        Part::Check(args) => check::run(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "naive: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How each part serves and logs: as Rialto's services do.
#[derive(clap::Args, Debug)]
struct ServiceArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

impl ServiceArgs {
    /// Serves what `add_services` adds until a signal comes.
    async fn serve(
        &self,
        name: &'static str,
        services: &'static [&'static str],
        add_services: impl FnOnce(&mut RoutesBuilder),
    ) -> Result<(), Failure> {
        let mut problems = Problems::new();
        let (server, telemetry) =
            (self.server.check(Some(Door::Insecure), &mut problems), self.telemetry.check(&mut problems));
        let (server, telemetry) = problems.finish(|| server.zip(telemetry))?;
        let _telemetry = telemetry::start(name, telemetry)?;
        let lifecycle = Lifecycle::on_signals(server.drain_timeout)?;
        let listener = rpc_server::bind(&server).await?;
        let contracts = Contracts { descriptors: proto::DESCRIPTORS, services };
        rpc_server::serve(&server, listener, contracts, add_services, &lifecycle).await
    }
}
