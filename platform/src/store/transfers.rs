//! Transfers as the entries of an account. One round trip.

use std::time::SystemTime;

use common::id::{AccountId, DepositId, PaymentId, TransferId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::{account::Side, transfer::Cause};

/// One account's side of a transfer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transfer.
    pub transfer: TransferId,
    /// The account's side of it.
    pub side: Side,
    /// How much, in minor units of the account's currency.
    pub minor_units: i64,
    /// What it belongs to.
    pub cause: Cause,
    /// When it was booked.
    pub at: SystemTime,
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    id: Uuid,
    payment_id: Option<Uuid>,
    deposit_id: Option<Uuid>,
    debit_account: Uuid,
    amount: i64,
    created_at: OffsetDateTime,
}

impl Store {
    /// A customer's account's entries, newest first, from behind `before` on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entries(
        &self,
        account: AccountId,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        // Each side by its own index, newest first, then the newest of both.
        let rows: Vec<EntryRow> = sqlx::query_as(
            "SELECT * FROM ( \
               (SELECT id, payment_id, deposit_id, debit_account, amount, created_at FROM transfers \
                WHERE debit_account = $1 AND NOT debit_is_house AND id < $2 ORDER BY id DESC LIMIT $3) \
               UNION ALL \
               (SELECT id, payment_id, deposit_id, debit_account, amount, created_at FROM transfers \
                WHERE credit_account = $1 AND NOT credit_is_house AND id < $2 ORDER BY id DESC LIMIT $3) \
             ) AS sides ORDER BY id DESC LIMIT $3",
        )
        .bind(account.uuid())
        .bind(before.unwrap_or(Uuid::max()))
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        rows.into_iter().map(|row| entry(account, row)).collect()
    }
}

fn entry(account: AccountId, row: EntryRow) -> Result<Entry, StoreError> {
    let cause = match (row.payment_id, row.deposit_id) {
        (Some(payment), None) => Cause::Payment(PaymentId::from_uuid(payment)),
        (None, Some(deposit)) => Cause::Deposit(DepositId::from_uuid(deposit)),
        _ => return Err(StoreError::Corrupt("transfers.payment_id")),
    };
    Ok(Entry {
        transfer: TransferId::from_uuid(row.id),
        side: if row.debit_account == account.uuid() { Side::Debit } else { Side::Credit },
        minor_units: row.amount,
        cause,
        at: row.created_at.into(),
    })
}
