//! The ledger's raw rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use harness::BenchError;
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

/// A payment's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentRow {
    /// The request id of the payment that it goes back to.
    pub family: String,
    /// Its id.
    pub id: Uuid,
    /// The request that made it.
    pub request_id: String,
    /// PAYMENT, AUTHORIZATION, CAPTURE, REFUND or RETURN.
    pub kind: String,
    /// What it captures, refunds or takes back.
    pub original_id: Option<Uuid>,
    /// Who pays.
    pub payer_account: Uuid,
    /// Who is paid: the payee on this ledger, or the bank's account here.
    pub credit_account: Uuid,
    /// Minor units.
    pub amount: i64,
    /// The amount's currency.
    pub currency: String,
    /// The bank that is instructed.
    pub bank_id: Option<String>,
    /// Its reference at the bank.
    pub uetr: Uuid,
    /// Its state.
    pub state: String,
    /// The state's number.
    pub sequence: i32,
    /// Of an authorization: whether it takes no more captures.
    pub is_closing: bool,
    /// Of an authorization: when it ends, in microseconds since 1970.
    pub expires_us: Option<i64>,
    /// Of an authorization, as stored: what is held, being captured, and captured.
    pub sums: Option<(i64, i64, i64)>,
    /// Of what was refunded or tried to be, as stored: how much of it is.
    pub refunded: Option<i64>,
    /// When it came to be, in microseconds since 1970.
    pub created_us: i64,
    /// What the queue of work has to do with it.
    pub work: Option<String>,
    /// The kinds of the alarms about it.
    pub alarms: Vec<String>,
    /// The end that two operators agreed on: whether it succeeded, and by which evidence.
    pub resolution: Option<(bool, String)>,
}

/// A step of a payment's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub sequence: i32,
    /// The state that it led to.
    pub state: String,
    /// When, in microseconds since 1970.
    pub at_us: i64,
}

/// An account's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct AccountRow {
    /// Its id.
    pub id: Uuid,
    /// Its currency.
    pub currency: String,
    /// Whether it may go below zero.
    pub may_overdraw: bool,
    /// The bank with which the house has it.
    pub bank_id: Option<String>,
    /// Whether it holds what banks paid late.
    pub is_suspense: bool,
    /// Debits held, as stored.
    pub debits_pending: i64,
    /// Debits, as stored.
    pub debits_posted: i64,
    /// Credits expected, as stored.
    pub credits_pending: i64,
    /// Credits, as stored.
    pub credits_posted: i64,
}

/// All transfers between two accounts, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Who pays.
    pub debit_account: Uuid,
    /// Who is paid.
    pub credit_account: Uuid,
    /// Minor units.
    pub amount: i128,
}

/// What has not come to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// By account that pays, the sum of what payments under way and authorizations hold.
    pub by_payer: BTreeMap<Uuid, i128>,
    /// The same by account that will be credited.
    pub by_payee: BTreeMap<Uuid, i128>,
    /// How many payments somebody has still to work on, expiries apart.
    pub work_left: i64,
}

/// The payments of these families: the payment itself, its captures, and the refunds and returns of both.
const FAMILIES: &str = "\
    WITH RECURSIVE family AS ( \
      SELECT p.id AS root, p.id FROM all_payments p WHERE p.request_id = ANY($1) AND p.original_id IS NULL \
      UNION ALL SELECT f.root, c.id FROM family f JOIN all_payments c ON c.original_id = f.id \
    ) SELECT r.request_id AS family, p.id, p.request_id, p.kind::text, p.original_id, p.payer_account, p.credit_account, p.amount, \
      p.currency, p.bank_id, p.uetr, p.state::text, p.sequence, p.closing IS NOT NULL AS is_closing, \
      (extract(epoch FROM p.expires_at) * 1000000)::bigint AS expires_us, p.held, p.capturing, p.captured, b.refunded, \
      (extract(epoch FROM p.created_at) * 1000000)::bigint AS created_us, \
      CASE WHEN p.is_queued OR p.state <> 'SUBMITTED' THEN d.work::text ELSE 'ENQUIRE' END AS work, \
      ARRAY(SELECT a.kind FROM alarms a WHERE a.payment_id = p.id ORDER BY a.kind) AS alarms, \
      s.succeeded, s.evidence_reference, s.approved_by \
    FROM family f JOIN all_payments r ON r.id = f.root JOIN all_payments p ON p.id = f.id \
      LEFT JOIN dispatches d ON d.payment_id = p.id LEFT JOIN resolutions s ON s.payment_id = p.id \
      LEFT JOIN refundable b ON b.payment_id = p.id ORDER BY p.id";

/// The payments of these families, the oldest first.
pub async fn payments(
    connection: &mut PgConnection,
    families: &BTreeSet<String>,
) -> Result<Vec<PaymentRow>, BenchError> {
    let families: Vec<&str> = families.iter().map(String::as_str).collect();
    Ok(sqlx::query_as(FAMILIES).bind(families).fetch_all(connection).await?)
}

impl sqlx::FromRow<'_, PgRow> for PaymentRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let held: Option<i64> = row.try_get("held")?;
        let sums = match held {
            Some(held) => Some((held, row.try_get("capturing")?, row.try_get("captured")?)),
            None => None,
        };
        let approved_by: Option<String> = row.try_get("approved_by")?;
        let resolution = match approved_by {
            Some(_) => Some((row.try_get("succeeded")?, row.try_get("evidence_reference")?)),
            None => None,
        };
        Ok(Self {
            family: row.try_get("family")?,
            id: row.try_get("id")?,
            request_id: row.try_get("request_id")?,
            kind: row.try_get("kind")?,
            original_id: row.try_get("original_id")?,
            payer_account: row.try_get("payer_account")?,
            credit_account: row.try_get("credit_account")?,
            amount: row.try_get("amount")?,
            currency: row.try_get("currency")?,
            bank_id: row.try_get("bank_id")?,
            uetr: row.try_get("uetr")?,
            state: row.try_get("state")?,
            sequence: row.try_get("sequence")?,
            is_closing: row.try_get("is_closing")?,
            expires_us: row.try_get("expires_us")?,
            sums,
            refunded: row.try_get("refunded")?,
            created_us: row.try_get("created_us")?,
            work: row.try_get("work")?,
            alarms: row.try_get("alarms")?,
            resolution,
        })
    }
}

/// The histories of these payments, each in order.
pub async fn events(
    connection: &mut PgConnection,
    payments: &[PaymentRow],
) -> Result<HashMap<Uuid, Vec<Event>>, BenchError> {
    let ids: Vec<Uuid> = payments.iter().map(|payment| payment.id).collect();
    let sql = "SELECT payment_id, sequence, state::text, (extract(epoch FROM created_at) * 1000000)::bigint FROM all_payment_events \
               WHERE payment_id = ANY($1) ORDER BY 1, 2";
    let mut by_payment: HashMap<Uuid, Vec<Event>> = HashMap::new();
    for row in sqlx::query(sql).bind(ids).fetch_all(connection).await? {
        let event = Event { sequence: row.try_get(1)?, state: row.try_get(2)?, at_us: row.try_get(3)? };
        by_payment.entry(row.try_get(0)?).or_default().push(event);
    }
    Ok(by_payment)
}

/// The database's time, in microseconds since 1970.
pub async fn now_us(connection: &mut PgConnection) -> Result<i64, BenchError> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}

/// Every account.
pub async fn accounts(connection: &mut PgConnection) -> Result<Vec<AccountRow>, BenchError> {
    let sql = "SELECT id, currency, may_overdraw, bank_id, is_suspense, debits_pending, debits_posted, credits_pending, credits_posted FROM accounts";
    Ok(sqlx::query_as(sql).fetch_all(connection).await?)
}

/// Every transfer, added up.
pub async fn sums(connection: &mut PgConnection) -> Result<Vec<Sum>, BenchError> {
    let sql = "SELECT debit_account, credit_account, sum(amount)::text FROM transfers GROUP BY 1, 2";
    let mut sums = Vec::new();
    for row in sqlx::query(sql).fetch_all(connection).await? {
        let amount: String = row.try_get(2)?;
        let (debit_account, credit_account) = (row.try_get(0)?, row.try_get(1)?);
        sums.push(Sum { debit_account, credit_account, amount: amount.parse()? });
    }
    Ok(sums)
}

/// What payments under way and authorizations hold, by account that pays and account that will be credited. Of an authorization that is open, its amount less
/// its captures that have not failed; of one that is closing, nothing.
pub const HELD: &str = "\
    SELECT p.payer_account, p.credit_account, sum(CASE WHEN p.kind <> 'AUTHORIZATION' THEN p.amount WHEN p.closing IS NOT NULL THEN 0 \
      ELSE p.amount - coalesce((SELECT sum(c.amount) FROM payments c WHERE c.original_id = p.id AND c.kind = 'CAPTURE' \
        AND c.state NOT IN ('FAILED', 'CANCELLED')), 0) END) AS amount \
    FROM payments p WHERE p.state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED') GROUP BY 1, 2";

/// What has not come to its end.
pub async fn open(connection: &mut PgConnection) -> Result<Open, BenchError> {
    let mut open = Open::default();
    let sql = format!("SELECT payer_account, credit_account, amount::text FROM ({HELD}) held");
    for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await? {
        let amount: i128 = row.try_get::<String, _>(2)?.parse()?;
        *open.by_payer.entry(row.try_get(0)?).or_default() += amount;
        *open.by_payee.entry(row.try_get(1)?).or_default() += amount;
    }
    open.work_left = harness::work::left(connection).await?;
    Ok(open)
}

/// How many payments of each kind are in each state and how many were in doubt before, and how many alarms of each kind there
/// are, for people.
pub async fn census(connection: &mut PgConnection) -> Result<Vec<(String, i64)>, BenchError> {
    let sql = "SELECT lower(kind::text) || ' ' || state, count(*) FROM all_payments GROUP BY 1 \
               UNION ALL SELECT 'before ' || state, count(DISTINCT payment_id) FROM all_payment_events \
                 WHERE state IN ('HELD', 'UNKNOWN', 'INVESTIGATE') GROUP BY state \
               UNION ALL SELECT 'alarm ' || kind, count(*) FROM alarms GROUP BY 1 ORDER BY 1";
    Ok(sqlx::query_as(sql).fetch_all(connection).await?)
}

/// The ledger's rows about a request, as JSON.
pub async fn lines_about(connection: &mut PgConnection, request_id: &str) -> Result<Vec<String>, BenchError> {
    let sql = "WITH RECURSIVE p AS ( \
                 SELECT p.* FROM all_payments p WHERE p.request_id = $1 \
                 UNION SELECT r.* FROM p JOIN all_payments r ON r.original_id = p.id OR r.id = p.original_id \
               ) \
               SELECT 'ledger payment ' || to_jsonb(p)::text FROM p \
               UNION ALL SELECT 'ledger event ' || to_jsonb(e)::text FROM all_payment_events e JOIN p ON p.id = e.payment_id \
               UNION ALL SELECT 'ledger transfer ' || to_jsonb(t)::text FROM transfers t JOIN p ON p.id = t.id \
               UNION ALL SELECT 'ledger dispatch ' || to_jsonb(d)::text FROM dispatches d JOIN p ON p.id = d.payment_id";
    Ok(sqlx::query_scalar(sql).bind(request_id).fetch_all(connection).await?)
}
