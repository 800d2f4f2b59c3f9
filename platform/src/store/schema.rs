//! The schema's migrations, and what a database must be to be trusted with money.

use std::{
    error::Error,
    sync::LazyLock,
    time::{Duration, Instant},
};

use sqlx::{
    Connection,
    migrate::{MigrateError, Migrator},
};

use super::servers::{ConnectError, Servers};

/// Those of newer versions, which this one works on as well, are left alone.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!();
    migrations.set_ignore_missing(true);
    migrations
});

/// How long payments may queue up behind a migration that waits for somebody's lock.
const LOCK_TIMEOUT: &str = "2s";
/// How long to go on trying, and the pause in which those who queued up get on with their work.
const TRIES_FOR: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(1);

/// The oldest PostgreSQL that the statements run on.
const OLDEST_VERSION: i32 = 150_000;

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database said no, or could not be reached.
    #[error("cannot use the database: {0}")]
    Database(#[from] sqlx::Error),
    /// No connection could be made.
    #[error("cannot use the database: {0}")]
    NotConnected(#[from] ConnectError),
    /// A migration failed.
    #[error("cannot bring the schema up to date: {0}")]
    Migration(#[from] MigrateError),
    /// Somebody else holds a lock that a migration needs.
    #[error(
        "cannot bring the schema up to date: somebody else has held a lock that it needs for {} s; nothing of that migration was done: \
         end what holds it (pg_stat_activity, pg_locks) and run it again", TRIES_FOR.as_secs()
    )]
    Locked,
    /// The database would lose or damage money.
    #[error("the database is not safe for money: {}", .0.join("; "))]
    Unsafe(Vec<String>),
    /// The schema lacks migrations.
    #[error("the schema lacks migration {0}: run `platform migrate` or start with --migrate")]
    Behind(i64),
}

/// Brings the schema up to date. Safe to run at the same time from several places, a lock lets one do it; while payments are made,
/// which it holds up for no longer than [`LOCK_TIMEOUT`] at a time; and again after it was killed. A schema of a newer version stays as it is.
///
/// # Errors
/// When the database fails, a migration that ran here was edited since, or somebody else holds a lock for too long.
pub async fn migrate(servers: impl Into<Servers>) -> Result<(), SchemaError> {
    let servers = servers.into().with(|server| server.options([("lock_timeout", LOCK_TIMEOUT)]));
    let give_up = Instant::now() + TRIES_FOR;
    loop {
        match migrate_once(&servers).await {
            Err(error) if is_locked(&error) && Instant::now() < give_up => {
                tracing::warn!(%error, "somebody else holds a lock that a migration needs; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) if is_locked(&error) => return Err(SchemaError::Locked),
            done => return done,
        }
    }
}

async fn migrate_once(servers: &Servers) -> Result<(), SchemaError> {
    let mut connection = servers.connect().await?;
    MIGRATIONS.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Whether a lock was not to be had in time, or only by breaking a deadlock.
fn is_locked(error: &SchemaError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let database = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        if let Some(code) = database.and_then(|error| error.code()) {
            return ["55P03", "40P01"].contains(&code.as_ref());
        }
        cause = error.source();
    }
    false
}

/// Checks that the database keeps what it acknowledges, is new enough, and has the schema.
///
/// # Errors
/// [`SchemaError::Unsafe`] with everything that is wrong.
pub async fn check(servers: impl Into<Servers>) -> Result<(), SchemaError> {
    let mut connection = servers.into().connect().await?;
    let mut problems = Vec::new();
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(&mut connection)
        .await?;
    if version < OLDEST_VERSION {
        problems.push(format!("PostgreSQL 15 or newer is needed, this is {}", version / 10_000));
    }
    for (setting, meaning) in [
        ("fsync", "a crash of the machine damages it"),
        ("full_page_writes", "a crash of the machine damages it"),
        ("synchronous_commit", "a crash loses payments that were acknowledged"),
    ] {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut connection).await?;
        if value == "off" {
            problems.push(format!("{setting} is off, so {meaning}: set {setting} = on"));
        }
    }
    if !problems.is_empty() {
        return Err(SchemaError::Unsafe(problems));
    }
    let present: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut connection)
        .await?;
    let done: Vec<i64> = if present {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&mut connection)
            .await?
    } else {
        Vec::new()
    };
    connection.close().await?;
    match MIGRATIONS.iter().map(|migration| migration.version).find(|version| !done.contains(version)) {
        Some(version) => Err(SchemaError::Behind(version)),
        None => Ok(()),
    }
}

impl super::Store {
    /// The key that authenticates page tokens.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page_token_key(&self) -> Result<[u8; 32], super::StoreError> {
        let key: Vec<u8> =
            sqlx::query_scalar("SELECT page_token_key FROM installation").fetch_one(self.pool()).await?;
        key.try_into().map_err(|_| super::StoreError::Corrupt("installation.page_token_key"))
    }
}
