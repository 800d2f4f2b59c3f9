//! The schema's migrations, and what a database must be to be trusted with money.

use sqlx::{Connection, migrate::Migrator};

use super::servers::{ConnectError, Servers};

static MIGRATIONS: Migrator = sqlx::migrate!();

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
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database would lose or damage money.
    #[error("the database is not safe for money: {}", .0.join("; "))]
    Unsafe(Vec<String>),
    /// The schema lacks migrations.
    #[error("the schema lacks migration {0}: run `platform migrate` or start with --migrate")]
    Behind(i64),
}

/// Brings the schema up to date. Safe to run at the same time from several places: a lock lets one do it.
///
/// # Errors
/// When the database fails or a migration that ran here was edited since.
pub async fn migrate(servers: impl Into<Servers>) -> Result<(), SchemaError> {
    let mut connection =
        servers.into().with(|server| server.options([("lock_timeout", "10s")])).connect().await?;
    MIGRATIONS.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
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
