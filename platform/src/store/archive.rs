//! The archive: payments that are over leave the tables that every payment writes to, and come back when somebody has to do
//! with them again.
//!
//! A family (a payment with its captures, refunds and returns) leaves by one commit, which copies it and deletes it; the
//! database lets nothing be deleted that it has no equal copy of. Whoever reads sees it before or after, and never twice or
//! not at all. A repeated request is looked for here too ([`BY_REQUEST`]). Should its payment leave just then, the new one that
//! finds the unique key free is refused by the trigger that looks at each new payment (`refuse_strays`), which comes behind
//! the key, and the next look finds the payment.

use std::time::SystemTime;

use common::id::PaymentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Store, StoreError, to_sql};

/// Archived payments `p` by the keys of the requests `r` that made them; nothing of `p` if its month was taken out.
pub(super) const BY_REQUEST: &str =
    "archived_requests r LEFT JOIN archived_payments p ON p.id = r.payment_id WHERE r.request_key = ";

/// Whether one of the requests `$3` made an archived payment.
pub(super) const HAS_ONE_OF_REQUESTS: &str =
    "EXISTS (SELECT FROM archived_requests WHERE request_key = ANY($3))";

/// How far a move came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// How many payments left.
    pub payments: u64,
    /// The last payment that was looked at; none at the end.
    pub last: Option<PaymentId>,
}

/// Copies these payments and their families from the archive back to where they can be locked and changed. They are there
/// with the commit of the open transaction. What was never archived, or was taken out, is passed over. Returns how many of
/// them the archive has.
pub(super) async fn bring_back(
    connection: &mut PgConnection,
    payments: &[Uuid],
) -> Result<usize, StoreError> {
    let has: Option<i64> =
        sqlx::query_scalar("SELECT bring_back($1)").bind(payments).fetch_one(connection).await?;
    Ok(has.and_then(|has| usize::try_from(has).ok()).unwrap_or_default())
}

impl Store {
    /// Moves families that were over before `closed_before` to the archive: looks at up to `at_most` payments that have no
    /// original, oldest first, behind `behind`. Moves nothing and returns none while another platform moves some.
    ///
    /// # Errors
    /// When the database fails; nothing was moved then.
    pub async fn move_to_archive(
        &self,
        closed_before: SystemTime,
        behind: Option<PaymentId>,
        at_most: i32,
    ) -> Result<Option<Moved>, StoreError> {
        let (last, payments): (Option<Uuid>, Option<i32>) =
            sqlx::query_as("SELECT last, moved FROM move_to_archive($1, $2, $3)")
                .bind(to_sql(closed_before))
                .bind(behind.map_or(Uuid::nil(), PaymentId::uuid))
                .bind(at_most)
                .fetch_one(self.pool())
                .await?;
        Ok(payments.map(|payments| Moved {
            payments: u64::try_from(payments).unwrap_or_default(),
            last: last.map(PaymentId::from_uuid),
        }))
    }
}
