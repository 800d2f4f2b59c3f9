//! Turns: whose it is to deliver something, and what came of it. A turn is had for a while; whoever has the next one has the only say.

use std::time::Duration;

use common::id::WebhookEndpointId;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    domain::webhook::{self, Attempt, Next, Outcome},
    encryption::contents::OfWebhook,
    store::{Store, StoreError, data_keys::decrypted, to_micros},
};

/// How many deliveries of one endpoint may be under way at once.
pub const MAX_UNDER_WAY: i64 = 8;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// To which endpoint.
    pub endpoint: WebhookEndpointId,
    /// The event's place in the log.
    pub position: i64,
    /// The how-manieth turn it is.
    pub token: i64,
}

/// What is to be delivered.
#[derive(Clone, Debug)]
pub struct ToDeliver {
    /// Whose turn it is.
    pub turn: Turn,
    /// Who is told.
    pub participant: String,
    /// Where, and what is signed with: the keys before only while they are to sign.
    pub contents: OfWebhook,
    /// The payment.
    pub payment: Uuid,
    /// The how-manieth step of it.
    pub sequence: i32,
}

/// Endpoints come in the order in which they were served last, each with a few of its deliveries: no queue is so long that it delays
/// another one. Of each queue its first is looked up, which LIMIT makes sure of.
const CLAIM: &str = "WITH ready AS MATERIALIZED ( \
     SELECT e.id, CASE WHEN e.failures > 0 THEN 1 ELSE $2 END - u.under_way AS room FROM webhook_endpoints e \
     CROSS JOIN LATERAL (SELECT count(*) AS under_way FROM webhook_deliveries d WHERE d.endpoint_id = e.id \
       AND d.leased_until > statement_timestamp()) AS u \
     CROSS JOIN LATERAL (SELECT d.due_at FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.state = 'DUE' \
       ORDER BY d.due_at, d.position LIMIT 1) AS first \
     WHERE e.disabled_at IS NULL AND e.deleted_at IS NULL AND e.resumes_at <= statement_timestamp() \
       AND u.under_way < CASE WHEN e.failures > 0 THEN 1 ELSE $2 END \
       AND EXISTS (SELECT FROM participants p WHERE p.id = e.participant_id AND p.disabled_at IS NULL) \
       AND first.due_at <= statement_timestamp() \
     ORDER BY e.served_at LIMIT $1 FOR NO KEY UPDATE OF e SKIP LOCKED), \
   due AS MATERIALIZED ( \
     SELECT d.endpoint_id, d.position FROM ready r CROSS JOIN LATERAL ( \
       SELECT endpoint_id, position FROM webhook_deliveries d WHERE d.endpoint_id = r.id AND d.state = 'DUE' \
         AND d.due_at <= statement_timestamp() ORDER BY d.due_at, d.position LIMIT r.room FOR UPDATE SKIP LOCKED) AS d LIMIT $1), \
   served AS (UPDATE webhook_endpoints SET served_at = clock_timestamp() WHERE id IN (SELECT endpoint_id FROM due)), \
   taken AS (UPDATE webhook_deliveries d SET token = d.token + 1, due_at = statement_timestamp() + $3 * interval '1 microsecond', \
       leased_until = statement_timestamp() + $3 * interval '1 microsecond' \
     FROM due WHERE d.endpoint_id = due.endpoint_id AND d.position = due.position \
     RETURNING d.endpoint_id, d.position, d.token, d.payment_id, d.sequence) \
   SELECT t.*, e.participant_id, e.confidential, e.overlap_ends_at > statement_timestamp() AS overlaps \
   FROM taken t JOIN webhook_endpoints e ON e.id = t.endpoint_id ORDER BY t.position";

impl Store {
    /// Takes over up to `limit` deliveries that are due, for as long as the lease.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_webhooks(&self, limit: i64, lease: Duration) -> Result<Vec<ToDeliver>, StoreError> {
        let query = sqlx::query(CLAIM).bind(limit).bind(MAX_UNDER_WAY).bind(to_micros(lease));
        let rows = query.fetch_all(self.pool()).await?;
        let encrypted = rows.iter().filter_map(|row| row.try_get::<&[u8], _>("confidential").ok());
        let keys = match self.keys().that_decrypt(encrypted) {
            Some(known) => known,
            None => self.keys().learned(self.pool()).await?,
        };
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            let endpoint: Uuid = row.try_get("endpoint_id")?;
            let contents = keys.decrypt_webhook(endpoint, row.try_get("confidential")?);
            match decrypted(contents, "webhook_endpoints.confidential") {
                Ok(contents) => taken.push(to_deliver(row, endpoint, contents)?),
                // All others must still hear of theirs.
                Err(error) => {
                    let endpoint = WebhookEndpointId::from_uuid(endpoint);
                    tracing::error!(%endpoint, %error, "ALARM: an endpoint can't be read, and hears of nothing");
                }
            }
        }
        Ok(taken)
    }

    /// Takes note of what came of a turn. Says whether it was one still. A step that is over lets the next of its payment go.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn report_webhook(
        &self,
        turn: &Turn,
        attempt: &Attempt,
        jitter_per_mille: u32,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool().begin().await?;
        let lock = "SELECT failures FROM webhook_endpoints WHERE id = $1 FOR NO KEY UPDATE";
        let failures: Option<i32> =
            sqlx::query_scalar(lock).bind(turn.endpoint.uuid()).fetch_optional(&mut *transaction).await?;
        let mine = "SELECT attempts, payment_id FROM webhook_deliveries WHERE endpoint_id = $1 AND position = $2 AND token = $3 \
             AND leased_until IS NOT NULL FOR UPDATE";
        let mine: Option<(i32, Uuid)> = sqlx::query_as(mine)
            .bind(turn.endpoint.uuid())
            .bind(turn.position)
            .bind(turn.token)
            .fetch_optional(&mut *transaction)
            .await?;
        let (Some(failures), Some((attempts, payment))) = (failures, mine) else { return Ok(false) };
        let next = webhook::next(usize::try_from(attempts).unwrap_or_default(), attempt, jitter_per_mille);
        let (state, wait) = match next {
            Next::Done => ("DELIVERED", Duration::ZERO),
            Next::Again(wait) => ("DUE", wait),
            Next::GiveUp => ("GIVEN_UP", Duration::ZERO),
        };
        let update = "UPDATE webhook_deliveries SET state = $3::webhook_delivery_state, attempts = attempts + 1, leased_until = NULL, \
             attempted_at = now(), due_at = now() + $4 * interval '1 microsecond', status = $5, outcome = $6 \
             WHERE endpoint_id = $1 AND position = $2";
        sqlx::query(update)
            .bind(turn.endpoint.uuid())
            .bind(turn.position)
            .bind(state)
            .bind(to_micros(wait))
            .bind(attempt.status.and_then(|status| i16::try_from(status).ok()))
            .bind(attempt.outcome.name())
            .execute(&mut *transaction)
            .await?;
        if !matches!(next, Next::Again(_)) {
            let release = "UPDATE webhook_deliveries SET state = 'DUE', due_at = now() WHERE endpoint_id = $1 AND payment_id = $2 \
                 AND state = 'WAITING' AND sequence = (SELECT min(sequence) FROM webhook_deliveries \
                   WHERE endpoint_id = $1 AND payment_id = $2 AND state IN ('WAITING', 'DUE'))";
            let release = sqlx::query(release).bind(turn.endpoint.uuid()).bind(payment);
            release.execute(&mut *transaction).await?;
        }
        rest(&mut transaction, turn, attempt, failures).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Has an endpoint that failed rest, and one that wants nothing any more disabled.
async fn rest(
    connection: &mut PgConnection,
    turn: &Turn,
    attempt: &Attempt,
    failures: i32,
) -> Result<(), StoreError> {
    if attempt.outcome == Outcome::Delivered {
        if failures > 0 {
            let well = "UPDATE webhook_endpoints SET failures = 0, resumes_at = now() WHERE id = $1 AND deleted_at IS NULL";
            sqlx::query(well).bind(turn.endpoint.uuid()).execute(connection).await?;
        }
        return Ok(());
    }
    // It failed here, not there.
    if attempt.outcome == Outcome::Unreadable {
        return Ok(());
    }
    let pause = webhook::pause(usize::try_from(failures).unwrap_or_default(), attempt);
    // What was under way when it began to rest tells nothing new.
    let rest = "UPDATE webhook_endpoints SET failures = CASE WHEN resumes_at <= now() THEN failures + 1 ELSE failures END, \
         resumes_at = greatest(resumes_at, now() + CASE WHEN resumes_at <= now() OR $4 THEN $2 ELSE 0 END * interval '1 microsecond'), \
         disabled_at = CASE WHEN $3 THEN coalesce(disabled_at, now()) ELSE disabled_at END, \
         disabled_because = CASE WHEN $3 THEN coalesce(disabled_because, 'GONE') ELSE disabled_because END \
         WHERE id = $1 AND deleted_at IS NULL";
    sqlx::query(rest)
        .bind(turn.endpoint.uuid())
        .bind(to_micros(pause))
        .bind(webhook::is_gone(attempt))
        .bind(!attempt.retry_after.is_zero())
        .execute(connection)
        .await?;
    Ok(())
}

fn to_deliver(row: &PgRow, endpoint: Uuid, mut contents: OfWebhook) -> Result<ToDeliver, StoreError> {
    if row.try_get::<Option<bool>, _>("overlaps")? != Some(true) {
        contents.previous_keys = None;
    }
    let turn = Turn {
        endpoint: WebhookEndpointId::from_uuid(endpoint),
        position: row.try_get("position")?,
        token: row.try_get("token")?,
    };
    Ok(ToDeliver {
        turn,
        participant: row.try_get("participant_id")?,
        contents,
        payment: row.try_get("payment_id")?,
        sequence: row.try_get("sequence")?,
    })
}
