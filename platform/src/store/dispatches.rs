//! The queue of work: who may speak with the bank about which payment. One round trip to claim.

use std::time::Duration;

use sqlx::Row;
use time::OffsetDateTime;

use super::{Store, StoreError, payments, to_micros};
use crate::domain::payment::{Attempt, Lease, Submission};

/// Takes over what is due, oldest first, skipping what others are taking, and returns it with its newest attempt. What is
/// due is found by `statement_timestamp()`: an index cannot be searched by the volatile `clock_timestamp()`, so that every
/// look would read the whole queue.
const CLAIM: &str = const_format::concatcp!(
    "WITH claimed AS ( \
       UPDATE dispatches SET due_at = clock_timestamp() + $2 * interval '1 microsecond', token = token + 1, \
         tries = tries + 1 \
       WHERE payment_id = ANY(ARRAY( \
         SELECT payment_id FROM dispatches WHERE due_at <= statement_timestamp() ORDER BY due_at LIMIT $1 \
         FOR NO KEY UPDATE SKIP LOCKED)) \
       RETURNING payment_id, token, tries) \
     SELECT ",
    payments::COLUMNS,
    ", c.token, c.tries, t.number, t.accept_time, t.valid_until, a.display_name AS debtor_name, \
       a.iban AS debtor_iban \
     FROM claimed c JOIN payments p ON p.id = c.payment_id JOIN accounts a ON a.id = p.payer_account \
     CROSS JOIN LATERAL (SELECT number, accept_time, valid_until FROM attempts WHERE payment_id = c.payment_id \
       ORDER BY number DESC LIMIT 1) t"
);

impl Store {
    /// Takes over up to `limit` payments whose lease has run out or whose pause is over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_due(&self, limit: i64, lease: Duration) -> Result<Vec<Submission>, StoreError> {
        let rows = sqlx::query(CLAIM).bind(limit).bind(to_micros(lease)).fetch_all(self.pool()).await?;
        rows.iter()
            .map(|row| {
                let attempt = Attempt {
                    number: row.try_get("number")?,
                    accept_time: row.try_get::<OffsetDateTime, _>("accept_time")?.into(),
                    valid_until: row.try_get::<OffsetDateTime, _>("valid_until")?.into(),
                };
                Ok(Submission {
                    payment: payments::from_row(row)?,
                    attempt,
                    lease: Lease { token: row.try_get("token")?, tries: row.try_get("tries")? },
                    debtor_name: row.try_get("debtor_name")?,
                    debtor_iban: row.try_get("debtor_iban")?,
                })
            })
            .collect()
    }

    /// How many payments are under way with a bank.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn payments_under_way(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT count(*) FROM dispatches").fetch_one(self.pool()).await?)
    }
}
