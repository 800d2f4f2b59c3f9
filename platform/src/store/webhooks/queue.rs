//! The queue of deliveries: what enters it, what is in it, and what leaves it. Each event enters once for an endpoint, in the commit that
//! says how far events have entered.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use common::id::{PaymentId, WebhookEndpointId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Delivery,
    acts::{Act, record},
    states,
};
use crate::{
    domain::{payment::State, webhook::DeliveryState},
    store::{Store, StoreError, acts::By, event_log::LoggedEvent, to_micros, to_sql},
};

/// How far events have been queued for those who hear of them.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct WebhooksQueued {
    /// The place of the last that was.
    pub up_to: i64,
    /// The place of the newest that there is.
    pub last: i64,
    /// Whether there is an endpoint that hears of events.
    pub is_anybody_told: bool,
}

/// Somebody who hears of events.
#[derive(Debug, sqlx::FromRow)]
struct Listener {
    id: Uuid,
    participant_id: String,
    states: Vec<String>,
    hears_behind: i64,
}

/// A replay that is under way.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Replay {
    id: Uuid,
    /// Whose endpoint it is.
    pub participant_id: String,
    /// How far it has come.
    pub replayed_up_to: i64,
    /// Where it ends.
    pub replays_up_to: i64,
}

/// What came of asking for a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayBegun {
    /// It is under way.
    Yes,
    /// Another one is.
    Another,
}

impl Store {
    /// How far events have been queued.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhooks_queued(&self) -> Result<WebhooksQueued, StoreError> {
        let sql = "SELECT q.up_to, p.next_position - 1 AS last, EXISTS ( \
               SELECT FROM webhook_endpoints WHERE disabled_at IS NULL AND deleted_at IS NULL) AS is_anybody_told \
             FROM webhooks_queued q, events_placed p WHERE q.singleton AND p.singleton";
        Ok(sqlx::query_as(sql).fetch_one(self.pool()).await?)
    }

    /// Queues the events behind `behind` up to `end` for whoever hears of them; without `events`, if nobody hears of anything. Says whether
    /// it did: not if somebody else is at it, or somebody began to hear.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queue_webhooks(
        &self,
        (behind, end): (i64, i64),
        events: Option<&[LoggedEvent]>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool().begin().await?;
        let lock = "SELECT true FROM webhooks_queued WHERE singleton AND up_to = $1 FOR UPDATE SKIP LOCKED";
        let mine: Option<bool> =
            sqlx::query_scalar(lock).bind(behind).fetch_optional(&mut *transaction).await?;
        if mine.is_none() {
            return Ok(false);
        }
        // A statement of its own: it sees every endpoint that was made before the lock was had.
        let listeners = "SELECT id, participant_id, states::text[], hears_behind FROM webhook_endpoints \
             WHERE disabled_at IS NULL AND deleted_at IS NULL AND ($1::text[] IS NULL OR participant_id = ANY($1))";
        let participants = events.map(|events| {
            let both = |event: &LoggedEvent| [event.payment.participant.clone(), event.credited.clone()];
            let names: BTreeSet<String> = events.iter().flat_map(both).collect();
            names.into_iter().collect::<Vec<_>>()
        });
        let listeners: Vec<Listener> =
            sqlx::query_as(listeners).bind(participants).fetch_all(&mut *transaction).await?;
        match events {
            None if !listeners.is_empty() => return Ok(false),
            None => {}
            Some(events) => {
                let mut heard = Vec::new();
                for listener in &listeners {
                    heard.extend(listener.hears(events)?);
                }
                enter(&mut transaction, &heard, Again::No).await?;
            }
        }
        let advance = "UPDATE webhooks_queued SET up_to = $1 WHERE singleton";
        sqlx::query(advance).bind(end).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The place behind which what was placed at `time` or later stands; none if what was placed then is not kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn position_at(&self, time: SystemTime) -> Result<Option<i64>, StoreError> {
        let (first, last) = (self.first_position().await?, self.last_position().await?);
        // What is placed later stands behind: the place is found by halves.
        let (mut low, mut high) = (first, last);
        while low < high {
            let middle = low + (high - low) / 2;
            let sql = "SELECT position + cardinality(payments) - 1, placed_at >= $2 FROM event_log \
                 WHERE position IS NOT NULL AND position <= $1 ORDER BY position DESC LIMIT 1";
            let found: Option<(i64, bool)> =
                sqlx::query_as(sql).bind(middle + 1).bind(to_sql(time)).fetch_optional(self.pool()).await?;
            match found {
                Some((end, false)) => low = end.max(middle + 1),
                Some((_, true)) | None => high = middle,
            }
        }
        Ok((low > first || first == 0).then_some(low.min(last)))
    }

    /// Has an endpoint told again what stands behind `behind`, up to `up_to`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_replay(
        &self,
        id: WebhookEndpointId,
        behind: i64,
        up_to: i64,
        by: &By<'_>,
    ) -> Result<ReplayBegun, StoreError> {
        let mut transaction = self.pool().begin().await?;
        let sql = "UPDATE webhook_endpoints SET replayed_up_to = $2, replays_up_to = $3 \
             WHERE id = $1 AND replays_up_to IS NULL AND deleted_at IS NULL";
        let begun =
            sqlx::query(sql).bind(id.uuid()).bind(behind).bind(up_to).execute(&mut *transaction).await?;
        if begun.rows_affected() == 0 {
            return Ok(ReplayBegun::Another);
        }
        record(&mut transaction, Act::Replay, id, by).await?;
        transaction.commit().await?;
        Ok(ReplayBegun::Yes)
    }

    /// The replays that are under way.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replays(&self) -> Result<Vec<Replay>, StoreError> {
        let sql = "SELECT id, participant_id, replayed_up_to, replays_up_to FROM webhook_endpoints \
             WHERE replays_up_to IS NOT NULL AND deleted_at IS NULL ORDER BY id";
        Ok(sqlx::query_as(sql).fetch_all(self.pool()).await?)
    }

    /// Queues a replay's next events, up to `end`; all of them if there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replay(
        &self,
        replay: &Replay,
        end: Option<i64>,
        events: &[LoggedEvent],
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool().begin().await?;
        let lock = "SELECT id, participant_id, states::text[], 0::bigint AS hears_behind FROM webhook_endpoints \
             WHERE id = $1 AND replayed_up_to = $2 AND deleted_at IS NULL FOR NO KEY UPDATE";
        let listener: Option<Listener> = sqlx::query_as(lock)
            .bind(replay.id)
            .bind(replay.replayed_up_to)
            .fetch_optional(&mut *transaction)
            .await?;
        // Another platform was faster.
        let Some(listener) = listener else { return Ok(()) };
        let heard: Vec<_> = listener.hears(events)?;
        let heard: Vec<_> = heard.into_iter().filter(|told| told.position <= replay.replays_up_to).collect();
        enter(&mut transaction, &heard, Again::Yes).await?;
        let goes_on = end.filter(|end| *end < replay.replays_up_to);
        let advance = "UPDATE webhook_endpoints SET replayed_up_to = $2, \
             replays_up_to = CASE WHEN $2::bigint IS NULL THEN NULL ELSE replays_up_to END WHERE id = $1";
        sqlx::query(advance).bind(replay.id).bind(goes_on).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// An endpoint's deliveries, those of the newest events first, from behind `before` on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhook_deliveries(
        &self,
        id: WebhookEndpointId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let sql = "SELECT position, payment_id, sequence, state::text, due_at, attempts, attempted_at, status, outcome \
             FROM webhook_deliveries WHERE endpoint_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3";
        let rows: Vec<DeliveryRow> =
            sqlx::query_as(sql).bind(id.uuid()).bind(before).bind(limit).fetch_all(self.pool()).await?;
        rows.into_iter().map(Delivery::try_from).collect()
    }

    /// Forgets deliveries that ended longer ago than `keep`, and those of deleted endpoints. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_webhooks(&self, keep: Duration, limit: i64) -> Result<u64, StoreError> {
        let over = "DELETE FROM webhook_deliveries WHERE ctid = ANY(ARRAY(SELECT ctid FROM webhook_deliveries \
             WHERE state IN ('DELIVERED', 'GIVEN_UP') AND queued_at < statement_timestamp() - $1 * interval '1 microsecond' \
             ORDER BY queued_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
        let over = sqlx::query(over).bind(to_micros(keep)).bind(limit).execute(self.pool()).await?;
        let deleted = "DELETE FROM webhook_deliveries WHERE ctid = ANY(ARRAY(SELECT d.ctid FROM webhook_endpoints e \
             CROSS JOIN LATERAL (SELECT ctid FROM webhook_deliveries d WHERE d.endpoint_id = e.id ORDER BY position LIMIT $1) d \
             WHERE e.deleted_at IS NOT NULL LIMIT $1))";
        let deleted = sqlx::query(deleted).bind(limit).execute(self.pool()).await?;
        Ok(over.rows_affected() + deleted.rows_affected())
    }
}

/// An event that an endpoint is to be told.
struct Told {
    endpoint: Uuid,
    position: i64,
    payment: Uuid,
    sequence: i32,
}

impl Listener {
    /// What it hears of events.
    fn hears(&self, events: &[LoggedEvent]) -> Result<Vec<Told>, StoreError> {
        let states: Vec<State> = states(&self.states)?;
        let heard = events.iter().filter(|event| {
            event.position > self.hears_behind
                && event.concerns(&self.participant_id).is_some()
                && (states.is_empty() || states.contains(&event.payment.state))
        });
        let told = heard.map(|event| Told {
            endpoint: self.id,
            position: event.position,
            payment: event.payment.id.uuid(),
            sequence: event.payment.sequence,
        });
        Ok(told.collect())
    }
}

/// Whether what was delivered or given up is to be delivered again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

/// Puts events into the queue. A step waits while another one of its payment is on its way to the endpoint.
async fn enter(connection: &mut PgConnection, told: &[Told], again: Again) -> Result<(), StoreError> {
    if told.is_empty() {
        return Ok(());
    }
    let endpoints: Vec<Uuid> = told.iter().map(|told| told.endpoint).collect();
    let payments: Vec<Uuid> = told.iter().map(|told| told.payment).collect();
    let sequences: Vec<i32> = told.iter().map(|told| told.sequence).collect();
    // Locked, so that none of them ends, and lets its follower go, before the follower is there.
    let others = "SELECT d.endpoint_id, d.payment_id FROM unnest($1::uuid[], $2::uuid[]) AS t (endpoint, payment) \
         CROSS JOIN LATERAL (SELECT endpoint_id, payment_id FROM webhook_deliveries d WHERE d.endpoint_id = t.endpoint \
           AND d.payment_id = t.payment AND d.state IN ('WAITING', 'DUE') ORDER BY d.sequence FOR SHARE) AS d";
    let others: Vec<(Uuid, Uuid)> =
        sqlx::query_as(others).bind(&endpoints).bind(&payments).fetch_all(&mut *connection).await?;
    let mut on_their_way: BTreeSet<(Uuid, Uuid)> = others.into_iter().collect();
    let states: Vec<&str> = told
        .iter()
        .map(|told| match on_their_way.insert((told.endpoint, told.payment)) {
            true => DeliveryState::Due.name(),
            false => DeliveryState::Waiting.name(),
        })
        .collect();
    let positions: Vec<i64> = told.iter().map(|told| told.position).collect();
    let insert = "INSERT INTO webhook_deliveries (endpoint_id, position, payment_id, sequence, state) \
         SELECT endpoint, position, payment, step, state::webhook_delivery_state \
         FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::integer[], $5::text[]) AS t (endpoint, position, payment, step, state) \
         ON CONFLICT (endpoint_id, position) DO UPDATE \
           SET state = excluded.state, due_at = now(), queued_at = now(), attempts = 0, leased_until = NULL \
           WHERE $6 AND webhook_deliveries.state IN ('DELIVERED', 'GIVEN_UP')";
    sqlx::query(insert)
        .bind(&endpoints)
        .bind(&positions)
        .bind(&payments)
        .bind(&sequences)
        .bind(&states)
        .bind(again == Again::Yes)
        .execute(connection)
        .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    position: i64,
    payment_id: Uuid,
    sequence: i32,
    state: String,
    due_at: OffsetDateTime,
    attempts: i32,
    attempted_at: Option<OffsetDateTime>,
    status: Option<i16>,
    outcome: Option<String>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let state = DeliveryState::ALL.into_iter().find(|state| state.name() == row.state);
        let state = state.ok_or(StoreError::Corrupt("webhook_deliveries.state"))?;
        Ok(Self {
            position: row.position,
            payment: PaymentId::from_uuid(row.payment_id),
            sequence: row.sequence,
            state,
            due_at: (state == DeliveryState::Due).then(|| row.due_at.into()),
            attempts: row.attempts,
            attempted_at: row.attempted_at.map(Into::into),
            status: row.status,
            outcome: row.outcome,
        })
    }
}
