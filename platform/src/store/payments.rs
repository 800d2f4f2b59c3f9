//! Payments: their row, and reads of them. One round trip a read.
//!
//! Each read leaves the planner no index to mistake for another: by id, by participant and id, by request key.

use std::{sync::Arc, time::SystemTime};

use common::{
    bic::Bic,
    id::{AccountId, PaymentId},
    money::{Currency, Money},
    order::BankKey,
};
use sqlx::{FromRow, PgExecutor, QueryBuilder, Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Store, StoreError, archive,
    data_keys::{DataKeys, decrypted},
    to_sql,
};
use crate::{
    domain::{
        limits::Counted,
        payment::{Authorization, Kind, Payment, State, Terms, own_end_to_end_id},
        refusal::Reason,
    },
    encryption::Keyring,
};

/// The columns of a payment, in a statement whose payments are called `p`.
pub(super) const COLUMNS: &str = "p.id, p.participant_id, p.request_id, p.request_fingerprint, p.payer_account, \
     p.credit_account, p.personal, p.payee_account, p.payee_bank_id, p.payee_bic, p.amount, p.currency, p.bank_id, \
     p.uetr, p.state::text, p.reason_code, p.reason_iso_code, p.reason_message, p.sequence, p.is_queued, p.created_at, \
     p.updated_at, p.kind::text, p.original_id, p.held, p.capturing, p.captured, p.closing::text, p.expires_at, \
     p.is_counted_on_account, p.is_counted_on_participant";

#[derive(sqlx::FromRow)]
struct PaymentRow {
    id: Uuid,
    participant_id: String,
    request_id: String,
    request_fingerprint: Uuid,
    payer_account: Uuid,
    credit_account: Uuid,
    personal: Vec<u8>,
    payee_account: Option<Uuid>,
    payee_bank_id: Option<String>,
    payee_bic: Option<String>,
    amount: i64,
    currency: String,
    bank_id: Option<String>,
    uetr: Uuid,
    state: String,
    reason_code: Option<String>,
    reason_iso_code: Option<String>,
    reason_message: Option<Vec<u8>>,
    sequence: i32,
    is_queued: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    kind: String,
    original_id: Option<Uuid>,
    is_counted_on_account: bool,
    is_counted_on_participant: bool,
    #[sqlx(flatten)]
    authorization: AuthorizationColumns,
}

#[derive(sqlx::FromRow)]
struct AuthorizationColumns {
    held: Option<i64>,
    capturing: Option<i64>,
    captured: Option<i64>,
    closing: Option<String>,
    expires_at: Option<OffsetDateTime>,
}

impl AuthorizationColumns {
    fn into_authorization(self) -> Result<Option<Authorization>, StoreError> {
        let sums = (self.held, self.capturing, self.captured, self.expires_at);
        let (Some(held), Some(capturing), Some(captured), Some(expires_at)) = sums else { return Ok(None) };
        let closing = match self.closing.as_deref() {
            None => None,
            Some(name) => Some(State::from_name(name).ok_or(StoreError::Corrupt("payments.closing"))?),
        };
        Ok(Some(Authorization { held, capturing, captured, closing, expires_at: expires_at.into() }))
    }
}

/// The payee's bank, as the request named it. None in none if the columns name it twice or wrongly.
fn bank_key(id: Option<String>, bic: Option<&str>) -> Option<Option<BankKey>> {
    match (id, bic) {
        (Some(id), None) => Some(Some(BankKey::Id(id))),
        (None, Some(bic)) => Some(Some(BankKey::Bic(Bic::parse(bic)?))),
        (None, None) => Some(None),
        (Some(_), Some(_)) => None,
    }
}

/// By what a repeated request is found: 128 bits of a hash that nobody can make collide, half as long in the index as what it
/// stands for.
pub(super) fn request_key(participant: &str, request_id: &str) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    hasher.update(participant.as_bytes()).update(&[0]).update(request_id.as_bytes());
    let hash = hasher.finalize();
    Uuid::from_bytes(std::array::from_fn(|at| hash.as_bytes()[at]))
}

impl PaymentRow {
    fn into_payment(self, keys: &Keyring) -> Result<Payment, StoreError> {
        let row = self;
        let personal = decrypted(keys.decrypt_payment(row.id, &row.personal), PERSONAL)?;
        let bank = bank_key(row.payee_bank_id, row.payee_bic.as_deref());
        let payee = bank.and_then(|bank| personal.payee(row.payee_account.map(AccountId::from_uuid), bank));
        let currency = Currency::parse(&row.currency).ok_or(StoreError::Corrupt("payments.currency"))?;
        let message = row.reason_message.map(|message| keys.decrypt_reason(row.id, &message)).transpose();
        let message = decrypted(message, "payments.reason_message")?.unwrap_or_default().message;
        let iso_code = row.reason_iso_code.unwrap_or_default();
        let reason = row.reason_code.map(|code| Reason { code, iso_code, message });
        let id = PaymentId::from_uuid(row.id);
        let terms = Terms {
            id,
            participant: row.participant_id,
            request_id: row.request_id,
            fingerprint: row.request_fingerprint.into_bytes(),
            payer_account: AccountId::from_uuid(row.payer_account),
            credit_account: AccountId::from_uuid(row.credit_account),
            kind: Kind::from_name(&row.kind).ok_or(StoreError::Corrupt("payments.kind"))?,
            original: row.original_id.map(PaymentId::from_uuid),
            payee: payee.ok_or(StoreError::Corrupt("payments.payee_account"))?,
            amount: Money::new(row.amount, currency),
            remittance_information: personal.remittance_information,
            end_to_end_id: personal.end_to_end_id.unwrap_or_else(|| own_end_to_end_id(id)),
            metadata: personal.metadata,
            bank_id: row.bank_id,
            uetr: row.uetr,
            created_at: row.created_at.into(),
            counted: Counted {
                account: row.is_counted_on_account,
                participant: row.is_counted_on_participant,
            },
        };
        Ok(Payment {
            terms: Arc::new(terms),
            state: State::from_name(&row.state).ok_or(StoreError::Corrupt("payments.state"))?,
            authorization: row.authorization.into_authorization()?,
            reason,
            sequence: row.sequence,
            is_queued: row.is_queued,
            updated_at: row.updated_at.into(),
        })
    }
}

/// The column of what a payment says of people.
pub(super) const PERSONAL: &str = "payments.personal";

/// Reads a payment from a row that has [`COLUMNS`].
pub(super) fn from_row(row: &PgRow, keys: &Keyring) -> Result<Payment, StoreError> {
    PaymentRow::from_row(row)?.into_payment(keys)
}

/// The encrypted columns among [`COLUMNS`].
pub(super) const ENCRYPTED: [&str; 2] = ["personal", "reason_message"];

/// The keys that decrypt what rows have in these columns.
pub(super) async fn keys_of(
    keys: &DataKeys,
    database: impl PgExecutor<'_>,
    rows: &[PgRow],
    columns: &[&str],
) -> Result<Arc<Keyring>, StoreError> {
    let values = rows.iter().flat_map(|row| {
        columns.iter().filter_map(|column| row.try_get::<Option<&[u8]>, _>(*column).ok().flatten())
    });
    match keys.that_decrypt(values) {
        Some(known) => Ok(known),
        None => keys.learned(database).await,
    }
}

const BY_ID: [&str; 2] = ["payments p WHERE p.id = ", "archived_payments p WHERE p.id = "];
const BY_REQUEST: [&str; 2] = ["payments p WHERE p.request_key = ", archive::BY_REQUEST];

/// Which payments to list.
#[derive(Clone, Debug, Default)]
pub struct PaymentFilter {
    /// Only those that this account pays.
    pub payer_account: Option<AccountId>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only the captures and refunds of this payment.
    pub original: Option<PaymentId>,
    /// Only those that came to be from then on.
    pub start: Option<SystemTime>,
    /// Only those that came to be before then.
    pub end: Option<SystemTime>,
}

impl Store {
    /// A participant's payment, by its id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn payment(&self, participant: &str, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        self.find(BY_ID, id.uuid(), Some(participant)).await
    }

    /// A payment, whosever it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn any_payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        self.find(BY_ID, id.uuid(), None).await
    }

    /// A participant's payment, by the id of the request that made it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn payment_by_request(
        &self,
        participant: &str,
        request_id: &str,
    ) -> Result<Option<Payment>, StoreError> {
        self.find(BY_REQUEST, request_key(participant, request_id), Some(participant)).await
    }

    /// A payment where it can be worked on, or else in the archive: what has left the one place is in the other.
    async fn find(
        &self,
        places: [&str; 2],
        key: Uuid,
        participant: Option<&str>,
    ) -> Result<Option<Payment>, StoreError> {
        for place in places {
            let sql =
                format!("SELECT {COLUMNS} FROM {place} $1 AND ($2::text IS NULL OR p.participant_id = $2)");
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(key).bind(participant);
            if let Some(row) = query.fetch_optional(self.pool()).await? {
                let keys = keys_of(self.keys(), self.pool(), std::slice::from_ref(&row), &ENCRYPTED).await?;
                return from_row(&row, &keys).map(Some);
            }
        }
        Ok(None)
    }

    /// A participant's payments, newest first, from behind `before` on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn payments(
        &self,
        participant: &str,
        filter: &PaymentFilter,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Payment>, StoreError> {
        // Each place by its own index, newest first, then the newest of both. What was brought back is in both.
        let mut query = QueryBuilder::new(const_format::concatcp!("SELECT ", COLUMNS, " FROM ("));
        for place in ["(SELECT p.* FROM payments p", " UNION ALL (SELECT p.* FROM archived_payments p"] {
            // Only what is asked for, and the limit as a number: of anything that might be there and is not, the planner expects
            // so few rows that it would rather read and sort all of the participant's.
            query.push(place).push(" WHERE p.participant_id = ").push_bind(participant);
            query.push(" AND p.id < ").push_bind(before.unwrap_or(Uuid::max()));
            // Numbers are ordered by time.
            if let Some(start) = filter.start {
                query.push(" AND p.id >= first_id(").push_bind(to_sql(start)).push(")");
            }
            if let Some(end) = filter.end {
                query.push(" AND p.id < first_id(").push_bind(to_sql(end)).push(")");
            }
            if let Some(payer) = filter.payer_account {
                query.push(" AND p.payer_account = ").push_bind(payer.uuid());
            }
            if let Some(state) = filter.state {
                query.push(" AND p.state = ").push_bind(state.name()).push("::payment_state");
            }
            if let Some(original) = filter.original {
                query.push(" AND p.original_id = ").push_bind(original.uuid());
            }
            if place.contains("archived") {
                query.push(" AND NOT EXISTS (SELECT FROM payments b WHERE b.id = p.id)");
            }
            query.push(" ORDER BY p.id DESC LIMIT ").push(limit).push(")");
        }
        query.push(") AS p ORDER BY p.id DESC LIMIT ").push(limit);
        let rows = query.build().fetch_all(self.pool()).await?;
        let keys = keys_of(self.keys(), self.pool(), &rows, &ENCRYPTED).await?;
        rows.iter().map(|row| from_row(row, &keys)).collect()
    }
}
