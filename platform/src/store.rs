//! SQL and nothing else: loads what the rules need, saves what they decide.

pub mod accounts;
pub mod acts;
pub mod alarms;
pub mod api_keys;
pub mod archive;
pub mod audit;
pub mod balances;
pub mod broker;
pub mod conversation;
pub mod data_keys;
pub mod deposits;
pub mod dispatches;
pub mod doubt;
pub mod durability;
pub mod event_log;
pub mod figures;
pub mod known;
pub mod limits;
pub mod load;
pub mod participants;
pub mod payments;
pub mod primary;
pub mod refunds;
pub mod request_nonces;
pub mod resolutions;
pub mod save;
pub mod schema;
pub mod servers;
pub mod standbys;
pub mod statistics;
pub mod stories;
pub mod transfers;
pub mod webhooks;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use sqlx::{
    PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use time::OffsetDateTime;

use data_keys::DataKeys;
use doubt::Doubts;
use servers::{ConnectError, Servers};

/// The role that the platform works as; it cannot change history.
const ROLE: &str = "rialto_platform";

/// A connection that lay idle for longer is asked whether it is still there before it is used.
const ASKED_WHEN_IDLE_FOR: Duration = Duration::from_secs(1);

/// The database, as the platform uses it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    servers: Servers,
    keys: Arc<DataKeys>,
}

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no, or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// No connection could be made.
    #[error("no connection to the database: {0}")]
    NotConnected(#[from] ConnectError),
    /// Something changed between the reading and the writing; the unit of work is to be done again.
    #[error("{0} changed meanwhile")]
    Conflict(&'static str),
    /// The commit was answered as done, and the database warned meanwhile.
    #[error("the database warned while it committed: it is not certain that the standbys have what it wrote")]
    Doubtful,
    /// A row holds what it cannot hold.
    #[error("column {0} holds what cannot be read")]
    Corrupt(&'static str),
    /// What tells of people can be neither sealed nor opened.
    #[error("there is no data key for it here")]
    NoDataKey,
}

impl StoreError {
    /// Whether doing the whole unit of work again can help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Conflict(_) | Self::NotConnected(_) | Self::Doubtful => true,
            Self::Corrupt(_) | Self::NoDataKey => false,
            Self::Database(error) => match error.as_database_error() {
                Some(error) => error.code().is_some_and(|code| is_passing(&code)),
                None => is_line_error(error),
            },
        }
    }

    /// Whether somebody else was faster: the next look shows what they wrote.
    pub fn is_lost_race(&self) -> bool {
        matches!(self, Self::Conflict(_))
            || self.code().is_some_and(|code| code == "23505" || code == CHANGED)
    }

    /// Whether the rules of the database say no, rather than its state: what was decided without locks may only have come
    /// too late.
    pub fn is_refused(&self) -> bool {
        self.is_lost_race() || self.code().is_some_and(|code| code.starts_with("23"))
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Database(error) => error.as_database_error()?.code(),
            Self::NotConnected(_)
            | Self::Conflict(_)
            | Self::Doubtful
            | Self::Corrupt(_)
            | Self::NoDataKey => None,
        }
    }

    /// The violated constraint, if that is what it is.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(error) => error.as_database_error()?.constraint(),
            Self::NotConnected(_)
            | Self::Conflict(_)
            | Self::Doubtful
            | Self::Corrupt(_)
            | Self::NoDataKey => None,
        }
    }
}

/// With this the function `changed_meanwhile` refuses what was decided on something that has changed.
const CHANGED: &str = "40001";

/// Serialization, deadlock, lock timeout, read-only (a primary that was replaced), connection, shutdown, system and
/// resource errors (PostgreSQL, appendix A), and a duplicate key: another platform wrote the same request meanwhile, and
/// the next look finds it.
fn is_passing(code: &str) -> bool {
    matches!(code, "23505" | "25006" | "25P03" | "40001" | "40P01" | "55P03" | "57014")
        || ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class))
}

/// Whether the line to the database failed, not what was sent over it.
fn is_line_error(error: &sqlx::Error) -> bool {
    use sqlx::Error::{BeginFailed, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    matches!(error, BeginFailed | Io(_) | PoolClosed | PoolTimedOut | Protocol(_) | Tls(_) | WorkerCrashed)
}

impl Store {
    /// Prepares connections; the first is made when first needed. What tells of people is not read before [`Self::unlock`].
    pub fn new(servers: impl Into<Servers>, max_connections: u32) -> Self {
        let settings = [
            ("idle_in_transaction_session_timeout", "5s"),
            ("lock_timeout", "3s"),
            ("statement_timeout", "10s"),
            ("default_transaction_isolation", "read committed"),
            ("jit", "off"),
            // Every statement here finds its rows by index. A plan made while a table was empty must not say otherwise.
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            // Nor does one read so many that to start further processes would pay.
            ("max_parallel_workers_per_gather", "0"),
            // A plan for what a batch happens to hold is no better than one for any, and planning costs more than most batches.
            ("plan_cache_mode", "force_generic_plan"),
        ];
        let tailored =
            |server: PgConnectOptions| server.application_name("rialto-platform").options(settings);
        let servers = servers.into().with(tailored);
        let (is_one_of_several, acquired, connected) =
            (servers.are_several(), servers.clone(), servers.clone());
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(2))
            .test_before_acquire(false)
            .before_acquire(move |connection, idle| {
                let is_doubtful = Doubts::are_open() && acquired.wait_for_standbys();
                let doubtful = is_doubtful.then(|| acquired.clone());
                Box::pin(may_be_read(connection, idle.idle_for, doubtful))
            })
            .after_connect(move |connection, _| {
                let servers = connected.clone();
                Box::pin(async move {
                    enter(connection, is_one_of_several).await?;
                    // What a server shows that was restarted meanwhile may be on no standby.
                    match servers.wait_for_standbys() {
                        true => servers.confirm().await.map_err(not_connected),
                        false => Ok(()),
                    }
                })
            })
            .after_release(|connection, _| Box::pin(leave_any_transaction(connection)))
            .connect_lazy_with(servers.primary());
        Self { pool, servers, keys: Arc::default() }
    }

    /// Connections for reading, shared.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether commits wait for standbys, so that what is seen may be on none of them ([`doubt`]).
    pub fn waits_for_standbys(&self) -> bool {
        self.servers.wait_for_standbys()
    }

    /// A connection of one's own, to the primary: see [`Servers::connect`].
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.servers.connect().await?;
        enter(&mut connection, false).await?;
        Ok(connection)
    }
}

/// Takes the platform's role. One of several servers may have become a standby since it was last looked at, which shows what is over.
async fn enter(connection: &mut PgConnection, is_one_of_several: bool) -> Result<(), sqlx::Error> {
    const TAKE_ROLE: &str = const_format::concatcp!("SET ROLE ", ROLE);
    if !is_one_of_several {
        return sqlx::raw_sql(TAKE_ROLE).execute(connection).await.map(drop);
    }
    const AND_LOOK: &str = const_format::concatcp!(TAKE_ROLE, "; SELECT pg_is_in_recovery()");
    match sqlx::raw_sql(AND_LOOK).fetch_one(connection).await?.try_get(0)? {
        true => Err(std::io::Error::other("the server is a standby now").into()),
        false => Ok(()),
    }
}

/// One that was just used is alive: asking it would cost as much again as what it is wanted for.
async fn may_be_read(
    connection: &mut PgConnection,
    idle_for: Duration,
    doubtful: Option<Servers>,
) -> Result<bool, sqlx::Error> {
    if idle_for > ASKED_WHEN_IDLE_FOR {
        sqlx::Connection::ping(connection).await?;
    }
    match doubtful {
        Some(servers) => servers.settle().await.map(|()| true).map_err(not_connected),
        None => Ok(true),
    }
}

/// As the pool hears of it.
fn not_connected(error: ConnectError) -> sqlx::Error {
    std::io::Error::other(error).into()
}

/// A `begin()` whose future was dropped can leave its connection inside a transaction (sqlx 0.8.4 to 0.9.0); what the
/// next user commits there would be lost. The `BEGIN` keeps the `ROLLBACK` from being a warning when all is well.
async fn leave_any_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::raw_sql("BEGIN; ROLLBACK").execute(connection).await.map(|_| true)
}

/// A time as the database takes it.
fn to_sql(time: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(time)
}

/// A duration as the database takes it, in microseconds.
fn to_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
