//! Who let whom in or out: the record, and what follows from it for gateways.

use std::time::SystemTime;

use common::id::ApiKeyId;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Store, StoreError, to_sql};

/// Who acts, and when.
#[derive(Clone, Debug)]
pub struct By<'a> {
    /// The participant whose operator it is.
    pub participant: &'a str,
    /// The operator's credential.
    pub credential: &'a str,
    /// When.
    pub at: SystemTime,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    CreateParticipant,
    DisableParticipant,
    EnableParticipant,
    CreateApiKey(ApiKeyId),
    RotateApiKey(ApiKeyId),
    RevokeApiKey(ApiKeyId),
}

impl Act {
    fn row(self) -> (&'static str, Option<ApiKeyId>) {
        match self {
            Self::CreateParticipant => ("CREATE_PARTICIPANT", None),
            Self::DisableParticipant => ("DISABLE_PARTICIPANT", None),
            Self::EnableParticipant => ("ENABLE_PARTICIPANT", None),
            Self::CreateApiKey(id) => ("CREATE_API_KEY", Some(id)),
            Self::RotateApiKey(id) => ("ROTATE_API_KEY", Some(id)),
            Self::RevokeApiKey(id) => ("REVOKE_API_KEY", Some(id)),
        }
    }
}

/// Puts an act on record, in the transaction that does it and as the last thing there: other acts wait from here on.
pub(super) async fn save(
    connection: &mut PgConnection,
    act: Act,
    participant: &str,
    by: &By<'_>,
) -> Result<(), StoreError> {
    let (act, api_key) = act.row();
    sqlx::query(
        "INSERT INTO identity_acts (act, participant_id, api_key_id, by_participant, by_credential, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(act)
    .bind(participant)
    .bind(api_key.map(ApiKeyId::uuid))
    .bind(by.participant)
    .bind(by.credential)
    .bind(to_sql(by.at))
    .execute(connection)
    .await?;
    Ok(())
}

/// An API key that works, as far as a gateway needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct WorkingKey {
    /// Its keyed hash.
    pub hash: Vec<u8>,
    /// Whose it is.
    pub participant_id: String,
    /// What it is for, by the roles' names.
    pub roles: Vec<String>,
    /// Whose it is in four-eyes rules.
    pub credential: String,
    /// When it ends, if ever.
    pub expires_at: Option<OffsetDateTime>,
}

impl Store {
    /// How many acts there are: whoever has seen as many knows who may call.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn acts(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT acts FROM installation").fetch_one(self.pool()).await?)
    }

    /// Every API key that works at a time, and every disabled participant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn callers(&self, now: SystemTime) -> Result<(Vec<WorkingKey>, Vec<String>), StoreError> {
        let keys = sqlx::query_as(
            "SELECT hash, participant_id, roles, credential, expires_at FROM api_keys \
             WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)",
        );
        let keys = keys.bind(to_sql(now)).fetch_all(self.pool()).await?;
        let disabled = sqlx::query_scalar("SELECT id FROM participants WHERE disabled_at IS NOT NULL");
        Ok((keys, disabled.fetch_all(self.pool()).await?))
    }
}
