//! Accounts, and the deposits that fill them.

use common::{
    id::{AccountId, DepositId},
    money::Currency,
    order::{AccountOrder, DepositOrder},
};
use uuid::Uuid;

use super::Store;

/// Who owns the settlement accounts.
const HOUSE: &str = "house";

impl Store {
    /// Opens an account, or finds it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_account(
        &self,
        participant: &str,
        order: &AccountOrder,
    ) -> Result<AccountId, sqlx::Error> {
        self.account(participant, &order.request_id, &order.display_name, order.currency, None).await
    }

    /// The settlement account with a bank, opened if it is new.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settlement_account(
        &self,
        bank_id: &str,
        currency: Currency,
    ) -> Result<AccountId, sqlx::Error> {
        let request_id = format!("{bank_id}-{currency}");
        self.account(HOUSE, &request_id, "Settlement", currency, Some(bank_id)).await
    }

    async fn account(
        &self,
        participant: &str,
        request_id: &str,
        display_name: &str,
        currency: Currency,
        bank_id: Option<&str>,
    ) -> Result<AccountId, sqlx::Error> {
        sqlx::query(
            "INSERT INTO accounts (id, participant_id, request_id, display_name, currency, bank_id) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(AccountId::new(&self.clock).uuid())
        .bind(participant)
        .bind(request_id)
        .bind(display_name)
        .bind(currency.code())
        .bind(bank_id)
        .execute(&self.pool)
        .await?;
        sqlx::query_scalar("SELECT id FROM accounts WHERE participant_id = $1 AND request_id = $2")
            .bind(participant)
            .bind(request_id)
            .fetch_one(&self.pool)
            .await
            .map(AccountId::from_uuid)
    }

    /// Books money that arrived at a settlement account, once; none if the account is not the participant's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deposit(
        &self,
        participant: &str,
        order: &DepositOrder,
        settlement: AccountId,
    ) -> Result<Option<DepositId>, sqlx::Error> {
        let id = DepositId::new(&self.clock);
        let amount = order.amount.minor_units();
        let mut transaction = self.pool.begin().await?;
        let booked = sqlx::query(
            "INSERT INTO deposits (id, participant_id, request_id, account_id, amount) \
             SELECT $1, $2, $3, id, $5 FROM accounts \
             WHERE id = $4 AND participant_id = $2 AND currency = $6 ON CONFLICT DO NOTHING",
        )
        .bind(id.uuid())
        .bind(participant)
        .bind(&order.request_id)
        .bind(order.account.uuid())
        .bind(amount)
        .bind(order.amount.currency().code())
        .execute(&mut *transaction)
        .await?;
        if booked.rows_affected() == 0 {
            transaction.rollback().await?;
            let sql =
                "SELECT id FROM deposits WHERE participant_id = $1 AND request_id = $2 AND account_id = $3";
            let earlier: Option<Uuid> = sqlx::query_scalar(sql)
                .bind(participant)
                .bind(&order.request_id)
                .bind(order.account.uuid())
                .fetch_optional(&self.pool)
                .await?;
            return Ok(earlier.map(DepositId::from_uuid));
        }
        sqlx::query(
            "INSERT INTO transfers (id, kind, deposit_id, debit_account, credit_account, amount, created_at) \
             VALUES ($1, 'POSTING', $1, $2, $3, $4, now())",
        )
        .bind(id.uuid())
        .bind(settlement.uuid())
        .bind(order.account.uuid())
        .bind(amount)
        .execute(&mut *transaction)
        .await?;
        let debit = "UPDATE accounts SET debits_posted = debits_posted + $2 WHERE id = $1";
        let credit = "UPDATE accounts SET credits_posted = credits_posted + $2 WHERE id = $1";
        let mut sides = [(settlement, debit), (order.account, credit)];
        sides.sort_by_key(|(account, _)| *account);
        for (account, sql) in sides {
            sqlx::query(sql).bind(account.uuid()).bind(amount).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Some(id))
    }
}
