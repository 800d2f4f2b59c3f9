//! The gateway's settings.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use clap::{Parser, Subcommand, ValueEnum, builder::TypedValueParser};
use common::{
    clock::Clock,
    rpc_client::Route,
    rpc_server::{PublicArgs, ServerArgs, ServerConfig, Strangers},
    settings::{Problems, SettingsError},
    telemetry::{TelemetryArgs, TelemetryConfig},
    tls::{Identity, IdentityArgs},
};
use proto::convert::Destinations;

use crate::{
    caller::Role,
    cell::Cell,
    console::Reach,
    participant::{KeyFile, KeyHasher, KeySource, Participants, Tokens},
    quota::Quotas,
    watch_link::WatchLimits,
};

/// Rialto's gateway: takes payments from buyers and merchants over gRPC and returns their results.
///
/// It knows who is calling and what a good request is; the platform decides. SIGHUP makes it read the API keys and the
/// identity provider's keys again.
#[derive(Parser, Debug)]
#[command(version, propagate_version = true)]
pub struct Args {
    /// What to do; without one, serve.
    #[command(subcommand)]
    pub command: Option<Job>,
    #[command(flatten)]
    api_key_secret: ApiKeySecretArgs,
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
        /// In which of the cells of --platform that participant is, by the cell's number there.
        #[arg(long, default_value = "1", value_parser = clap::value_parser!(u32).try_map(Cell::try_from))]
        cell: Cell,
        /// What it is for; may be given several times.
        #[arg(long = "role", required = true, value_enum)]
        roles: Vec<Role>,
        /// Have its calls signed that change anything: what `gateway new-signing-key` printed.
        #[arg(long, value_name = "BASE64")]
        verification_key: Option<String>,
    },
    /// Make a signing key (Ed25519): writes the private half, which never leaves its holder, to a new file, and prints the public
    /// half, the verification_key of an API key.
    NewSigningKey {
        /// The file for the private half (PKCS#8 in PEM); there must be none.
        #[arg(long)]
        out: PathBuf,
    },
    /// Sign a call (RFC 9421): prints its headers, for five minutes and one call. docs/signing.md has examples.
    Sign {
        /// The private half of a signing key (PKCS#8 in PEM).
        #[arg(long)]
        key: PathBuf,
        /// What is called, e.g. `/rialto.payments.v1.PaymentService/CreatePayment`.
        #[arg(long)]
        path: String,
        /// A file that holds the request's message, as protobuf has it.
        #[arg(long)]
        message: PathBuf,
        /// A file to write the content to: the message with the five bytes that gRPC puts before it.
        #[arg(long)]
        content_out: Option<PathBuf>,
    },
}

#[derive(clap::Args, Debug)]
struct ApiKeySecretArgs {
    /// A file that holds the secret under which API keys are hashed: at least 32 bytes, the same for all gateways, kept for
    /// ever, since without it no key is known any more. Or set RIALTO_API_KEY_SECRET to the secret itself; it has no flag, since
    /// arguments are visible to every user of the machine.
    #[arg(long, env = "RIALTO_API_KEY_SECRET_FILE", global = true)]
    api_key_secret_file: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct ServeArgs {
    /// Where the platform is, e.g. `https://platform:8081`. There may be several: at every address that the name has, looked up every two
    /// seconds, or at several URLs with commas between them. Each is asked, and the one with the fewest requests under way first.
    /// Platforms of another database are another cell, behind a semicolon: `https://p1,https://p2;https://q1`. Each call goes to the
    /// cell of its caller: a key on record to the one whose platforms know it; keys of the file (`cell = 2`) and tokens (`rialto_cell`) say
    /// the cell's number, from 1 in the order here, so that new cells come last.
    #[arg(long, env = "RIALTO_PLATFORM", value_name = "URL")]
    platform: Option<String>,
    /// Call the platform without TLS, at an http:// URL: for a machine of one's own, never for real money.
    #[arg(long, env = "RIALTO_INSECURE_PLATFORM")]
    insecure_platform: bool,
    /// The file of hashed API keys (TOML, made of what `gateway new-key` prints).
    #[arg(long, env = "RIALTO_API_KEYS")]
    api_keys: Option<PathBuf>,
    /// The participant whose operators administer the others; each cell has one of this name.
    #[arg(long, env = "RIALTO_HOUSE_PARTICIPANT", default_value = "house")]
    house_participant: String,
    /// Requests that may wait for each platform; more are refused.
    #[arg(long, env = "RIALTO_MAX_WAITING", default_value = "8192")]
    max_waiting: String,
    /// Calls a second that each participant may make of this gateway; as many may come at once, unless more came within two seconds.
    #[arg(long, env = "RIALTO_MAX_CALLS_PER_S", default_value = "20000")]
    max_calls_per_s: String,
    /// Calls a minute with credentials that nobody knows from each address; as many may come at once. Known callers from there go on.
    #[arg(long, env = "RIALTO_MAX_BAD_CREDENTIALS_PER_MIN", default_value = "60")]
    max_bad_credentials_per_min: String,
    #[command(flatten)]
    tokens: TokenArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    public: PublicArgs,
    /// How long a caller's connection is used until it has to make a new one, so that callers spread over gateways that were added,
    /// and nobody keeps a place for ever; calls under way go on.
    #[arg(long, env = "RIALTO_MAX_CONNECTION_AGE", default_value = "30min")]
    max_connection_age: String,
    /// New connections a second from one address, once as many have come as there may be at once (--max-connections-per-address): more are
    /// closed before hands are shaken. As many as all callers behind one address translation or load balancer may need.
    #[arg(long, env = "RIALTO_MAX_NEW_CONNECTIONS_PER_S", default_value = "50")]
    max_new_connections_per_s: String,
    /// Calls at once from one address: as many as all callers behind one address translation or load balancer may need.
    #[arg(long, env = "RIALTO_MAX_CALLS_PER_ADDRESS", default_value = "2048")]
    max_calls_per_address: String,
    /// Watches (WatchPayments) at once, in all.
    #[arg(long, env = "RIALTO_MAX_WATCHES", default_value = "200")]
    max_watches: String,
    /// Watches at once of one participant.
    #[arg(long, env = "RIALTO_MAX_WATCHES_PER_PARTICIPANT", default_value = "20")]
    max_watches_per_participant: String,
    /// Post webhooks to any address, this machine and its network included, and over plaintext too: for a machine of one's own,
    /// never where participants choose the URLs.
    #[arg(long, env = "RIALTO_INSECURE_WEBHOOKS")]
    insecure_webhooks: bool,
    /// Serve the console, pages for operators and auditors, at /console of --admin-listen. That is plain HTTP, so that it answers only
    /// this machine, which `kubectl port-forward` and `ssh -L` come from; whoever signs in has a key for it.
    #[arg(long, env = "RIALTO_CONSOLE")]
    console: bool,
    /// Have the console answer whoever reaches that address, for any host name: behind something that ends TLS, never for a network
    /// where others listen, since keys travel there.
    #[arg(long, env = "RIALTO_INSECURE_CONSOLE")]
    insecure_console: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

#[derive(clap::Args, Debug)]
#[command(
    next_help_heading = "Tokens of an identity provider (OpenID Connect); all three, or none are taken"
)]
struct TokenArgs {
    /// The provider, as its tokens name it (`iss`), e.g. `https://id.example`. A token also has `sub`, `exp`, and who is calling:
    /// `rialto_participant`, a name, and `rialto_roles`, an array of `payer-app`, `merchant`, `operator` and `auditor`; and where there are
    /// several cells `rialto_cell`, the number of the participant's in --platform, or it is in the first.
    #[arg(long, env = "RIALTO_JWT_ISSUER")]
    jwt_issuer: Option<String>,
    /// What the tokens must be for (`aud`), e.g. `rialto`.
    #[arg(long, env = "RIALTO_JWT_AUDIENCE")]
    jwt_audience: Option<String>,
    /// The provider's public keys (JWKS): a file, or a URL, read again every five minutes, on SIGHUP, and for a token with a key
    /// that is not among them; https:// unless it is on this machine, with a certificate of a CA that the machine trusts (or one of
    /// SSL_CERT_FILE). Each has a `kid`, and is for ES256, EdDSA or RS256.
    #[arg(long, env = "RIALTO_JWT_JWKS")]
    jwt_jwks: Option<String>,
}

impl TokenArgs {
    fn check(&self, problems: &mut Problems) -> Option<Tokens> {
        if self.jwt_issuer.is_none() && self.jwt_audience.is_none() && self.jwt_jwks.is_none() {
            return None;
        }
        let issuer = problems.required("jwt-issuer", self.jwt_issuer.as_ref(), "who issues tokens");
        let audience = problems.required("jwt-audience", self.jwt_audience.as_ref(), "whom tokens are for");
        let keys = problems.required("jwt-jwks", self.jwt_jwks.as_ref(), "where the issuer's keys are");
        for (flag, value) in [("jwt-issuer", issuer), ("jwt-audience", audience)] {
            if value.is_some_and(String::is_empty) {
                problems.add(flag, "must not be empty");
            }
        }
        let source = KeySource::parse(keys?);
        let source = source.map_err(|problem| problems.add("jwt-jwks", problem)).ok()?;
        let tokens = Tokens::new(issuer?.clone(), audience?.clone(), source);
        tokens.map_err(|problem| problems.add("jwt-jwks", problem)).ok()
    }
}

/// Checked settings for serving.
#[derive(Debug)]
pub struct Config {
    /// Where the platforms are of each cell, in their order.
    pub platforms: Vec<Route>,
    /// Who may call.
    pub participants: Participants,
    /// How often who may call.
    pub quotas: Quotas,
    /// Requests that may wait for the platform.
    pub max_waiting: usize,
    /// How many watches there may be.
    pub watches: WatchLimits,
    /// Where webhooks may be posted to.
    pub webhooks: Destinations,
    /// Whom the console answers; none if there is no console.
    pub console: Option<Reach>,
    /// How many of 1,000 new traces are sent.
    pub traces_per_mille: u16,
    /// How to serve.
    pub server: ServerConfig,
}

impl Args {
    /// Checks the one setting that making keys needs.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn key_hasher(&self) -> Result<KeyHasher, SettingsError> {
        let mut problems = Problems::new();
        let hasher = self.api_key_secret.check(&mut problems);
        problems.finish(|| hasher)
    }

    /// Checks the settings that serving needs.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn config(&self) -> Result<(Config, TelemetryConfig), SettingsError> {
        let mut problems = Problems::new();
        let serve = &self.serve;
        let identity = serve.identity.check(&mut problems);
        let platforms = serve.platforms(identity.as_ref(), &mut problems);
        let keys = "the file of hashed API keys; make keys with `gateway new-key`";
        let hasher = self.api_key_secret.check(&mut problems);
        let key_file = problems.required("api-keys", serve.api_keys.as_ref(), keys).and_then(|file| {
            KeyFile::read(file.clone(), platforms.len())
                .map_err(|problem| problems.add("api-keys", problem))
                .ok()
        });
        let house = problems.participant("house-participant", &serve.house_participant);
        let tokens = serve.tokens.check(&mut problems).map(Arc::new);
        let max_waiting = problems.number("max-waiting", &serve.max_waiting, 1, 1_000_000);
        let calls =
            problems.number("max-calls-per-s", &serve.max_calls_per_s, NonZeroU32::MIN, NonZeroU32::MAX);
        let strangers = problems.number(
            "max-bad-credentials-per-min",
            &serve.max_bad_credentials_per_min,
            NonZeroU32::MIN,
            NonZeroU32::MAX,
        );
        let door = serve.public.check(&mut problems);
        let server = serve.server.check(door, &mut problems);
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
        let new_connections_per_s = problems.number(
            "max-new-connections-per-s",
            &serve.max_new_connections_per_s,
            NonZeroU32::MIN,
            NonZeroU32::MAX,
        );
        let calls_per_address =
            problems.number("max-calls-per-address", &serve.max_calls_per_address, 1, 1_000_000);
        let watches = problems.number("max-watches", &serve.max_watches, 1, 10_000);
        let watches_per_participant =
            problems.number("max-watches-per-participant", &serve.max_watches_per_participant, 1, 10_000);
        let age = problems.duration("max-connection-age", &serve.max_connection_age, least, most);
        let telemetry = serve.telemetry.check(&mut problems);
        let has_admin = telemetry.as_ref().is_none_or(|telemetry| telemetry.admin().is_some());
        let console = serve.console(has_admin, &mut problems);
        problems.finish(|| {
            let telemetry = telemetry?;
            let config = Config {
                platforms: platforms.into_iter().collect::<Option<_>>()?,
                participants: Participants::new(hasher?, key_file?, tokens, house?, Clock::system()),
                quotas: Quotas::new(calls?, strangers?),
                max_waiting: max_waiting?,
                watches: WatchLimits { in_all: watches?, per_participant: watches_per_participant? },
                webhooks: match serve.insecure_webhooks {
                    true => Destinations::Any,
                    false => Destinations::Public,
                },
                console,
                traces_per_mille: telemetry.traces_per_mille(),
                server: ServerConfig {
                    strangers: Some(Strangers {
                        max_connection_age: age?,
                        max_new_connections_per_s: new_connections_per_s?,
                        max_calls_per_address: calls_per_address?,
                    }),
                    ..server?
                },
            };
            Some((config, telemetry))
        })
    }
}

impl ServeArgs {
    /// The route to each cell's platforms, as far as it is good.
    fn platforms(&self, identity: Option<&Identity>, problems: &mut Problems) -> Vec<Option<Route>> {
        let cells: Vec<Option<&str>> = match &self.platform {
            Some(cells) => cells.split(';').map(Some).collect(),
            None => vec![None],
        };
        let check = |urls| Route::check("platform", urls, self.insecure_platform, identity, problems);
        cells.into_iter().map(check).collect()
    }

    fn console(&self, has_admin: bool, problems: &mut Problems) -> Option<Reach> {
        match (self.console, self.insecure_console) {
            (true, _) if !has_admin => problems.add("console", "needs --admin-listen, where it is served"),
            (false, true) => problems.add("insecure-console", "makes sense only with --console"),
            _ => {}
        }
        let reach = if self.insecure_console { Reach::Anybody } else { Reach::Loopback };
        self.console.then_some(reach)
    }
}

impl ApiKeySecretArgs {
    fn check(&self, problems: &mut Problems) -> Option<KeyHasher> {
        let value = std::env::var("RIALTO_API_KEY_SECRET").ok();
        let secret =
            problems.secret("api-key-secret", value.as_deref(), self.api_key_secret_file.as_ref())?;
        let hasher = KeyHasher::new(&secret);
        hasher.map_err(|problem| problems.add_free(format_args!("api-key-secret: {problem}"))).ok()
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
