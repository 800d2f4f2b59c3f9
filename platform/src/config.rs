//! The platform's settings.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, Subcommand};
use common::{
    audit::note::Signer,
    rpc_client::Route,
    rpc_server::{PeersArgs, ServerArgs, ServerConfig},
    settings::{Problems, Secret, SettingsError},
    telemetry::{TelemetryArgs, TelemetryConfig},
    tls::{IdentityArgs, Live},
};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::{
    broker::{Broker, BrokerArgs},
    encryption::wrapping::WrappingKeys,
    flow::{Limits, book::BookConfig},
    store::servers::Servers,
};

/// Rialto's platform: decides on payments and owns the ledger in PostgreSQL.
///
/// It is the only writer of money. The gateway calls it, and it calls the channel. Every setting can be given as a flag or
/// in the environment; secrets only in the environment or in a file.
#[derive(Parser, Debug)]
#[command(version, propagate_version = true)]
pub struct Args {
    /// What to do; without one, serve.
    #[command(subcommand)]
    pub command: Option<Job>,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    data_key: DataKeyArgs,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What the program can do.
#[derive(Subcommand, Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Serve (the default).
    Serve,
    /// Bring the database's schema up to date, and end. Safe to run while older platforms work on it.
    Migrate,
    /// Recompute every balance from the transfers, and end: 0 when all is well, 1 when anything differs. Safe to run while
    /// payments go on.
    TrialBalance {
        /// Print JSON for programs.
        #[arg(long)]
        json: bool,
    },
    /// Compute the audit log again from the ledger, which takes --data-key-file, and end: 0 when all is well, 1 when anything was changed, removed, added or
    /// reordered since it was sealed. Safe to run while payments go on.
    VerifyAudit {
        /// A checkpoint that was kept elsewhere: the log must have had its size and root.
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Print JSON for programs.
        #[arg(long)]
        json: bool,
    },
    /// Make a key to sign the audit log's checkpoints with: writes the private key to a new file, and prints the public one, which
    /// verifies checkpoints and receipts.
    NewAuditKey {
        /// Where to write the private key.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// What the log is called.
        #[arg(long, default_value = "rialto")]
        name: String,
    },
    /// Make a key-encryption key: writes it to a new file, for --data-key-file. To replace the one in use, put the new one's line above
    /// its line: running platforms read the file again and have the new one wrap their data keys, and the old line may go when all have said
    /// so in their logs. Keep copies of the file where the database's backups are not.
    NewDataKey {
        /// Where to write the key.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Have what is written from now on encrypted under a new data key, and end. What is encrypted already stays under its own. Safe to run while
    /// payments go on: running platforms take it up within seconds.
    RotateDataKey,
    /// Check a receipt (the JSON of GetPaymentReceipt) with the log's public key alone, and end: 0 when it holds, 1 when not.
    VerifyReceipt {
        /// The receipt.
        receipt: PathBuf,
        /// The log's public key, as `platform new-audit-key` printed it.
        #[arg(long, env = "RIALTO_AUDIT_PUBLIC_KEY")]
        key: String,
    },
    /// Move payments that have been over for long enough to the archive, and end. Safe to run while payments go on; a platform
    /// that has --archive-after set does it by itself.
    Archive {
        /// How long payments that are over stay where every payment is written, e.g. `90days`.
        #[arg(long, env = "RIALTO_ARCHIVE_AFTER")]
        after: String,
        /// Print JSON for programs.
        #[arg(long)]
        json: bool,
    },
}

/// How long payments that are over may stay: any time is safe, since what is needed again comes back.
const ARCHIVE_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(100 * 365 * 24 * 3600)];

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Database")]
struct DatabaseArgs {
    /// A file that holds the URL of the PostgreSQL database, e.g. `postgres://rialto:secret@db:5432/rialto`. It may name a primary and its
    /// standbys, e.g. `postgres://rialto:secret@db1,db2/rialto?target_session_attrs=read-write`: whichever of them accepts writes is used. Or set
    /// RIALTO_DATABASE_URL to the URL itself; it has no flag, since arguments are visible to every user of the machine.
    #[arg(long, env = "RIALTO_DATABASE_URL_FILE", global = true)]
    database_url_file: Option<PathBuf>,
    /// Speak to PostgreSQL without TLS, or with one whose certificate nobody checks (sslmode below verify-ca): for a machine of one's
    /// own.
    #[arg(long, env = "RIALTO_INSECURE_DATABASE", global = true)]
    insecure_database: bool,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Personal data")]
struct DataKeyArgs {
    /// The file of the key-encryption keys, each a line: the first wraps the keys that encrypt names, accounts and texts in the database, the
    /// others still unwrap. Read again when it changes. `platform new-data-key` makes one; keep it as long as the database and its backups,
    /// since without it nobody can read them.
    #[arg(long, env = "RIALTO_DATA_KEY_FILE", value_name = "FILE", global = true)]
    data_key_file: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct ServeArgs {
    /// Where the channel is, e.g. `https://channel:8082`. There may be several: at every address that the name has, looked up every two
    /// seconds, or at several URLs with commas between them. Each is asked, and the one with the fewest instructions under way first.
    #[arg(long, env = "RIALTO_CHANNEL", value_name = "URL")]
    channel: Option<String>,
    /// Call the channel without TLS, at an http:// URL: for a machine of one's own, never for real money.
    #[arg(long, env = "RIALTO_INSECURE_CHANNEL")]
    insecure_channel: bool,
    /// Bring the schema up to date before serving.
    #[arg(long, env = "RIALTO_MIGRATE")]
    migrate: bool,
    /// Refuse to start unless commits wait for a synchronous standby of the database (synchronous_standby_names): without one a failover
    /// loses payments that were acknowledged.
    #[arg(long, env = "RIALTO_REQUIRE_SYNCHRONOUS_STANDBY")]
    require_synchronous_standby: bool,
    /// Payments under way at once; more are refused before anything is written.
    #[arg(long, env = "RIALTO_MAX_UNDER_WAY", default_value = "4096")]
    max_under_way: String,
    /// Commands in one transaction of the ledger.
    #[arg(long, env = "RIALTO_MAX_BATCH", default_value = "256")]
    max_batch: String,
    /// Transactions of the ledger at once.
    #[arg(long, env = "RIALTO_LEDGER_WRITERS", default_value = "1")]
    ledger_writers: String,
    /// Connections to the database for reads.
    #[arg(long, env = "RIALTO_DATABASE_CONNECTIONS", default_value = "8")]
    database_connections: String,
    /// How far a bank's clock may differ from ours: "never received" is final only this long after the bank stops taking
    /// a payment.
    #[arg(long, env = "RIALTO_MAX_CLOCK_SKEW", default_value = "10s")]
    max_clock_skew: String,
    /// How long payments that are over stay where every payment is written, e.g. `90days`; then they move to the archive, where
    /// everybody still finds them. Without it they stay for ever.
    #[arg(long, env = "RIALTO_ARCHIVE_AFTER")]
    archive_after: Option<String>,
    /// How old what was decided is when the audit log takes it up: longer than clocks of platforms differ and commits take, since nothing
    /// older can be written from then on.
    #[arg(long, env = "RIALTO_SEAL_AFTER", default_value = "2min")]
    seal_after: String,
    /// How long a deposit that one operator proposed waits for another one's approval; then it lapses.
    #[arg(long, env = "RIALTO_DEPOSITS_LAPSE_AFTER", default_value = "24h")]
    deposits_lapse_after: String,
    /// How long events of payments are kept for those who watch them (WatchPayments): who comes back later has missed some.
    #[arg(long, env = "RIALTO_KEEP_EVENTS", default_value = "30days")]
    keep_events: String,
    /// How long messages of banks are kept for people who look into a payment: refusals, doubtful answers, whatever was not just an acceptance.
    #[arg(long, env = "RIALTO_KEEP_BANK_MESSAGES", default_value = "400days")]
    keep_bank_messages: String,
    /// Deposits of one participant that wait for approval at once; more are refused until some are decided on.
    #[arg(long, env = "RIALTO_MAX_PENDING_DEPOSITS", default_value = "1000")]
    max_pending_deposits: String,
    /// The private key that checkpoints of the audit log are signed with (Ed25519, PKCS#8 in PEM; `platform new-audit-key` makes one).
    /// Without it there are no checkpoints and no receipts.
    #[arg(long, env = "RIALTO_AUDIT_KEY_FILE", value_name = "FILE")]
    audit_key_file: Option<PathBuf>,
    /// What the log is called in its checkpoints: the same on every platform of this database, and unlike other logs'.
    #[arg(long, env = "RIALTO_AUDIT_NAME", default_value = "rialto")]
    audit_name: String,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    peers: PeersArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// Checked settings for serving.
#[derive(Debug)]
pub struct Config {
    /// The database.
    pub database: Servers,
    /// Connections to it for reads.
    pub database_connections: u32,
    /// Where the channel is.
    pub channel: Route,
    /// Whether commits must wait for a synchronous standby.
    pub require_synchronous_standby: bool,
    /// Whether to bring the schema up to date first.
    pub migrate: bool,
    /// How much may be under way.
    pub limits: Limits,
    /// What wraps the keys that encrypt personal data.
    pub wrapping_keys: Live<WrappingKeys>,
    /// Signs checkpoints of the audit log.
    pub signer: Option<Signer>,
    /// Where events are published, if anywhere.
    pub broker: Option<Broker>,
    /// How batches are made.
    pub book: BookConfig,
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
        let database = self.database.check(&mut problems);
        let wrapping_keys = self.data_key.check(&mut problems);
        let seal_after = problems.duration(
            "seal-after",
            &serve.seal_after,
            Duration::from_secs(1),
            Duration::from_secs(24 * 3600),
        );
        let deposits_lapse_after = problems.duration(
            "deposits-lapse-after",
            &serve.deposits_lapse_after,
            Duration::from_secs(1),
            Duration::from_secs(30 * 24 * 3600),
        );
        let (least, most) = (Duration::from_secs(2 * 3600), Duration::from_secs(10 * 365 * 24 * 3600));
        let keep_events = problems.duration("keep-events", &serve.keep_events, least, most);
        let keep_bank_messages =
            problems.duration("keep-bank-messages", &serve.keep_bank_messages, least, most);
        let key = serve.audit_key_file.as_deref();
        let signer = key.map(|file| {
            signer(file, &serve.audit_name).map_err(|problem| problems.add("audit-key-file", problem)).ok()
        });
        let max_pending_deposits =
            problems.number("max-pending-deposits", &serve.max_pending_deposits, 1, 100_000);
        let identity = serve.identity.check(&mut problems);
        let (channel, insecure) = (serve.channel.as_deref(), serve.insecure_channel);
        let channel = Route::check("channel", channel, insecure, identity.as_ref(), &mut problems);
        let max_under_way = problems.number("max-under-way", &serve.max_under_way, 1, 1_000_000);
        let max_batch = problems.number("max-batch", &serve.max_batch, 1, 4096);
        let writers = problems.number("ledger-writers", &serve.ledger_writers, 1, 32);
        let connections = problems.number("database-connections", &serve.database_connections, 1, 1000);
        let max_clock_skew = problems.duration(
            "max-clock-skew",
            &serve.max_clock_skew,
            Duration::ZERO,
            Duration::from_secs(600),
        );
        let [least, most] = ARCHIVE_AFTER;
        let archive_after = serve.archive_after.as_deref();
        let archive_after = archive_after.map(|value| problems.duration("archive-after", value, least, most));
        let broker = serve.broker.check(keep_events, &mut problems);
        let door = serve.peers.check(identity.as_ref(), &mut problems);
        let server = serve.server.check(door, &mut problems);
        let telemetry = serve.telemetry.check(&mut problems);
        problems.finish(|| {
            let config = Config {
                database: database?,
                database_connections: connections?,
                channel: channel?,
                wrapping_keys: wrapping_keys?,
                signer: signer.flatten(),
                require_synchronous_standby: serve.require_synchronous_standby,
                migrate: serve.migrate,
                broker,
                limits: Limits {
                    max_under_way: max_under_way?,
                    max_clock_skew: max_clock_skew?,
                    archive_after: archive_after.flatten(),
                    seal_after: seal_after?,
                    deposits_lapse_after: deposits_lapse_after?,
                    keep_events: keep_events?,
                    keep_bank_messages: keep_bank_messages?,
                    max_pending_deposits: max_pending_deposits?,
                },
                book: BookConfig {
                    max_waiting: max_under_way?.saturating_mul(2),
                    max_batch: max_batch?,
                    writers: writers?,
                },
                server: server?,
            };
            Some((config, telemetry?))
        })
    }

    /// Checks what archiving needs: the database, and how long payments that are over stay.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn archive(&self, after: &str) -> Result<(Servers, Duration), SettingsError> {
        let mut problems = Problems::new();
        let database = self.database.check(&mut problems);
        let [least, most] = ARCHIVE_AFTER;
        let after = problems.duration("after", after, least, most);
        problems.finish(|| Some((database?, after?)))
    }

    /// Checks what reading personal data needs: the database, and what wraps its keys.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn encrypted_database(&self) -> Result<(Servers, Live<WrappingKeys>), SettingsError> {
        let mut problems = Problems::new();
        let database = self.database.check(&mut problems);
        let wrapping_keys = self.data_key.check(&mut problems);
        problems.finish(|| Some((database?, wrapping_keys?)))
    }

    /// Checks the one setting that the other jobs need.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn database(&self) -> Result<Servers, SettingsError> {
        let mut problems = Problems::new();
        let database = self.database.check(&mut problems);
        problems.finish(|| database)
    }
}

/// Reads the key that checkpoints are signed with.
fn signer(file: &Path, name: &str) -> Result<Signer, String> {
    let complain = |what: &str| format!("{}: {what}", file.display());
    let pem = std::fs::read(file).map_err(|error| complain(&error.to_string()))?;
    Signer::new(name, &pem).map_err(complain)
}

impl DataKeyArgs {
    fn check(&self, problems: &mut Problems) -> Option<Live<WrappingKeys>> {
        const WHAT: &str = "data-key-file";
        let needed = "the file of the key-encryption keys; `platform new-data-key` makes one";
        let file = problems.required(WHAT, self.data_key_file.as_ref(), needed)?;
        wrapping_keys(file.clone()).map_err(|problem| problems.add(WHAT, problem)).ok()
    }
}

/// Reads the file of the key-encryption keys, now and when it changes.
///
/// # Errors
/// What is wrong with it, without showing any of it.
pub fn wrapping_keys(file: PathBuf) -> Result<Live<WrappingKeys>, String> {
    Live::read(vec![file], |files| {
        let [file] = files else { return Err("one file is expected".to_owned()) };
        WrappingKeys::parse(&file.bytes).map_err(|problem| format!("{}: {problem}", file.file.display()))
    })
}

impl DatabaseArgs {
    fn check(&self, problems: &mut Problems) -> Option<Servers> {
        let file = self.database_url_file.as_ref();
        let value = std::env::var("RIALTO_DATABASE_URL").ok();
        let url: Secret = problems.secret("database-url", value.as_deref(), file)?;
        let read = Servers::read(url.expose());
        let servers = read.map_err(|wrong| {
            wrong.into_iter().for_each(|what| problems.add_free(format_args!("database-url: {what}")));
        });
        let servers = servers.ok()?;
        let is_verified = |server: &PgConnectOptions| {
            matches!(server.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
                || server.get_socket().is_some()
        };
        if !self.insecure_database && !servers.all().iter().all(is_verified) {
            let advice = "expected sslmode=verify-full (and sslrootcert) in it; or say --insecure-database";
            problems.add_free(format_args!("database-url: {advice}"));
        }
        Some(servers)
    }
}
