//! Reads what statistics are made of: the course of each payment of a window. One round trip.

use std::time::SystemTime;

use sqlx::{QueryBuilder, Row, postgres::PgRow};
use time::OffsetDateTime;

use super::{Store, StoreError, to_sql};
use crate::domain::{payment::State, statistics::Course};

/// Whose payments, and which.
#[derive(Clone, Debug)]
pub struct Window {
    /// From when on they came to be.
    pub start: SystemTime,
    /// Before when.
    pub end: SystemTime,
    /// Whose they are; none for everybody's.
    pub participant: Option<String>,
    /// To which bank; none for any, and on this ledger.
    pub bank_id: Option<String>,
}

/// What to tell payments apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Nothing.
    Nothing,
    /// Their banks.
    Bank,
    /// How they reach their payees.
    Rail,
    /// Whose they are.
    Participant,
    /// Why they are as they are.
    Reason,
}

impl GroupBy {
    /// A key, of a payment called `p`.
    fn key(self) -> &'static str {
        match self {
            Self::Nothing => "''",
            Self::Bank => "coalesce(p.bank_id, '')",
            Self::Rail => "CASE WHEN p.bank_id IS NULL THEN 'ledger' ELSE 'iso20022' END",
            Self::Participant => "p.participant_id",
            Self::Reason => "coalesce(p.reason_code, '')",
        }
    }
}

impl Store {
    /// The courses of up to `limit` payments and captures, with the key of each.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn courses(
        &self,
        window: &Window,
        group_by: GroupBy,
        limit: i64,
    ) -> Result<Vec<(String, Course)>, StoreError> {
        // Each place by its own index, as in lists of payments. Few have ever been UNKNOWN: those that took more than two steps, and those
        // that are.
        let mut query = QueryBuilder::new("");
        for (place, events) in
            [("payments", "payment_events"), ("archived_payments", "archived_payment_events")]
        {
            query.push(if query.sql().as_str().is_empty() { "(" } else { " UNION ALL (" });
            query
                .push("SELECT ")
                .push(group_by.key())
                .push(" AS key, p.created_at, p.updated_at, p.state::text, LEAST(CASE WHEN p.state = 'UNKNOWN' THEN p.updated_at END, ");
            query.push("CASE WHEN p.sequence > 2 THEN (SELECT min(e.created_at) FROM ").push(events);
            query
                .push(" e WHERE e.payment_id = p.id AND e.state = 'UNKNOWN') END) AS unknown_since FROM ")
                .push(place);
            query.push(" p WHERE p.id >= first_id(").push_bind(to_sql(window.start));
            query
                .push(") AND p.id < first_id(")
                .push_bind(to_sql(window.end))
                .push(") AND p.kind IN ('PAYMENT', 'CAPTURE')");
            if let Some(participant) = &window.participant {
                query.push(" AND p.participant_id = ").push_bind(participant);
            }
            if let Some(bank_id) = &window.bank_id {
                query.push(" AND p.bank_id = ").push_bind(bank_id);
            }
            if place != "payments" {
                query.push(" AND NOT EXISTS (SELECT FROM payments b WHERE b.id = p.id)");
            }
            query.push(" ORDER BY p.id LIMIT ").push(limit).push(")");
        }
        query.push(" LIMIT ").push(limit);
        let rows = query.build().fetch_all(self.pool()).await?;
        rows.iter().map(course).collect()
    }
}

fn course(row: &PgRow) -> Result<(String, Course), StoreError> {
    let state = State::from_name(row.try_get("state")?).ok_or(StoreError::Corrupt("payments.state"))?;
    let unknown_since: Option<OffsetDateTime> = row.try_get("unknown_since")?;
    let course = Course {
        began_at: row.try_get::<OffsetDateTime, _>("created_at")?.into(),
        state,
        updated_at: row.try_get::<OffsetDateTime, _>("updated_at")?.into(),
        unknown_since: unknown_since.map(SystemTime::from),
    };
    Ok((row.try_get("key")?, course))
}
