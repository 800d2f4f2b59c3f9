//! Transfers as the entries of an account. One round trip.

use std::time::SystemTime;

use common::id::{AccountId, DepositId, PaymentId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::{account::Side, transfer::Cause};

/// One account's side of a transfer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The account's side of it.
    pub side: Side,
    /// How much, in minor units of the account's currency.
    pub minor_units: i64,
    /// What it books.
    pub cause: Cause,
    /// When it was booked.
    pub at: SystemTime,
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    id: Uuid,
    is_deposit: bool,
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
        // Each side by its own index, newest first, then the newest of both. The limit as a number: of one that it does not see, the
        // planner expects a tenth of all rows.
        let sql = format!(
            "SELECT * FROM ( \
               (SELECT id, is_deposit, debit_account, amount, created_at FROM transfers \
                WHERE debit_account = $1 AND id < $2 ORDER BY id DESC LIMIT {limit}) \
               UNION ALL \
               (SELECT id, is_deposit, debit_account, amount, created_at FROM transfers \
                WHERE credit_account = $1 AND NOT credit_is_house AND id < $2 ORDER BY id DESC LIMIT {limit}) \
             ) AS sides ORDER BY id DESC LIMIT {limit}"
        );
        let rows: Vec<EntryRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(account.uuid())
            .bind(before.unwrap_or(Uuid::max()))
            .fetch_all(self.pool())
            .await?;
        Ok(rows.iter().map(|row| entry(account, row)).collect())
    }
}

fn entry(account: AccountId, row: &EntryRow) -> Entry {
    Entry {
        cause: match row.is_deposit {
            true => Cause::Deposit(DepositId::from_uuid(row.id)),
            false => Cause::Payment(PaymentId::from_uuid(row.id)),
        },
        side: if row.debit_account == account.uuid() { Side::Debit } else { Side::Credit },
        minor_units: row.amount,
        at: row.created_at.into(),
    }
}
