//! A system whose PostgreSQL has a standby, and what becomes of it.

use super::{DATABASE, System};
use crate::{BenchError, detour::Link, postgres::Postgres};

impl System {
    /// The other of two PostgreSQL servers: the standby, or who was the primary before [`Self::fail_over`].
    ///
    /// # Errors
    /// When there is only one.
    pub fn other_postgres(&mut self) -> Result<&mut Postgres, BenchError> {
        self.standby.as_mut().ok_or_else(|| "there is no standby".into())
    }

    /// Promotes the standby: it is the system's PostgreSQL from now on.
    ///
    /// # Errors
    /// When there is none, or it can't be promoted.
    pub async fn fail_over(&mut self) -> Result<(), BenchError> {
        let standby = self.standby.as_mut().ok_or("there is no standby")?;
        standby.promote().await?;
        std::mem::swap(&mut self.postgres, standby);
        Ok(())
    }

    /// Where the platform finds its database: on any of the servers that there are.
    pub(super) fn platforms_database_url(&self) -> Result<String, BenchError> {
        let mut hosts = self.way(Link::PlatformToDatabase, &self.postgres.address())?;
        let Some(standby) = &self.standby else { return Ok(self.postgres.url_at(&hosts, DATABASE)) };
        hosts = format!("{hosts},{}", self.way(Link::PlatformToDatabase, &standby.address())?);
        Ok(self.postgres.url_at(&hosts, DATABASE) + "?target_session_attrs=read-write")
    }
}
