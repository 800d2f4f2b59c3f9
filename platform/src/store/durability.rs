//! What the database does with what it acknowledges. One round trip on a connection of its own.

use sqlx::Connection;

use super::{Store, StoreError};

/// The settings of PostgreSQL that decide what an acknowledged payment survives.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Durability {
    /// The server's version.
    pub version: String,
    /// Whether it waits until the disk has what it wrote.
    pub fsync: bool,
    /// When it says that a commit is done.
    pub synchronous_commit: String,
    /// Whether a page that was half written can be mended.
    pub full_page_writes: bool,
    /// Whether it notices damaged pages.
    pub data_checksums: bool,
    /// Whether the connection to it is encrypted.
    pub is_encrypted: bool,
}

impl Store {
    /// What the database does with what it acknowledges, as a connection like those of the ledger sees it. It does not take
    /// the platform's role, which may not know whether the connection is encrypted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        let mut connection = self.servers.connect().await?;
        let durability = sqlx::query_as(
            "SELECT current_setting('server_version') AS version, current_setting('fsync')::bool AS fsync, \
               current_setting('synchronous_commit') AS synchronous_commit, \
               current_setting('full_page_writes')::bool AS full_page_writes, \
               current_setting('data_checksums')::bool AS data_checksums, \
               (SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()) AS is_encrypted",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(durability)
    }
}
