//! Accounts: their row, and reads. One round trip each; locks are taken in id order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use common::{iban::Iban, id::AccountId, money::Currency, order::AccountOrder, planted};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Store, StoreError, archive,
    data_keys::{DataKeys, decrypted},
    load::View,
    to_sql,
};
use crate::{
    domain::{
        account::{Account, Balances},
        payment::Fingerprint,
    },
    encryption::{Keyring, contents::OfAccount},
};

#[derive(sqlx::FromRow)]
struct AccountRow {
    id: Uuid,
    participant_id: String,
    request_id: Option<String>,
    request_fingerprint: Option<Uuid>,
    personal: Vec<u8>,
    currency: String,
    iban_hash: Option<Uuid>,
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

const COLUMNS: &str = "id, participant_id, request_id, request_fingerprint, personal, currency, iban_hash, \
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

/// The column of what an account says of people.
pub(super) const PERSONAL: &str = "accounts.personal";

impl AccountRow {
    fn into_account(self, keys: &Keyring) -> Result<OwnAccount, StoreError> {
        let row = self;
        let personal = decrypted(keys.decrypt_account(row.id, &row.personal), PERSONAL)?;
        // Otherwise what is paid to an IBAN would arrive at whoever's row its hash was written to.
        if row.iban_hash != hash_of(keys, personal.iban.as_deref())? {
            return Err(StoreError::Corrupt("accounts.iban_hash"));
        }
        let account = Account {
            id: AccountId::from_uuid(row.id),
            participant: row.participant_id,
            display_name: personal.display_name,
            iban: personal.iban,
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
        Ok(OwnAccount {
            account,
            request_id: row.request_id.unwrap_or_default(),
            fingerprint: row.request_fingerprint.map(Uuid::into_bytes),
            created_at: row.created_at.into(),
        })
    }
}

/// Decrypts accounts, under keys that are looked up if need be.
async fn decrypt_all(
    keys: &DataKeys,
    database: impl PgExecutor<'_>,
    rows: Vec<AccountRow>,
) -> Result<Vec<OwnAccount>, StoreError> {
    let keys = match keys.that_decrypt(rows.iter().map(|row| row.personal.as_slice())) {
        Some(known) => known,
        None => keys.learned(database).await?,
    };
    rows.into_iter().map(|row| row.into_account(&keys)).collect()
}

/// By what an account with this IBAN is found, if it has one.
fn hash_of(keys: &Keyring, iban: Option<&str>) -> Result<Option<Uuid>, StoreError> {
    let lookup = keys.lookup().ok_or(StoreError::NoDataKey)?;
    Ok(iban.map(|iban| lookup.iban_hash(iban)))
}

/// Encrypts what an account says of people. Returns by what its IBAN is found, too.
fn encrypt(
    keys: &Keyring,
    id: AccountId,
    display_name: &str,
    iban: Option<&Iban>,
) -> Result<(Vec<u8>, Option<Uuid>), StoreError> {
    let iban = iban.map(|iban| iban.as_str().to_owned());
    let hash = hash_of(keys, iban.as_deref())?;
    let contents = OfAccount { display_name: display_name.to_owned(), iban };
    Ok((keys.encrypt_account(id.uuid(), &contents).ok_or(StoreError::NoDataKey)?, hash))
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
    keys: &DataKeys,
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
         WHERE id = ANY($1) OR iban_hash = ANY($2) ORDER BY id"
    );
    const LOCKED: &str = const_format::concatcp!(UNLOCKED, " FOR NO KEY UPDATE");
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let sql = if view == View::Locked && !planted::is("M10") { LOCKED } else { UNLOCKED };
    let lookup = keys.lookup()?;
    let hashes: Vec<Uuid> = ibans.iter().map(|iban| lookup.iban_hash(iban)).collect();
    let query = sqlx::query_as(sql).bind(ids).bind(hashes).bind(request_keys);
    let rows: Vec<LoadedRow> = query.fetch_all(&mut *connection).await?;
    let is_new = rows.first().is_some_and(|row| !row.is_repeated);
    let rows = rows.into_iter().map(|row| row.account).collect();
    let accounts = decrypt_all(keys, connection, rows).await?.into_iter();
    Ok((
        accounts.map(|own| (own.account.id, own.account)).collect(),
        if is_new { Repeated::None } else { Repeated::Perhaps },
    ))
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
        let (personal, iban_hash) =
            encrypt(&self.keys().current(), id, &order.display_name, order.iban.as_ref())?;
        sqlx::query(
            "INSERT INTO accounts (id, participant_id, request_id, request_fingerprint, personal, currency, iban_hash, \
             created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT ON CONSTRAINT accounts_request_id_is_unique DO NOTHING",
        )
        .bind(id.uuid())
        .bind(participant)
        .bind(&order.request_id)
        .bind(Uuid::from_bytes(*fingerprint))
        .bind(personal)
        .bind(order.currency.code())
        .bind(iban_hash)
        .bind(to_sql(now))
        .execute(self.pool())
        .await?;
        let sql = const_format::concatcp!(SELECT, "WHERE participant_id = $1 AND request_id = $2");
        let row: AccountRow =
            sqlx::query_as(sql).bind(participant).bind(&order.request_id).fetch_one(self.pool()).await?;
        self.decrypt_one(Some(row)).await?.ok_or(sqlx::Error::RowNotFound.into())
    }

    async fn decrypt_one(&self, row: Option<AccountRow>) -> Result<Option<OwnAccount>, StoreError> {
        Ok(decrypt_all(self.keys(), self.pool(), row.into_iter().collect()).await?.pop())
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
        self.decrypt_one(row).await
    }

    /// A participant's account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account(&self, participant: &str, id: AccountId) -> Result<Option<OwnAccount>, StoreError> {
        let sql = const_format::concatcp!(SELECT, "WHERE id = $1 AND participant_id || '' = $2");
        let row: Option<AccountRow> =
            sqlx::query_as(sql).bind(id.uuid()).bind(participant).fetch_optional(self.pool()).await?;
        self.decrypt_one(row).await
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
        decrypt_all(self.keys(), self.pool(), rows).await
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
        let name = format!("{} with {bank_name}", if is_suspense { "Suspense" } else { "Settlement" });
        let (personal, _) = encrypt(&self.keys().current(), id, &name, None)?;
        sqlx::query(
            "INSERT INTO accounts (id, participant_id, personal, currency, bank_id, may_overdraw, created_at, \
             is_suspense) VALUES ($1, $2, $3, $4, $5, true, $6, $7) \
             ON CONFLICT ON CONSTRAINT accounts_one_settlement_account DO NOTHING",
        )
        .bind(id.uuid())
        .bind(common::text::HOUSE)
        .bind(personal)
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
