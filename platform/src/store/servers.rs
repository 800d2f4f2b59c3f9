//! The PostgreSQL servers that the database may be on, of which one, the primary, accepts writes. Who is it is asked when a connection is
//! made, and remembered; where there are several, [`super::primary`] keeps watch.

mod lineage;
mod sever;
mod url;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, PgConnection, Row, postgres::PgConnectOptions};
use tokio::{task::JoinSet, time::timeout};

use super::doubt::Doubts;
pub use lineage::{Lineage, Unfit};

/// How long a server may take to let one in, where there are others to turn to, and where there is none.
const LONGEST_GREETING: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(5)];

/// How long the standbys may take to confirm the commit that a connection begins with.
const LONGEST_CONFIRMATION: Duration = Duration::from_secs(2);

/// The servers, in the order of the URL. Clones share what they know of the primary.
#[derive(Clone)]
pub struct Servers {
    all: Vec<PgConnectOptions>,
    must_write: bool,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    /// Held while the primary is looked for: whoever else misses it waits for what comes of that.
    choosing: tokio::sync::Mutex<()>,
    /// Held while doubts are settled.
    settling: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// The primary's place.
    primary: usize,
    /// The latest lineage that was written to, or seen.
    lineage: Option<Lineage>,
    /// Whether its commits wait for standbys.
    waits_for_standbys: bool,
    /// Where each server's connections lead, as far as its name could be looked up.
    addresses: Vec<Vec<SocketAddr>>,
    /// What was wrong with servers at the last look: the log has it already.
    unfit: Vec<(usize, Unfit)>,
}

/// Why there is no connection to the primary.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server said no, or could not be reached.
    #[error("{server}: {error}")]
    Failed {
        /// The server.
        server: String,
        /// What came.
        #[source]
        error: sqlx::Error,
    },
    /// The server does not answer.
    #[error("{0} does not answer")]
    Silent(String),
    /// The server is a standby, or read-only.
    #[error("{0} accepts no writes")]
    ReadOnly(String),
    /// The server accepts writes, and must not get any.
    #[error("{0} {1}")]
    Unfit(String, Unfit),
    /// What is committed there gets to no synchronous standby.
    #[error(
        "{0} has its commits wait for synchronous standbys, and none confirms them: a primary that was replaced, or its standbys are away"
    )]
    Unconfirmed(String),
    /// None of the servers can be written to.
    #[error("no server is the primary: {}", .0.join("; "))]
    NoPrimary(Vec<String>),
}

/// What a server says of itself.
struct Greeting {
    accepts_writes: bool,
    lineage: Option<Lineage>,
    waits_for_standbys: bool,
    process: i32,
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.all.len()).map(|place| self.name(place))).finish()
    }
}

impl From<PgConnectOptions> for Servers {
    fn from(only: PgConnectOptions) -> Self {
        Self::from(&only)
    }
}

impl From<&Self> for Servers {
    fn from(same: &Self) -> Self {
        same.clone()
    }
}

impl From<&PgConnectOptions> for Servers {
    fn from(only: &PgConnectOptions) -> Self {
        Self { all: vec![only.clone()], must_write: false, shared: Arc::default() }
    }
}

impl Servers {
    /// Reads a URL, which may name several hosts as libpq's do.
    ///
    /// # Errors
    /// Everything that is wrong with it, without showing secrets.
    pub fn read(url: &str) -> Result<Self, Vec<String>> {
        let url::Url { hosts, must_write } = url::read(url)?;
        Ok(Self { all: hosts, must_write, shared: Arc::default() })
    }

    /// The same servers, reached in another way.
    #[must_use]
    pub fn with(&self, change: impl Fn(PgConnectOptions) -> PgConnectOptions) -> Self {
        let all = self.all.iter().cloned().map(change).collect();
        Self { all, must_write: self.must_write, shared: Arc::clone(&self.shared) }
    }

    /// How each is reached.
    pub fn all(&self) -> &[PgConnectOptions] {
        &self.all
    }

    /// Whether there is anything to choose.
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Whether the primary's commits wait for standbys, as far as one knows.
    pub(super) fn wait_for_standbys(&self) -> bool {
        self.known(|known| known.waits_for_standbys)
    }

    /// How the primary is reached, as far as one knows.
    pub fn primary(&self) -> PgConnectOptions {
        self.all[self.place()].clone()
    }

    /// The primary's place among the servers, as far as one knows.
    pub(super) fn place(&self) -> usize {
        self.known(|known| known.primary)
    }

    /// What a server is called in logs: no secret is in it.
    pub(super) fn name(&self, place: usize) -> String {
        let server = &self.all[place];
        server.get_socket().map_or_else(
            || format!("{}:{}", server.get_host(), server.get_port()),
            |socket| socket.display().to_string(),
        )
    }

    fn longest_greeting(&self) -> Duration {
        let [with_others, alone] = LONGEST_GREETING;
        if self.are_several() { with_others } else { alone }
    }

    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.shared.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Connects to the primary, whichever server that is now.
    ///
    /// With synchronous standbys, a commit of nothing comes first. What a server shows that restarted, or where somebody ended a commit's
    /// wait, may be on no standby; after this commit all of it is, so that what is read back may be acknowledged. And a primary that was
    /// replaced never gets beyond it, since its standbys have gone.
    ///
    /// # Errors
    /// When there is none, or it lets nobody in.
    pub async fn connect(&self) -> Result<PgConnection, ConnectError> {
        let is_new = self.known(|known| known.lineage.is_none());
        let place = self.place();
        if self.are_several() && is_new {
            self.choose(place).await?;
        } else {
            match self.enter(place).await {
                Err(_) if self.are_several() => self.choose(place).await?,
                entered => return entered,
            }
        }
        self.enter(self.place()).await
    }

    async fn enter(&self, place: usize) -> Result<PgConnection, ConnectError> {
        let (mut connection, greeting) = self.greet(place).await?;
        if self.must_write && !greeting.accepts_writes {
            return Err(ConnectError::ReadOnly(self.name(place)));
        }
        if let Some(lineage) = greeting.lineage {
            self.known(|known| {
                lineage.judge(known.lineage)?;
                known.lineage = Some(lineage);
                Ok(())
            })
            .map_err(|why| self.unfit(place, why))?;
        }
        self.known(|known| known.waits_for_standbys = greeting.waits_for_standbys);
        let doubts = Doubts::so_far();
        if greeting.accepts_writes && greeting.waits_for_standbys {
            let nothing = "SELECT pg_logical_emit_message(true, 'rialto', '')";
            match timeout(LONGEST_CONFIRMATION, sqlx::raw_sql(nothing).execute(&mut connection)).await {
                Ok(done) => done.map(drop).map_err(|error| self.failed(place, error))?,
                Err(_) => {
                    drop(connection);
                    self.end(place, greeting.process).await;
                    return Err(ConnectError::Unconfirmed(self.name(place)));
                }
            }
        }
        doubts.settle();
        Ok(connection)
    }

    /// Has the standbys confirm what the primary shows, which settles all doubts.
    ///
    /// # Errors
    /// When they don't now.
    pub(super) async fn confirm(&self) -> Result<(), ConnectError> {
        let _one_at_a_time = self.shared.settling.lock().await;
        self.confirm_now().await
    }

    /// The same, unless there is no doubt any more when it is one's turn.
    ///
    /// # Errors
    /// When they don't now.
    pub(super) async fn settle(&self) -> Result<(), ConnectError> {
        let _one_at_a_time = self.shared.settling.lock().await;
        if Doubts::are_open() { self.confirm_now().await } else { Ok(()) }
    }

    async fn confirm_now(&self) -> Result<(), ConnectError> {
        let servers = self.clone();
        // A task, since who waits may give up: what was begun at the server must be ended all the same.
        let settling = tokio::spawn(async move { servers.connect().await.map(drop) });
        settling.await.unwrap_or_else(|_| Err(ConnectError::Silent(self.name(self.place()))))
    }

    /// Connects, and asks the server who it is.
    async fn greet(&self, place: usize) -> Result<(PgConnection, Greeting), ConnectError> {
        let greeting = async {
            let mut connection = self.all[place].connect().await?;
            let row = sqlx::raw_sql(
                "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool, \
                   CASE WHEN NOT pg_is_in_recovery() THEN \
                     ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END, \
                   (SELECT system_identifier FROM pg_control_system()), \
                   current_setting('synchronous_standby_names') <> '', pg_backend_pid()",
            )
            .fetch_one(&mut connection)
            .await?;
            let (timeline, system) = (row.try_get::<Option<i64>, _>(1)?, row.try_get(2)?);
            let greeting = Greeting {
                accepts_writes: !row.try_get::<bool, _>(0)?,
                lineage: timeline.map(|timeline| Lineage { system, timeline }),
                waits_for_standbys: row.try_get(3)?,
                process: row.try_get(4)?,
            };
            Ok((connection, greeting))
        };
        match timeout(self.longest_greeting(), greeting).await {
            Ok(greeting) => greeting.map_err(|error| self.failed(place, error)),
            Err(_) => Err(ConnectError::Silent(self.name(place))),
        }
    }

    /// Ends a process of the server's that waits for standbys: it does not notice that nobody waits for it any more, and there are only
    /// so many. What waits there is nothing that matters.
    async fn end(&self, place: usize, process: i32) {
        let Ok((mut connection, _)) = self.greet(place).await else { return };
        let end = sqlx::query("SELECT pg_terminate_backend($1)").bind(process).execute(&mut connection);
        let _ = timeout(self.longest_greeting(), end).await;
    }

    /// Looks at all servers, and finds the primary among them; where `missed` was it and is not so any more, somebody has already
    /// looked.
    ///
    /// # Errors
    /// When none is; says of each why.
    async fn choose(&self, missed: usize) -> Result<(), ConnectError> {
        let _one_at_a_time = self.shared.choosing.lock().await;
        if self.place() != missed {
            return Ok(());
        }
        self.look_around().await
    }

    /// Looks at all servers, and takes the one for the primary that is.
    ///
    /// # Errors
    /// When none is; says of each why.
    pub(super) async fn look_around(&self) -> Result<(), ConnectError> {
        let mut looking = JoinSet::new();
        for place in 0..self.all.len() {
            let servers = self.clone();
            looking.spawn(async move { (place, servers.addresses(place).await, servers.greet(place).await) });
        }
        let (mut writable, mut reasons) = (Vec::new(), Vec::new());
        let (mut connections, mut waits) = (Vec::new(), BTreeMap::new());
        while let Some(looked) = looking.join_next().await {
            let Ok((place, addresses, found)) = looked else { continue };
            self.known(|known| {
                known.addresses.resize(self.all.len(), Vec::new());
                if !addresses.is_empty() {
                    known.addresses[place] = addresses;
                }
            });
            match found {
                Ok((
                    connection,
                    Greeting { accepts_writes: true, lineage: Some(lineage), waits_for_standbys, .. },
                )) => {
                    waits.insert(place, waits_for_standbys);
                    writable.push((place, lineage));
                    connections.push(connection);
                }
                Ok((connection, _)) => {
                    reasons.push(ConnectError::ReadOnly(self.name(place)).to_string());
                    connections.push(connection);
                }
                Err(error) => reasons.push(error.to_string()),
            }
        }
        let patience = self.longest_greeting();
        tokio::spawn(async move {
            for connection in connections {
                let _ = timeout(patience, connection.close()).await;
            }
        });
        writable.sort_by_key(|(place, _)| *place);
        let (primary, unfit) = self.known(|known| {
            let (primary, unfit) = lineage::choose(known.lineage, known.primary, &writable);
            if let Some(place) = primary {
                known.primary = place;
                // Somebody may have it wait, or no longer, while connections stay.
                known.waits_for_standbys = waits.get(&place).copied().unwrap_or_default();
                known.lineage = writable.iter().find(|(one, _)| *one == place).map(|(_, lineage)| *lineage);
            }
            let said = std::mem::replace(&mut known.unfit, unfit.clone());
            (primary, unfit.into_iter().map(|one| (one, said.contains(&one))).collect::<Vec<_>>())
        });
        for ((place, why), is_said) in unfit {
            if !is_said {
                let server = self.name(place);
                tracing::error!(server, %why, "ALARM: a database server accepts writes that must not get any");
            }
            reasons.push(self.unfit(place, why).to_string());
        }
        primary.map(drop).ok_or(ConnectError::NoPrimary(reasons))
    }

    async fn addresses(&self, place: usize) -> Vec<SocketAddr> {
        let server = &self.all[place];
        let name = (server.get_host().to_owned(), server.get_port());
        let looking = timeout(self.longest_greeting(), tokio::net::lookup_host(name));
        looking.await.into_iter().flatten().flatten().collect()
    }

    /// Ends all of this process's connections to a server, so that nobody waits for what does not come.
    pub(super) fn sever(&self, place: usize) {
        let addresses = self.known(|known| known.addresses.get(place).cloned().unwrap_or_default());
        let ended = sever::sever(&addresses);
        tracing::warn!(server = self.name(place), ended, "connections to a database server are given up");
    }

    fn unfit(&self, place: usize, why: Unfit) -> ConnectError {
        ConnectError::Unfit(self.name(place), why)
    }

    fn failed(&self, place: usize, error: sqlx::Error) -> ConnectError {
        ConnectError::Failed { server: self.name(place), error }
    }
}
