//! Accounts: their row, and reads. One round trip each; locks are taken in id order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use common::{id::AccountId, money::Currency, order::AccountOrder, planted};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, archive, load::View, to_sql};
use crate::domain::{
    account::{Account, Balances},
    payment::Fingerprint,
};

#[derive(sqlx::FromRow)]
struct AccountRow {
    id: Uuid,
    participant_id: String,
    request_id: Option<String>,
    request_fingerprint: Option<Uuid>,
    display_name: String,
    currency: String,
    iban: Option<String>,
    may_overdraw: bool,
    debits_pending: i64,
    debits_posted: i64,
    credits_pending: i64,
    credits_posted: i64,
    closed: bool,
    is_limited: bool,
    revision: i32,
    created_at: OffsetDateTime,
}

const COLUMNS: &str = "id, participant_id, request_id, request_fingerprint, display_name, currency, iban, \
     may_overdraw, debits_pending, debits_posted, credits_pending, credits_posted, closed_at IS NOT NULL AS closed, \
     is_limited, revision, created_at";
const SELECT: &str = const_format::concatcp!("SELECT ", COLUMNS, " FROM accounts ");

/// An account with what only its owner sees of it.
#[derive(Clone, Debug)]
pub struct OwnAccount {
    /// The account.
    pub account: Account,
    /// The caller's id of the request that opened it.
    pub request_id: String,
    /// A hash of that request.
    pub fingerprint: Option<Fingerprint>,
    /// When it was opened.
    pub created_at: SystemTime,
}

impl TryFrom<AccountRow> for OwnAccount {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        let account = Account {
            id: AccountId::from_uuid(row.id),
            participant: row.participant_id,
            display_name: row.display_name,
            iban: row.iban,
            currency: Currency::parse(&row.currency).ok_or(StoreError::Corrupt("accounts.currency"))?,
            may_overdraw: row.may_overdraw,
            closed: row.closed,
            is_limited: row.is_limited,
            revision: row.revision,
            balances: Balances {
                debits_pending: row.debits_pending,
                debits_posted: row.debits_posted,
                credits_pending: row.credits_pending,
                credits_posted: row.credits_posted,
            },
        };
        Ok(Self {
            account,
            request_id: row.request_id.unwrap_or_default(),
            fingerprint: row.request_fingerprint.map(Uuid::into_bytes),
            created_at: row.created_at.into(),
        })
    }
}

/// Whether some of a batch's requests were made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// None was.
    None,
    /// Some were, or nobody has looked.
    Perhaps,
}

#[derive(sqlx::FromRow)]
struct LoadedRow {
    #[sqlx(flatten)]
    account: AccountRow,
    is_repeated: bool,
}

/// Reads the accounts that have these ids or IBANs, as they are under their locks if they are to be locked, and whether a
/// payment has one of these request keys.
pub(super) async fn load(
    connection: &mut PgConnection,
    ids: &BTreeSet<AccountId>,
    ibans: &[&str],
    request_keys: &[Uuid],
    view: View,
) -> Result<(BTreeMap<AccountId, Account>, Repeated), StoreError> {
    const UNLOCKED: &str = const_format::concatcp!(
        "SELECT ",
        COLUMNS,
        ", EXISTS (SELECT FROM payments WHERE request_key = ANY($3)) OR ",
        archive::HAS_ONE_OF_REQUESTS,
        " AS is_repeated FROM accounts \
         WHERE id = ANY($1) OR iban = ANY($2) ORDER BY id"
    );
    const LOCKED: &str = const_format::concatcp!(UNLOCKED, " FOR NO KEY UPDATE");
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let sql = if view == View::Locked && !planted::is("M10") { LOCKED } else { UNLOCKED };
    let query = sqlx::query_as(sql).bind(ids).bind(ibans).bind(request_keys);
    let rows: Vec<LoadedRow> = query.fetch_all(connection).await?;
    let is_new = rows.first().is_some_and(|row| !row.is_repeated);
    let own = |row: LoadedRow| OwnAccount::try_from(row.account).map(|own| (own.account.id, own.account));
    let accounts = rows.into_iter().map(own).collect::<Result<_, _>>()?;
    Ok((accounts, if is_new { Repeated::None } else { Repeated::Perhaps }))
}

impl Store {
    /// Opens an account, unless the request id was used before. Returns what stands under the request id then.
    ///
    /// # Errors
    /// When the database fails; constraint `accounts_iban_is_unique` when another account has the IBAN.
    pub async fn open_account(
        &self,
        participant: &str,
        id: AccountId,
        order: &AccountOrder,
        fingerprint: &Fingerprint,
        now: SystemTime,
    ) -> Result<OwnAccount, StoreError> {
        sqlx::query("INSERT INTO participants (id) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(participant)
            .execute(self.pool())
            .await?;
        sqlx::query(
            "INSERT INTO accounts (id, participant_id, request_id, request_fingerprint, display_name, currency, iban, \
             created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT ON CONSTRAINT accounts_request_id_is_unique DO NOTHING",
        )
        .bind(id.uuid())
        .bind(participant)
        .bind(&order.request_id)
        .bind(Uuid::from_bytes(*fingerprint))
        .bind(&order.display_name)
        .bind(order.currency.code())
        .bind(order.iban.as_ref().map(|iban| iban.as_str()))
        .bind(to_sql(now))
        .execute(self.pool())
        .await?;
        let sql = const_format::concatcp!(SELECT, "WHERE participant_id = $1 AND request_id = $2");
        let row: AccountRow =
            sqlx::query_as(sql).bind(participant).bind(&order.request_id).fetch_one(self.pool()).await?;
        row.try_into()
    }

    /// A participant's account that a request opened.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account_by_request(
        &self,
        participant: &str,
        request_id: &str,
    ) -> Result<Option<OwnAccount>, StoreError> {
        let sql = const_format::concatcp!(SELECT, "WHERE participant_id = $1 AND request_id = $2");
        let row: Option<AccountRow> =
            sqlx::query_as(sql).bind(participant).bind(request_id).fetch_optional(self.pool()).await?;
        row.map(OwnAccount::try_from).transpose()
    }

    /// A participant's account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account(&self, participant: &str, id: AccountId) -> Result<Option<OwnAccount>, StoreError> {
        let sql = const_format::concatcp!(SELECT, "WHERE id = $1 AND participant_id || '' = $2");
        let row: Option<AccountRow> =
            sqlx::query_as(sql).bind(id.uuid()).bind(participant).fetch_optional(self.pool()).await?;
        row.map(OwnAccount::try_from).transpose()
    }

    /// A participant's accounts, newest first, from behind `before` on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(
        &self,
        participant: &str,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<OwnAccount>, StoreError> {
        // The limit as a number: of one that it does not see, the planner expects a tenth of all rows.
        let sql = format!(
            "{SELECT} WHERE participant_id COLLATE \"C\" = $1 AND id < $2 ORDER BY id DESC LIMIT {limit}"
        );
        let rows: Vec<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(participant)
            .bind(before.unwrap_or(Uuid::max()))
            .fetch_all(self.pool())
            .await?;
        rows.into_iter().map(OwnAccount::try_from).collect()
    }

    /// The house's account with a bank in a currency, opened if it is new: the settlement account, or the one that holds
    /// in suspense what the bank paid and nobody here has.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn house_account(
        &self,
        id: AccountId,
        (bank_id, bank_name): (&str, &str),
        currency: Currency,
        is_suspense: bool,
        now: SystemTime,
    ) -> Result<AccountId, StoreError> {
        sqlx::query(
            "INSERT INTO accounts (id, participant_id, display_name, currency, bank_id, may_overdraw, created_at, \
             is_suspense) VALUES ($1, $2, $3, $4, $5, true, $6, $7) \
             ON CONFLICT ON CONSTRAINT accounts_one_settlement_account DO NOTHING",
        )
        .bind(id.uuid())
        .bind(common::text::HOUSE)
        .bind(format!("{} with {bank_name}", if is_suspense { "Suspense" } else { "Settlement" }))
        .bind(currency.code())
        .bind(bank_id)
        .bind(to_sql(now))
        .bind(is_suspense)
        .execute(self.pool())
        .await?;
        let sql = "SELECT id FROM accounts WHERE bank_id = $1 AND currency = $2 AND is_suspense = $3";
        let query = sqlx::query_scalar(sql).bind(bank_id).bind(currency.code()).bind(is_suspense);
        let id: Uuid = query.fetch_one(self.pool()).await?;
        Ok(AccountId::from_uuid(id))
    }
}
