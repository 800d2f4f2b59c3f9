//! What is on record of API keys. Locks are taken in this order: participant, key, the count of acts.

use std::time::SystemTime;

use common::{id::ApiKeyId, role::Role, verification_key::VerificationKey};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Store, StoreError,
    acts::{self, Act, By},
    to_sql,
};
use crate::domain::payment::Fingerprint;

/// How many keys of a participant may work at once: every gateway keeps them all in memory.
const MAX_WORKING: i64 = 100;

/// What is on record of an API key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub participant: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// What people know it by.
    pub label: String,
    /// Whose it is in four-eyes rules.
    pub credential: String,
    /// The key that it was made to replace.
    pub replaces: Option<ApiKeyId>,
    /// The caller's id of the request that made it.
    pub request_id: String,
    /// A hash of that request.
    pub fingerprint: Fingerprint,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it ends by itself, if ever.
    pub expires_at: Option<SystemTime>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<SystemTime>,
    /// What its calls are verified with, if they are signed.
    pub verification_key: Option<VerificationKey>,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its record.
    pub record: ApiKey,
    /// Its keyed hash.
    pub hash: [u8; 32],
    /// When the key ends that it replaces.
    pub replaced_ends_at: Option<SystemTime>,
}

/// What came of making a key.
#[derive(Clone, Debug)]
pub enum Made {
    /// It is on record.
    Now(ApiKey),
    /// An earlier request with this id made one.
    Before(ApiKey),
    /// There is no record of the participant.
    NoParticipant,
    /// The participant has too many keys that work.
    TooMany,
    /// The key to be replaced works no more.
    Ended,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    participant_id: String,
    roles: Vec<String>,
    label: String,
    credential: String,
    replaces: Option<Uuid>,
    request_id: String,
    request_fingerprint: Uuid,
    created_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
    verification_key: Option<Vec<u8>>,
}

const COLUMNS: &str = "id, participant_id, roles, label, credential, replaces, request_id, request_fingerprint, created_at, \
     expires_at, revoked_at, verification_key";
const SELECT: &str = const_format::concatcp!("SELECT ", COLUMNS, " FROM api_keys ");
/// The condition that a key works at `$2`.
const WORKS: &str = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";

impl TryFrom<Row> for ApiKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let verification_key = row.verification_key.as_deref().map(VerificationKey::read).transpose();
        let roles: Option<Vec<Role>> = row.roles.iter().map(|name| Role::named(name)).collect();
        Ok(Self {
            id: ApiKeyId::from_uuid(row.id),
            participant: row.participant_id,
            roles: roles.ok_or(StoreError::Corrupt("api_keys.roles"))?,
            label: row.label,
            credential: row.credential,
            replaces: row.replaces.map(ApiKeyId::from_uuid),
            request_id: row.request_id,
            fingerprint: row.request_fingerprint.into_bytes(),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Into::into),
            revoked_at: row.revoked_at.map(Into::into),
            verification_key: verification_key
                .map_err(|_| StoreError::Corrupt("api_keys.verification_key"))?,
        })
    }
}

impl Store {
    /// Makes a key, unless the caller's participant has made one with this request id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn make_api_key(&self, new: &NewApiKey, by: &By<'_>) -> Result<Made, StoreError> {
        let record = &new.record;
        let mut transaction = self.pool().begin().await?;
        if record.participant == by.participant {
            sqlx::query("INSERT INTO participants (id) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(&record.participant)
                .execute(&mut *transaction)
                .await?;
        }
        // One after the other for a participant, so that the count is true and a repeat finds what it repeats.
        let lock = sqlx::query("SELECT FROM participants WHERE id = $1 FOR NO KEY UPDATE");
        if lock.bind(&record.participant).fetch_optional(&mut *transaction).await?.is_none() {
            return Ok(Made::NoParticipant);
        }
        if let Some(before) = by_request(&mut transaction, by.participant, &record.request_id).await? {
            return Ok(Made::Before(before));
        }
        let count =
            const_format::concatcp!("SELECT count(*) FROM api_keys WHERE participant_id = $1 AND ", WORKS);
        let working: i64 = sqlx::query_scalar(count)
            .bind(&record.participant)
            .bind(to_sql(by.at))
            .fetch_one(&mut *transaction)
            .await?;
        if working >= MAX_WORKING {
            return Ok(Made::TooMany);
        }
        let mut act = Act::CreateApiKey(record.id);
        if let (Some(replaced), Some(ends_at)) = (record.replaces, new.replaced_ends_at) {
            const END: &str = const_format::concatcp!(
                "UPDATE api_keys SET expires_at = LEAST(expires_at, $3) WHERE id = $1 AND ",
                WORKS
            );
            let end = sqlx::query(END).bind(replaced.uuid()).bind(to_sql(by.at)).bind(to_sql(ends_at));
            if end.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(Made::Ended);
            }
            act = Act::RotateApiKey(record.id);
        }
        let made = insert(&mut transaction, new, by).await?;
        acts::save(&mut transaction, act, &record.participant, by).await?;
        transaction.commit().await?;
        Ok(Made::Now(made))
    }

    /// The key that a participant's request made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_key_by_request(
        &self,
        requested_by: &str,
        request_id: &str,
    ) -> Result<Option<ApiKey>, StoreError> {
        by_request(&mut *self.pool().acquire().await?, requested_by, request_id).await
    }

    /// A key, whosever it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let sql = const_format::concatcp!(SELECT, "WHERE id = $1");
        let row: Option<Row> = sqlx::query_as(sql).bind(id.uuid()).fetch_optional(self.pool()).await?;
        row.map(ApiKey::try_from).transpose()
    }

    /// A participant's keys, newest first, from behind `before` on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_keys(
        &self,
        participant: &str,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let sql = const_format::concatcp!(
            SELECT,
            "WHERE participant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        );
        let query = sqlx::query_as(sql).bind(participant).bind(before.unwrap_or(Uuid::max())).bind(limit);
        let rows: Vec<Row> = query.fetch_all(self.pool()).await?;
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// Revokes a key that is there, unless it is revoked. Returns what is on record then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_api_key(&self, id: ApiKeyId, by: &By<'_>) -> Result<ApiKey, StoreError> {
        let mut transaction = self.pool().begin().await?;
        const REVOKE: &str = const_format::concatcp!(
            "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING ",
            COLUMNS
        );
        let revoke = sqlx::query_as(REVOKE).bind(id.uuid()).bind(to_sql(by.at));
        let revoked: Option<Row> = revoke.fetch_optional(&mut *transaction).await?;
        let row = match revoked {
            Some(row) => {
                acts::save(&mut transaction, Act::RevokeApiKey(id), &row.participant_id, by).await?;
                row
            }
            None => {
                let sql = const_format::concatcp!(SELECT, "WHERE id = $1");
                sqlx::query_as(sql).bind(id.uuid()).fetch_one(&mut *transaction).await?
            }
        };
        transaction.commit().await?;
        row.try_into()
    }
}

async fn by_request(
    connection: &mut PgConnection,
    requested_by: &str,
    request_id: &str,
) -> Result<Option<ApiKey>, StoreError> {
    let sql = const_format::concatcp!(SELECT, "WHERE requested_by = $1 AND request_id = $2");
    let row: Option<Row> =
        sqlx::query_as(sql).bind(requested_by).bind(request_id).fetch_optional(connection).await?;
    row.map(ApiKey::try_from).transpose()
}

async fn insert(connection: &mut PgConnection, new: &NewApiKey, by: &By<'_>) -> Result<ApiKey, StoreError> {
    const INSERT: &str = const_format::concatcp!(
        "INSERT INTO api_keys (id, participant_id, hash, roles, label, credential, replaces, requested_by, request_id, \
         request_fingerprint, created_at, expires_at, verification_key) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING ",
        COLUMNS
    );
    let record = &new.record;
    let row: Row = sqlx::query_as(INSERT)
        .bind(record.id.uuid())
        .bind(&record.participant)
        .bind(&new.hash[..])
        .bind(record.roles.iter().map(|role| role.name()).collect::<Vec<_>>())
        .bind(&record.label)
        .bind(&record.credential)
        .bind(record.replaces.map(ApiKeyId::uuid))
        .bind(by.participant)
        .bind(&record.request_id)
        .bind(Uuid::from_bytes(record.fingerprint))
        .bind(to_sql(record.created_at))
        .bind(record.expires_at.map(to_sql))
        .bind(record.verification_key.as_ref().map(|key| &key.as_bytes()[..]))
        .fetch_one(connection)
        .await?;
    row.try_into()
}
