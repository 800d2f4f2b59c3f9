//! The channel's settings.

use std::{path::PathBuf, sync::Arc};

use common::{
    bic::Bic,
    clock::Clock,
    rpc_server::{ServerArgs, ServerConfig},
    settings::{Problems, SettingsError},
    telemetry::{TelemetryArgs, TelemetryConfig},
};

use crate::directory::{Directory, DirectorySource, entry};

/// Carries instructions to banks and says what is known of the result.
#[derive(clap::Parser, Debug)]
#[command(name = "channel", version)]
pub struct Args {
    /// The banks file (TOML); read again on SIGHUP.
    #[arg(long, env = "RIALTO_DIRECTORY", value_name = "FILE")]
    directory: PathBuf,
    /// The BIC that messages to banks are sent under. The default is a test BIC (0 in the eighth place).
    #[arg(long, env = "RIALTO_SENDER_BIC", default_value = "RLTOITV0XXX")]
    sender_bic: String,
    /// Instructions under way at once, to all banks together; more are answered NotSent at once.
    #[arg(long, env = "RIALTO_MAX_IN_FLIGHT", default_value = "10000")]
    max_in_flight: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// Checked settings, and the directory as it was read with them.
#[derive(Debug)]
pub struct Config {
    /// How to serve.
    pub server: ServerConfig,
    /// Where the directory comes from.
    pub source: DirectorySource,
    /// The directory to begin with.
    pub directory: Arc<Directory>,
    /// Instructions under way at once.
    pub max_in_flight: usize,
}

impl Args {
    /// The checked settings and the directory, and those of logs and traces.
    ///
    /// # Errors
    /// All that is wrong with either.
    pub fn config(&self) -> Result<(Config, TelemetryConfig), SettingsError> {
        let mut problems = Problems::new();
        let server = self.server.check(&mut problems);
        let telemetry = self.telemetry.check(&mut problems);
        let max_in_flight = problems.number("max-in-flight", &self.max_in_flight, 1, 1_000_000);
        let sender = Bic::parse(&self.sender_bic);
        if sender.is_none() {
            problems.add(
                "sender-bic",
                format_args!("expected a BIC such as RLTOITV0XXX, got {:?}", self.sender_bic),
            );
        }
        let source = sender.map(|sender| DirectorySource {
            file: self.directory.clone(),
            sender,
            clock: Clock::system(),
        });
        let directory = match &source {
            Some(source) => source.load(&Directory::default()).map(|directory| Some(Arc::new(directory))),
            None => entry::read(&self.directory).map(|_| None),
        };
        let directory = directory.unwrap_or_else(|found| {
            found.into_iter().for_each(|problem| problems.add_free(problem));
            None
        });
        problems.finish(|| {
            let config = Config {
                server: server?,
                source: source?,
                directory: directory?,
                max_in_flight: max_in_flight?,
            };
            Some((config, telemetry?))
        })
    }
}
