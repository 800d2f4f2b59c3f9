//! The log of events: every step of every payment, at a place of its own, in the order of commits.
//!
//! A commit adds its steps without a place. [`Store::place_events`] gives what has committed its places, one caller at a time, so that
//! whoever has read the log up to a place has missed nothing before it. One round trip to place, two to read.

use std::time::Duration;

use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, payments, to_micros};
use crate::{
    domain::{
        payment::{Payment, State},
        refusal::Reason,
    },
    encryption::Keyring,
};

/// Commits that are placed at once.
const MAX_ROWS: i64 = 1_000;

/// A step of a payment, at its place.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    /// Where it stands.
    pub position: i64,
    /// The payment as the step left it, but for the sums of an authorization, which are those of now; its reason has no message.
    pub payment: Payment,
    /// Whose account it credits.
    pub credited: String,
}

/// What came of giving places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// There is more to place.
    More,
    /// All that had committed has places now; whether anything got one.
    All(bool),
    /// Somebody else is at it, who may not have seen all that this one would.
    Elsewhere,
}

/// Whose business a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The payment is theirs: every step is.
    Payer,
    /// It credits an account of theirs: that the money is there is.
    Payee,
}

impl LoggedEvent {
    /// As whom the step concerns a participant; none if it does not.
    pub fn concerns(&self, participant: &str) -> Option<Party> {
        if self.payment.participant == participant {
            Some(Party::Payer)
        } else {
            (self.credited == participant && self.payment.paid() > 0).then_some(Party::Payee)
        }
    }
}

/// Steps that follow each other in the log: which, and up to where.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    positions: Vec<i64>,
    payments: Vec<Uuid>,
    sequences: Vec<i32>,
}

impl Stretch {
    /// The place of the first step; none without any.
    pub fn begin(&self) -> Option<i64> {
        self.positions.first().copied()
    }

    /// The place of the last step; none without any.
    pub fn end(&self) -> Option<i64> {
        self.positions.last().copied()
    }
}

/// Steps at their places: where, which payment's, and the how-manieth of it.
impl FromIterator<(i64, Uuid, i32)> for Stretch {
    fn from_iter<T: IntoIterator<Item = (i64, Uuid, i32)>>(steps: T) -> Self {
        let mut stretch = Self::default();
        for (position, payment, sequence) in steps {
            stretch.positions.push(position);
            stretch.payments.push(payment);
            stretch.sequences.push(sequence);
        }
        stretch
    }
}

impl Store {
    /// Gives places to what has committed and has none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn place_events(&self) -> Result<Placing, StoreError> {
        // What another one placed between this statement's first look and its lock is left out by the update, and so noticed.
        let place = "WITH next AS MATERIALIZED (SELECT next_position FROM events_placed WHERE singleton FOR UPDATE SKIP LOCKED), \
             waiting AS MATERIALIZED ( \
               SELECT number, cardinality(payments) AS steps FROM event_log WHERE position IS NULL ORDER BY number LIMIT $1), \
             places AS (SELECT number, next_position + sum(steps) OVER (ORDER BY number) - steps AS position FROM waiting, next), \
             placed AS (UPDATE event_log l SET position = p.position, placed_at = clock_timestamp() FROM places p \
               WHERE l.number = p.number AND l.position IS NULL RETURNING cardinality(l.payments) AS steps), \
             advanced AS (UPDATE events_placed SET next_position = next_position + s.steps \
               FROM (SELECT sum(steps)::bigint AS steps FROM placed) s WHERE singleton AND s.steps > 0) \
             SELECT EXISTS (SELECT FROM next), n.placed, \
               CASE WHEN EXISTS (SELECT FROM next) AND n.placed <> n.waiting THEN changed_meanwhile('event_log') END \
             FROM (SELECT (SELECT count(*) FROM placed) AS placed, (SELECT count(*) FROM waiting) AS waiting) n";
        let placed = sqlx::query_as::<_, (bool, i64, Option<bool>)>(place).bind(MAX_ROWS);
        match placed.fetch_all(self.pool()).await.map_err(StoreError::from) {
            Ok(rows) => Ok(match rows.as_slice() {
                [(true, MAX_ROWS, _)] => Placing::More,
                [(true, placed, _)] => Placing::All(*placed > 0),
                _ => Placing::Elsewhere,
            }),
            Err(error) if error.is_lost_race() => Ok(Placing::Elsewhere),
            Err(error) => Err(error),
        }
    }

    /// The place of the newest step that has one; 0 before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_position(&self) -> Result<i64, StoreError> {
        let sql = "SELECT next_position - 1 FROM events_placed WHERE singleton";
        Ok(sqlx::query_scalar(sql).fetch_one(self.pool()).await?)
    }

    /// The place behind which the log is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn first_position(&self) -> Result<i64, StoreError> {
        let sql = "SELECT coalesce((SELECT position FROM event_log WHERE position IS NOT NULL ORDER BY position LIMIT 1), \
             next_position) - 1 FROM events_placed WHERE singleton";
        Ok(sqlx::query_scalar(sql).fetch_one(self.pool()).await?)
    }

    /// The next steps behind a place: some `limit` of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stretch_behind(&self, position: i64, limit: i64) -> Result<Stretch, StoreError> {
        let sql = "SELECT position, payments, sequences FROM ( \
               SELECT *, sum(cardinality(payments)) OVER (ORDER BY position) - cardinality(payments) AS before \
               FROM (SELECT position, payments, sequences FROM event_log \
                 WHERE position IS NOT NULL AND position >= coalesce((SELECT position FROM event_log \
                   WHERE position IS NOT NULL AND position <= $1 + 1 ORDER BY position DESC LIMIT 1), 0) \
                 ORDER BY position LIMIT $2) AS next) AS counted \
             WHERE before < $2 ORDER BY position";
        let rows: Vec<(i64, Vec<Uuid>, Vec<i32>)> =
            sqlx::query_as(sql).bind(position).bind(limit).fetch_all(self.pool()).await?;
        let steps = rows.into_iter().flat_map(|(first, payments, sequences)| {
            (first..)
                .zip(payments)
                .zip(sequences)
                .map(|((place, payment), sequence)| (place, payment, sequence))
        });
        Ok(steps.filter(|(place, ..)| *place > position).collect())
    }

    /// The steps of a stretch, as they were; only those that concern a participant, if one is named.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(
        &self,
        stretch: &Stretch,
        participant: Option<&str>,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let rows = sqlx::query(EVENTS)
            .bind(&stretch.positions)
            .bind(&stretch.payments)
            .bind(&stretch.sequences)
            .bind(participant)
            .fetch_all(self.pool())
            .await?;
        let keys = payments::keys_of(self.keys(), self.pool(), &rows, &payments::ENCRYPTED).await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            match event(row, &keys) {
                // All others must still hear of theirs.
                Err(StoreError::Corrupt(column)) => {
                    let payment = common::id::PaymentId::from_uuid(row.try_get("id")?);
                    tracing::error!(%payment, column, "ALARM: a payment can't be read, and nobody hears of its step");
                }
                read => events.push(read?),
            }
        }
        Ok(events)
    }

    /// Forgets what was placed longer ago than `keep` and is queued for whoever is told. Returns how many rows.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_events(&self, keep: Duration, limit: i64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM event_log WHERE position IN ( \
               SELECT position FROM event_log WHERE position IS NOT NULL ORDER BY position LIMIT $2) \
             AND position IS NOT NULL AND placed_at < statement_timestamp() - $1 * interval '1 microsecond' \
             AND position + cardinality(payments) - 1 <= (SELECT up_to FROM webhooks_queued WHERE singleton)";
        let forgotten = sqlx::query(sql).bind(to_micros(keep)).bind(limit).execute(self.pool()).await?;
        Ok(forgotten.rows_affected())
    }
}

/// Each payment and each step is looked up, which OFFSET makes sure of, in both places where it may be.
const EVENTS: &str = const_format::concatcp!(
    "SELECT ",
    payments::COLUMNS,
    ", g.position, e.sequence AS step, e.state::text AS stepped_to, e.reason_code AS why, e.reason_iso_code AS iso_why, \
       e.created_at AS stepped_at, c.participant_id AS credited \
     FROM (SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::integer[]) LIMIT cardinality($1)) AS g (position, payment, sequence) \
     CROSS JOIN LATERAL (SELECT * FROM all_payments a WHERE a.id = g.payment OFFSET 0) AS p \
     CROSS JOIN LATERAL (SELECT * FROM all_payment_events a WHERE a.payment_id = g.payment AND a.sequence = g.sequence OFFSET 0) AS e \
     CROSS JOIN LATERAL (SELECT participant_id FROM accounts a WHERE a.id = p.credit_account OFFSET 0) AS c \
     WHERE $4::text IS NULL OR p.participant_id = $4 OR c.participant_id = $4 ORDER BY g.position"
);

fn event(row: &PgRow, keys: &Keyring) -> Result<LoggedEvent, StoreError> {
    let mut payment = payments::from_row(row, keys)?;
    let state: &str = row.try_get("stepped_to")?;
    payment.state = State::from_name(state).ok_or(StoreError::Corrupt("payment_events.state"))?;
    payment.sequence = row.try_get("step")?;
    payment.updated_at = row.try_get::<OffsetDateTime, _>("stepped_at")?.into();
    let iso_code = row.try_get::<Option<String>, _>("iso_why")?.unwrap_or_default();
    let code: Option<String> = row.try_get("why")?;
    payment.reason = code.map(|code| Reason { code, iso_code, message: String::new() });
    Ok(LoggedEvent { position: row.try_get("position")?, payment, credited: row.try_get("credited")? })
}
