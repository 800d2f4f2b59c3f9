//! Endpoints: URLs of participants that are told what happens. Locks are taken in this order: participant, how far events are queued,
//! endpoint, delivery.

mod acts;
pub mod queue;
pub mod turns;

use std::time::SystemTime;

use common::id::{PaymentId, WebhookEndpointId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use acts::{Act, record};

use super::{
    Store, StoreError,
    acts::By,
    data_keys::{DataKeys, decrypted},
    to_sql,
};
use crate::{
    domain::{
        payment::{Fingerprint, State},
        webhook::DeliveryState,
    },
    encryption::{
        Keyring,
        contents::{OfWebhook, WebhookKeys},
    },
};

/// How many endpoints a participant may have.
const MAX_ENDPOINTS: i64 = 100;

/// An endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// The caller's id of the request that made it.
    pub request_id: String,
    /// A hash of that request.
    pub fingerprint: Fingerprint,
    /// Where is posted to, and what is signed with.
    pub contents: OfWebhook,
    /// To which states steps are told; none for any.
    pub states: Vec<State>,
    /// When it was made.
    pub created_at: SystemTime,
    /// The id of the last request for other secrets.
    pub rotation_id: Option<String>,
    /// Until when those before sign as well.
    pub overlap_ends_at: Option<SystemTime>,
    /// Since when nothing is posted.
    pub disabled_at: Option<SystemTime>,
    /// Why not.
    pub disabled_because: Option<String>,
    /// Attempts in a row that failed.
    pub failures: i32,
    /// Whether a replay is under way.
    pub is_replaying: bool,
}

/// An endpoint to be made.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// The caller's id of the request.
    pub request_id: String,
    /// A hash of that request.
    pub fingerprint: Fingerprint,
    /// Where is posted to, and what is signed with.
    pub contents: OfWebhook,
    /// To which states steps are told; none for any.
    pub states: Vec<State>,
}

/// What came of making or changing an endpoint.
#[derive(Clone, Debug)]
pub enum Written {
    /// It is on record.
    Now(Endpoint),
    /// An earlier request with this id did it.
    Before(Endpoint),
    /// The participant has none of this id.
    NotFound,
    /// The participant has as many as it may.
    TooMany,
    /// The participant has one with this URL.
    UrlTaken,
}

/// What is to be changed of an endpoint; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Where to post.
    pub url: Option<String>,
    /// To which states steps are told.
    pub states: Option<Vec<State>>,
    /// Whether nothing is posted any more.
    pub disabled: Option<bool>,
}

/// An event on its way to an endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event's place in the log.
    pub position: i64,
    /// The payment.
    pub payment: PaymentId,
    /// The how-manieth step of it.
    pub sequence: i32,
    /// Where it is.
    pub state: DeliveryState,
    /// When it is next due, if it is to be posted.
    pub due_at: Option<SystemTime>,
    /// How many attempts have ended.
    pub attempts: i32,
    /// When the last one ended.
    pub attempted_at: Option<SystemTime>,
    /// What the receiver last answered.
    pub status: Option<i16>,
    /// What the last attempt came to.
    pub outcome: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    request_id: String,
    request_fingerprint: Uuid,
    confidential: Vec<u8>,
    states: Vec<String>,
    created_at: OffsetDateTime,
    rotation_id: Option<String>,
    overlap_ends_at: Option<OffsetDateTime>,
    disabled_at: Option<OffsetDateTime>,
    disabled_because: Option<String>,
    failures: i32,
    is_replaying: bool,
}

const COLUMNS: &str = "id, request_id, request_fingerprint, confidential, states::text[], created_at, rotation_id, overlap_ends_at, \
     disabled_at, disabled_because, failures, replays_up_to IS NOT NULL AS is_replaying";
const SELECT: &str = const_format::concatcp!("SELECT ", COLUMNS, " FROM webhook_endpoints ");
const OWN: &str = "WHERE id = $1 AND participant_id = $2 AND deleted_at IS NULL ";

impl Row {
    fn into_endpoint(self, keys: &Keyring) -> Result<Endpoint, StoreError> {
        let contents = keys.decrypt_webhook(self.id, &self.confidential);
        Ok(Endpoint {
            id: WebhookEndpointId::from_uuid(self.id),
            request_id: self.request_id,
            fingerprint: self.request_fingerprint.into_bytes(),
            contents: decrypted(contents, "webhook_endpoints.confidential")?,
            states: states(&self.states)?,
            created_at: self.created_at.into(),
            rotation_id: self.rotation_id,
            overlap_ends_at: self.overlap_ends_at.map(Into::into),
            disabled_at: self.disabled_at.map(Into::into),
            disabled_because: self.disabled_because,
            failures: self.failures,
            is_replaying: self.is_replaying,
        })
    }
}

fn states(names: &[String]) -> Result<Vec<State>, StoreError> {
    let states = names.iter().map(|name| State::from_name(name)).collect::<Option<_>>();
    states.ok_or(StoreError::Corrupt("webhook_endpoints.states"))
}

fn names(states: &[State]) -> Vec<&'static str> {
    states.iter().map(|state| state.name()).collect()
}

async fn read(
    keys: &DataKeys,
    connection: &mut PgConnection,
    rows: Vec<Row>,
) -> Result<Vec<Endpoint>, StoreError> {
    let keyring = match keys.that_decrypt(rows.iter().map(|row| row.confidential.as_slice())) {
        Some(known) => known,
        None => keys.learned(connection).await?,
    };
    rows.into_iter().map(|row| row.into_endpoint(&keyring)).collect()
}

impl Store {
    /// Makes an endpoint, unless the participant has made one with this request id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn make_webhook_endpoint(&self, new: &NewEndpoint, by: &By<'_>) -> Result<Written, StoreError> {
        let mut transaction = self.pool().begin().await?;
        sqlx::query("INSERT INTO participants (id) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(by.participant)
            .execute(&mut *transaction)
            .await?;
        // One after the other for a participant, so that the count is true and a repeat finds what it repeats.
        sqlx::query("SELECT FROM participants WHERE id = $1 FOR NO KEY UPDATE")
            .bind(by.participant)
            .execute(&mut *transaction)
            .await?;
        const BY_REQUEST: &str =
            const_format::concatcp!(SELECT, "WHERE participant_id = $1 AND request_id = $2");
        let before = sqlx::query_as(BY_REQUEST).bind(by.participant).bind(&new.request_id);
        let before: Vec<Row> = before.fetch_all(&mut *transaction).await?;
        if let Some(before) = read(self.keys(), &mut transaction, before).await?.pop() {
            return Ok(Written::Before(before));
        }
        let count = "SELECT count(*) FROM webhook_endpoints WHERE participant_id = $1 AND deleted_at IS NULL";
        let count: i64 = sqlx::query_scalar(count).bind(by.participant).fetch_one(&mut *transaction).await?;
        if count >= MAX_ENDPOINTS {
            return Ok(Written::TooMany);
        }
        // Whoever queues events meanwhile would not see the endpoint, and go past what it is to hear.
        sqlx::query("SELECT FROM webhooks_queued WHERE singleton FOR SHARE")
            .execute(&mut *transaction)
            .await?;
        const INSERT: &str = const_format::concatcp!(
            "INSERT INTO webhook_endpoints (id, participant_id, request_id, request_fingerprint, confidential, url_hash, states, \
             hears_behind, created_at, created_by) \
             SELECT $1, $2, $3, $4, $5, $6, $7::payment_state[], next_position - 1, $8, $9 FROM events_placed RETURNING ",
            COLUMNS
        );
        let (confidential, url_hash) = self.encrypted(new.id, &new.contents)?;
        let made = sqlx::query_as(INSERT)
            .bind(new.id.uuid())
            .bind(by.participant)
            .bind(&new.request_id)
            .bind(Uuid::from_bytes(new.fingerprint))
            .bind(confidential)
            .bind(url_hash)
            .bind(names(&new.states))
            .bind(to_sql(by.at))
            .bind(by.credential)
            .fetch_one(&mut *transaction)
            .await;
        let row: Row = match made.map_err(StoreError::from) {
            Err(error) if is_url_taken(&error) => return Ok(Written::UrlTaken),
            made => made?,
        };
        let endpoint = read(self.keys(), &mut transaction, vec![row]).await?.pop();
        record(&mut transaction, Act::Create, new.id, by).await?;
        transaction.commit().await?;
        endpoint.map(Written::Now).ok_or(StoreError::Corrupt("webhook_endpoints"))
    }

    /// A participant's endpoint.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhook_endpoint(
        &self,
        participant: &str,
        id: WebhookEndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let sql = const_format::concatcp!(SELECT, OWN);
        let rows: Vec<Row> =
            sqlx::query_as(sql).bind(id.uuid()).bind(participant).fetch_all(&mut *connection).await?;
        Ok(read(self.keys(), &mut connection, rows).await?.pop())
    }

    /// A participant's endpoints, newest first, from behind `before` on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhook_endpoints(
        &self,
        participant: &str,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let sql = const_format::concatcp!(
            SELECT,
            "WHERE participant_id = $1 AND id < $2 AND deleted_at IS NULL ORDER BY id DESC LIMIT $3"
        );
        let query = sqlx::query_as(sql).bind(participant).bind(before.unwrap_or(Uuid::max())).bind(limit);
        let rows: Vec<Row> = query.fetch_all(&mut *connection).await?;
        read(self.keys(), &mut connection, rows).await
    }

    /// Changes a participant's endpoint. To enable it lets what waits for it go on at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn change_webhook_endpoint(
        &self,
        id: WebhookEndpointId,
        change: &Change,
        by: &By<'_>,
    ) -> Result<Written, StoreError> {
        let mut transaction = self.pool().begin().await?;
        let Some(mut endpoint) = self.locked(&mut transaction, by.participant, id).await? else {
            return Ok(Written::NotFound);
        };
        if let Some(url) = &change.url {
            endpoint.contents.url.clone_from(url);
        }
        const UPDATE: &str = const_format::concatcp!(
            "UPDATE webhook_endpoints SET confidential = $2, url_hash = $3, states = coalesce($4::payment_state[], states), \
             disabled_at = CASE WHEN $5 THEN coalesce(disabled_at, $6) WHEN NOT $5 THEN NULL ELSE disabled_at END, \
             disabled_because = CASE WHEN $5 THEN coalesce(disabled_because, 'OPERATOR') WHEN NOT $5 THEN NULL \
               ELSE disabled_because END, \
             failures = CASE WHEN NOT $5 THEN 0 ELSE failures END, \
             resumes_at = CASE WHEN NOT $5 THEN now() ELSE resumes_at END WHERE id = $1 RETURNING ",
            COLUMNS
        );
        let (confidential, url_hash) = self.encrypted(id, &endpoint.contents)?;
        let changed = sqlx::query_as(UPDATE)
            .bind(id.uuid())
            .bind(confidential)
            .bind(url_hash)
            .bind(change.states.as_deref().map(names))
            .bind(change.disabled)
            .bind(to_sql(by.at))
            .fetch_one(&mut *transaction)
            .await;
        let row: Row = match changed.map_err(StoreError::from) {
            Err(error) if is_url_taken(&error) => return Ok(Written::UrlTaken),
            changed => changed?,
        };
        let endpoint = read(self.keys(), &mut transaction, vec![row]).await?.pop();
        record(&mut transaction, Act::Update, id, by).await?;
        transaction.commit().await?;
        Ok(endpoint.map_or(Written::NotFound, Written::Now))
    }

    /// Has a participant's endpoint sign with other keys, and until `overlap_ends_at` with those before as well; unless the last request
    /// to do so has the same id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_webhook_keys(
        &self,
        id: WebhookEndpointId,
        rotation_id: &str,
        keys: WebhookKeys,
        overlap_ends_at: Option<SystemTime>,
        by: &By<'_>,
    ) -> Result<Written, StoreError> {
        let mut transaction = self.pool().begin().await?;
        let Some(mut endpoint) = self.locked(&mut transaction, by.participant, id).await? else {
            return Ok(Written::NotFound);
        };
        if endpoint.rotation_id.as_deref() == Some(rotation_id) {
            return Ok(Written::Before(endpoint));
        }
        let before = endpoint.contents.keys.replace(keys);
        endpoint.contents.previous_keys = before.filter(|_| overlap_ends_at.is_some());
        const UPDATE: &str = const_format::concatcp!(
            "UPDATE webhook_endpoints SET confidential = $2, rotation_id = $3, overlap_ends_at = $4 WHERE id = $1 RETURNING ",
            COLUMNS
        );
        let row: Row = sqlx::query_as(UPDATE)
            .bind(id.uuid())
            .bind(self.encrypted(id, &endpoint.contents)?.0)
            .bind(rotation_id)
            .bind(overlap_ends_at.map(to_sql))
            .fetch_one(&mut *transaction)
            .await?;
        let endpoint = read(self.keys(), &mut transaction, vec![row]).await?.pop();
        record(&mut transaction, Act::Rotate, id, by).await?;
        transaction.commit().await?;
        Ok(endpoint.map_or(Written::NotFound, Written::Now))
    }

    /// Ends a participant's endpoint, and forgets its secrets. Says whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_webhook_endpoint(
        &self,
        id: WebhookEndpointId,
        by: &By<'_>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool().begin().await?;
        let Some(endpoint) = self.locked(&mut transaction, by.participant, id).await? else {
            return Ok(false);
        };
        let contents = OfWebhook { url: endpoint.contents.url, keys: None, previous_keys: None };
        let sql = "UPDATE webhook_endpoints SET deleted_at = $2, confidential = $3, replayed_up_to = NULL, replays_up_to = NULL \
             WHERE id = $1";
        sqlx::query(sql)
            .bind(id.uuid())
            .bind(to_sql(by.at))
            .bind(self.encrypted(id, &contents)?.0)
            .execute(&mut *transaction)
            .await?;
        record(&mut transaction, Act::Delete, id, by).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn locked(
        &self,
        connection: &mut PgConnection,
        participant: &str,
        id: WebhookEndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        let sql = const_format::concatcp!(SELECT, OWN, "FOR NO KEY UPDATE");
        let rows: Vec<Row> =
            sqlx::query_as(sql).bind(id.uuid()).bind(participant).fetch_all(&mut *connection).await?;
        Ok(read(self.keys(), connection, rows).await?.pop())
    }

    /// What is encrypted of an endpoint, and by what its URL is found.
    fn encrypted(&self, id: WebhookEndpointId, contents: &OfWebhook) -> Result<(Vec<u8>, Uuid), StoreError> {
        let keys = self.keys().current();
        let hash = keys.lookup().ok_or(StoreError::NoDataKey)?.url_hash(&contents.url);
        Ok((keys.encrypt_webhook(id.uuid(), contents).ok_or(StoreError::NoDataKey)?, hash))
    }
}

fn is_url_taken(error: &StoreError) -> bool {
    error.constraint() == Some("webhook_endpoints_url_is_unique")
}
