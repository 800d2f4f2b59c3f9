//! How far events have been published to the broker, and whose turn it is to. One row, there from the first time that anybody publishes.

use std::time::Duration;

use uuid::Uuid;

use super::{Store, StoreError, to_micros};

/// Somebody's turn to publish: for so long nobody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerTurn {
    /// Who has it.
    pub holder: Uuid,
    /// The place behind which nothing is published yet.
    pub behind: i64,
}

impl Store {
    /// Begins to publish with what is placed from now on, unless somebody has before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_broker(&self) -> Result<(), StoreError> {
        let sql = "INSERT INTO broker_published (up_to) SELECT next_position - 1 FROM events_placed WHERE singleton \
             ON CONFLICT DO NOTHING";
        sqlx::query(sql).execute(self.pool()).await?;
        Ok(())
    }

    /// How far events have been published, and how far there are any; none if nobody has ever begun to publish.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn published(&self) -> Result<Option<(i64, i64)>, StoreError> {
        let sql = "SELECT b.up_to, p.next_position - 1 FROM broker_published b, events_placed p WHERE b.singleton AND p.singleton";
        Ok(sqlx::query_as(sql).fetch_optional(self.pool()).await?)
    }

    /// Takes the turn, or keeps it, for so long; none while somebody else has it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_broker_turn(
        &self,
        holder: Uuid,
        lease: Duration,
    ) -> Result<Option<BrokerTurn>, StoreError> {
        let sql = "UPDATE broker_published SET holder = $1, leased_until = clock_timestamp() + $2 * interval '1 microsecond' \
             WHERE singleton AND (holder IS NULL OR holder = $1 OR leased_until < clock_timestamp()) RETURNING up_to";
        let behind =
            sqlx::query_scalar(sql).bind(holder).bind(to_micros(lease)).fetch_optional(self.pool()).await?;
        Ok(behind.map(|behind| BrokerTurn { holder, behind }))
    }

    /// What stands up to `end` is published, but for `missed` events that the log had forgotten. Says whether the turn was still there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_broker_turn(&self, turn: BrokerTurn, end: i64, missed: i64) -> Result<bool, StoreError> {
        let sql = "UPDATE broker_published SET up_to = $3, missed = missed + $4 WHERE singleton AND holder = $1 AND up_to = $2";
        let ended = sqlx::query(sql).bind(turn.holder).bind(turn.behind).bind(end).bind(missed);
        Ok(ended.execute(self.pool()).await?.rows_affected() > 0)
    }

    /// Lets the next one have the turn at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_broker_turn(&self, holder: Uuid) -> Result<(), StoreError> {
        let sql =
            "UPDATE broker_published SET holder = NULL, leased_until = NULL WHERE singleton AND holder = $1";
        sqlx::query(sql).bind(holder).execute(self.pool()).await?;
        Ok(())
    }
}
