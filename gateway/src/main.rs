//! The program `gateway`.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use common::{lifecycle::Lifecycle, rpc_server, telemetry};
use gateway::{
    config::{Args, Job, role_names},
    participant,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Where threads are made to stand still, others must be able to overtake them.
#[cfg_attr(feature = "chaos", tokio::main)]
#[cfg_attr(not(feature = "chaos"), tokio::main(flavor = "current_thread"))]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        None | Some(Job::Serve) => serve(&args).await,
        Some(Job::NewKey { participant, roles }) => new_key(&args, participant, &role_names(roles)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: &Args) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (config, telemetry_config) = args.config()?;
    let _telemetry = telemetry::start("gateway", telemetry_config)?;
    let lifecycle = Lifecycle::on_signals(config.server.drain_timeout)?;
    let listener = rpc_server::bind(&config.server).await?;
    gateway::run(config, listener, lifecycle).await
}

fn new_key(args: &Args, participant: &str, roles: &[String]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (key, entry) = participant::new_key(&args.key_hasher()?, participant, roles)?;
    writeln!(io::stdout(), "# The key, shown this once: {key}\n{entry}")
        .map_err(|error| format!("cannot print the key, which is lost: make another ({error})").into())
}

#[expect(clippy::print_stderr, reason = "logging may not have started")]
fn complain(error: &dyn Error) {
    eprintln!("gateway: {error}");
}
