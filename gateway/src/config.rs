//! The gateway's settings.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use common::{
    rpc_client::Route,
    rpc_server::{PublicArgs, ServerArgs, ServerConfig},
    settings::{Problems, SettingsError},
    telemetry::{TelemetryArgs, TelemetryConfig},
    tls::IdentityArgs,
};

use crate::{caller::Role, participant::Participants};

/// Rialto's gateway: takes payments from buyers and merchants over gRPC and returns their results.
///
/// It knows who is calling and what a good request is; the platform decides. SIGHUP makes it read the API keys again.
#[derive(Parser, Debug)]
#[command(version, propagate_version = true)]
pub struct Args {
    /// What to do; without one, serve.
    #[command(subcommand)]
    pub command: Option<Job>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What the program can do.
#[derive(Subcommand, Debug)]
pub enum Job {
    /// Serve (the default).
    Serve,
    /// Make an API key: prints the key, which is shown this once, and the entry for the file of --api-keys.
    NewKey {
        /// Whose key it is, e.g. `shop`.
        #[arg(long)]
        participant: String,
        /// What it is for; may be given several times.
        #[arg(long = "role", required = true, value_enum)]
        roles: Vec<Role>,
    },
}

#[derive(clap::Args, Debug)]
struct ServeArgs {
    /// Where the platform is, e.g. `https://platform:8081`.
    #[arg(long, env = "RIALTO_PLATFORM", value_name = "URL")]
    platform: Option<String>,
    /// Call the platform without TLS, at an http:// URL: for a machine of one's own, never for real money.
    #[arg(long, env = "RIALTO_INSECURE_PLATFORM")]
    insecure_platform: bool,
    /// The file of hashed API keys (TOML, made of what `gateway new-key` prints).
    #[arg(long, env = "RIALTO_API_KEYS")]
    api_keys: Option<PathBuf>,
    /// Requests that may wait for the platform; more are refused.
    #[arg(long, env = "RIALTO_MAX_WAITING", default_value = "8192")]
    max_waiting: String,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    public: PublicArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// Checked settings for serving.
#[derive(Debug)]
pub struct Config {
    /// Where the platform is.
    pub platform: Route,
    /// Who may call.
    pub participants: Participants,
    /// Requests that may wait for the platform.
    pub max_waiting: usize,
    /// How many of 1,000 new traces are sent.
    pub traces_per_mille: u16,
    /// How to serve.
    pub server: ServerConfig,
}

impl Args {
    /// Checks the settings that serving needs.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn config(&self) -> Result<(Config, TelemetryConfig), SettingsError> {
        let mut problems = Problems::new();
        let serve = &self.serve;
        let identity = serve.identity.check(&mut problems);
        let (platform, insecure) = (serve.platform.as_deref(), serve.insecure_platform);
        let platform = Route::check("platform", platform, insecure, identity.as_ref(), &mut problems);
        let keys = "the file of hashed API keys; make keys with `gateway new-key`";
        let participants = problems.required("api-keys", serve.api_keys.as_ref(), keys).and_then(|file| {
            Participants::read(file.clone()).map_err(|problem| problems.add("api-keys", problem)).ok()
        });
        let max_waiting = problems.number("max-waiting", &serve.max_waiting, 1, 1_000_000);
        let door = serve.public.check(&mut problems);
        let server = serve.server.check(door, &mut problems);
        let telemetry = serve.telemetry.check(&mut problems);
        problems.finish(|| {
            let telemetry = telemetry?;
            let config = Config {
                platform: platform?,
                participants: participants?,
                max_waiting: max_waiting?,
                traces_per_mille: telemetry.traces_per_mille(),
                server: server?,
            };
            Some((config, telemetry))
        })
    }
}

/// The roles' names, as settings and the key file write them.
pub fn role_names(roles: &[Role]) -> Vec<String> {
    roles
        .iter()
        .filter_map(|role| role.to_possible_value())
        .map(|value| value.get_name().to_owned())
        .collect()
}
