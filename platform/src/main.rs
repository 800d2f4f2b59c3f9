//! The program `platform`.

use std::{error::Error, process::ExitCode};

use clap::Parser;
use common::{lifecycle::Lifecycle, rpc_server, telemetry};
use platform::{
    config::{Args, Job},
    store::schema,
    trial_balance::TrialBalance,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Where threads are made to stand still, others must be able to overtake them.
#[cfg_attr(feature = "chaos", tokio::main)]
#[cfg_attr(not(feature = "chaos"), tokio::main(flavor = "current_thread"))]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command.clone().unwrap_or(Job::Serve) {
        Job::Serve => serve(&args).await,
        Job::Migrate => migrate(&args).await,
        Job::TrialBalance { json } => trial_balance(&args, json).await,
    };
    done.unwrap_or_else(|error| {
        complain(&*error);
        ExitCode::FAILURE
    })
}

type Done = Result<ExitCode, Box<dyn Error + Send + Sync>>;

async fn serve(args: &Args) -> Done {
    let (config, telemetry_config) = args.config()?;
    let _telemetry = telemetry::start("platform", telemetry_config)?;
    let lifecycle = Lifecycle::on_signals(config.server.drain_timeout)?;
    let listener = rpc_server::bind(&config.server).await?;
    platform::run(config, listener, lifecycle).await?;
    Ok(ExitCode::SUCCESS)
}

async fn migrate(args: &Args) -> Done {
    schema::migrate(&args.database()?).await?;
    say("the schema is up to date");
    Ok(ExitCode::SUCCESS)
}

async fn trial_balance(args: &Args, json: bool) -> Done {
    let found = TrialBalance::take(&args.database()?).await?;
    say(&if json { serde_json::to_string_pretty(&found)? } else { found.to_string() });
    Ok(if found.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what the command was asked for; a reader who has gone is no failure.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[expect(clippy::print_stderr, reason = "logging may not have started")]
fn complain(error: &dyn Error) {
    eprintln!("platform: {error}");
}
