//! Participants: who there is, and who is let in.

use std::time::SystemTime;

use time::OffsetDateTime;

use super::{
    Store, StoreError,
    acts::{self, Act, By},
    to_sql,
};

/// A participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Its name.
    pub name: String,
    /// When it was first seen.
    pub created_at: SystemTime,
    /// Since when it is let in no more, if so.
    pub disabled_at: Option<SystemTime>,
}

type Row = (String, OffsetDateTime, Option<OffsetDateTime>);

fn participant((name, created_at, disabled_at): Row) -> Participant {
    Participant { name, created_at: created_at.into(), disabled_at: disabled_at.map(Into::into) }
}

impl Store {
    /// Creates a participant, if there is none of the name. Returns it, and whether it was there before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_participant(
        &self,
        name: &str,
        by: &By<'_>,
    ) -> Result<(Participant, bool), StoreError> {
        let mut transaction = self.pool().begin().await?;
        let created =
            sqlx::query("INSERT INTO participants (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(name)
                .bind(to_sql(by.at))
                .execute(&mut *transaction)
                .await?
                .rows_affected();
        let row = sqlx::query_as("SELECT id, created_at, disabled_at FROM participants WHERE id = $1");
        let row: Row = row.bind(name).fetch_one(&mut *transaction).await?;
        if created > 0 {
            acts::save(&mut transaction, Act::CreateParticipant, name, by).await?;
        }
        transaction.commit().await?;
        Ok((participant(row), created == 0))
    }

    /// Disables a participant, of which there may be no record yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn disable_participant(&self, name: &str, by: &By<'_>) -> Result<Participant, StoreError> {
        let mut transaction = self.pool().begin().await?;
        sqlx::query("INSERT INTO participants (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(to_sql(by.at))
            .execute(&mut *transaction)
            .await?;
        let changed = sqlx::query_as(
            "UPDATE participants SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL \
             RETURNING id, created_at, disabled_at",
        );
        let changed: Option<Row> =
            changed.bind(name).bind(to_sql(by.at)).fetch_optional(&mut *transaction).await?;
        let row = match changed {
            Some(row) => {
                acts::save(&mut transaction, Act::DisableParticipant, name, by).await?;
                row
            }
            None => {
                let row =
                    sqlx::query_as("SELECT id, created_at, disabled_at FROM participants WHERE id = $1");
                row.bind(name).fetch_one(&mut *transaction).await?
            }
        };
        transaction.commit().await?;
        Ok(participant(row))
    }

    /// Enables a participant; none if there is no record of it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enable_participant(
        &self,
        name: &str,
        by: &By<'_>,
    ) -> Result<Option<Participant>, StoreError> {
        let mut transaction = self.pool().begin().await?;
        let sql = "UPDATE participants SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL";
        let changed = sqlx::query(sql).bind(name).execute(&mut *transaction).await?.rows_affected();
        if changed > 0 {
            acts::save(&mut transaction, Act::EnableParticipant, name, by).await?;
        }
        let row = sqlx::query_as("SELECT id, created_at, disabled_at FROM participants WHERE id = $1");
        let row: Option<Row> = row.bind(name).fetch_optional(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(row.map(participant))
    }

    /// Whether there is a record of a participant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_participant(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT FROM participants WHERE id = $1)";
        Ok(sqlx::query_scalar(sql).bind(name).fetch_one(self.pool()).await?)
    }

    /// The participants by name, from behind `after` on, without the owner of the settlement accounts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn participants(&self, after: &str, limit: i64) -> Result<Vec<Participant>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, created_at, disabled_at FROM participants WHERE id > $1 AND id <> $2 ORDER BY id LIMIT $3",
        )
        .bind(after)
        .bind(common::text::HOUSE)
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        Ok(rows.into_iter().map(participant).collect())
    }
}
