//! The program `channel`.

use std::process::ExitCode;

use channel::config::Args;
use clap::Parser;
use common::{admin, lifecycle::Lifecycle, listener, rpc_server, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Where threads are made to stand still, others must be able to overtake them.
#[cfg_attr(feature = "chaos", tokio::main)]
#[cfg_attr(not(feature = "chaos"), tokio::main(flavor = "current_thread"))]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "logging may not have started")]
            {
                eprintln!("channel: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (config, telemetry_config) = Args::parse().config()?;
    let admin = telemetry_config.admin();
    let _telemetry = telemetry::start("channel", telemetry_config)?;
    let lifecycle = Lifecycle::on_signals(config.server.drain_timeout)?;
    let listener = rpc_server::bind(&config.server).await?;
    let notice_listener = match &config.notices {
        Some(notices) => Some(listener::bind(notices.listen, notices.address_file.as_deref()).await?),
        None => None,
    };
    admin::serve(admin, admin::Router::new(), &lifecycle).await?;
    channel::run(config, listener, notice_listener, lifecycle).await
}
