//! How a primary goes, and what becomes of it after the standby was promoted.

use std::{fmt, process::Command};

use harness::{BenchError, postgres::Postgres, system::System};
use sqlx::{Connection, PgConnection};

/// How a primary goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// It is killed, and started again later.
    Killed,
    /// It stands still, and goes on later: the classic split brain.
    Frozen,
    /// No packet reaches it any more, nor leaves it; later they do again.
    Cut,
}

/// Packets from and to a port that are dropped, until this is.
pub struct Dropped(Option<u16>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "is killed",
            Self::Frozen => "stands still",
            Self::Cut => "is cut off",
        })
    }
}

impl Fault {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Killed, Self::Frozen, Self::Cut];

    /// Whether this machine can do it.
    ///
    /// # Errors
    /// Why not.
    pub fn can_be_done(self) -> Result<(), &'static str> {
        let listed = Command::new("iptables").args(["-w", "-n", "-L", "INPUT"]).output();
        match self {
            Self::Cut if !listed.is_ok_and(|out| out.status.success()) => Err("it takes root and iptables"),
            _ => Ok(()),
        }
    }

    /// Has the primary go.
    ///
    /// # Errors
    /// When it does not.
    pub fn strike(self, system: &mut System) -> Result<Dropped, BenchError> {
        match self {
            Self::Killed => system.postgres().kill()?,
            Self::Frozen => system.postgres().freeze()?,
            Self::Cut => {
                let address = system.postgres().address();
                let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).ok_or("no port")?;
                return Dropped::begin(port);
            }
        }
        Ok(Dropped(None))
    }

    /// Has the old primary come back.
    ///
    /// # Errors
    /// When it does not.
    pub async fn end(self, dropped: Dropped, system: &mut System) -> Result<(), BenchError> {
        drop(dropped);
        match self {
            Self::Killed => system.other_postgres()?.come_back().await,
            Self::Frozen => system.other_postgres()?.thaw(),
            Self::Cut => Ok(()),
        }
    }
}

/// Steps of payments that a server has.
///
/// # Errors
/// When it does not say.
pub async fn steps(server: &Postgres) -> Result<i64, BenchError> {
    let mut connection = PgConnection::connect_with(&server.options("rialto")).await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM payment_events").fetch_one(&mut connection).await?)
}

impl Dropped {
    fn begin(port: u16) -> Result<Self, BenchError> {
        let dropped = Self(Some(port));
        if rules("-I", port) { Ok(dropped) } else { Err("iptables can't drop packets".into()) }
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(port) = self.0 {
            rules("-D", port);
        }
    }
}

fn rules(act: &str, port: u16) -> bool {
    ["--dport", "--sport"].iter().all(|side| {
        let mut rule = Command::new("iptables");
        rule.args(["-w", act, "INPUT", "-i", "lo", "-p", "tcp", side, &port.to_string(), "-j", "DROP"]);
        rule.status().is_ok_and(|status| status.success())
    })
}
