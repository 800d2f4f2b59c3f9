//! The ledger's raw rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use harness::BenchError;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// A payment's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct PaymentRow {
    /// Its id.
    pub id: Uuid,
    /// The request that made it.
    pub request_id: String,
    /// Who pays.
    pub payer_account: Uuid,
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
}

/// A step of a payment's history: its number, and the state that it led to.
pub type Event = (i32, String);

/// An account's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct AccountRow {
    /// Its id.
    pub id: Uuid,
    /// Its currency.
    pub currency: String,
    /// Whether it may go below zero.
    pub may_overdraw: bool,
    /// Debits held, as stored.
    pub debits_pending: i64,
    /// Debits, as stored.
    pub debits_posted: i64,
    /// Credits expected, as stored.
    pub credits_pending: i64,
    /// Credits, as stored.
    pub credits_posted: i64,
}

/// All transfers of one kind between two accounts, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// POSTING, HOLD, HOLD_POSTED or HOLD_RELEASED.
    pub kind: String,
    /// Who pays.
    pub debit_account: Uuid,
    /// Who is paid.
    pub credit_account: Uuid,
    /// Minor units.
    pub amount: i128,
}

/// Payments that have not come to their end: how many, how many are in the queue of work, and their amounts by payer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// By payer, the sum of their amounts.
    pub by_payer: BTreeMap<Uuid, i128>,
    /// How many there are in the queue of work.
    pub queued: i64,
}

/// The payments that these requests made.
pub async fn payments(
    connection: &mut PgConnection,
    request_ids: &BTreeSet<String>,
) -> Result<Vec<PaymentRow>, BenchError> {
    let ids: Vec<&str> = request_ids.iter().map(String::as_str).collect();
    let sql = "SELECT id, request_id, payer_account, amount, currency, bank_id, uetr, state, sequence FROM payments \
               WHERE request_id = ANY($1)";
    Ok(sqlx::query_as(sql).bind(ids).fetch_all(connection).await?)
}

/// Payments by the request that made them.
pub fn by_request(rows: Vec<PaymentRow>) -> HashMap<String, Vec<PaymentRow>> {
    let mut by_request: HashMap<String, Vec<PaymentRow>> = HashMap::new();
    for row in rows {
        by_request.entry(row.request_id.clone()).or_default().push(row);
    }
    by_request
}

/// The histories of these payments, each in order.
pub async fn events(
    connection: &mut PgConnection,
    payments: &[PaymentRow],
) -> Result<HashMap<Uuid, Vec<Event>>, BenchError> {
    let ids: Vec<Uuid> = payments.iter().map(|payment| payment.id).collect();
    let sql =
        "SELECT payment_id, sequence, state FROM payment_events WHERE payment_id = ANY($1) ORDER BY 1, 2";
    let mut by_payment: HashMap<Uuid, Vec<Event>> = HashMap::new();
    for row in sqlx::query(sql).bind(ids).fetch_all(connection).await? {
        by_payment.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, row.try_get(2)?));
    }
    Ok(by_payment)
}

/// Every account.
pub async fn accounts(connection: &mut PgConnection) -> Result<Vec<AccountRow>, BenchError> {
    let sql = "SELECT id, currency, may_overdraw, debits_pending, debits_posted, credits_pending, credits_posted FROM accounts";
    Ok(sqlx::query_as(sql).fetch_all(connection).await?)
}

/// Every transfer, added up.
pub async fn sums(connection: &mut PgConnection) -> Result<Vec<Sum>, BenchError> {
    let sql = "SELECT kind, debit_account, credit_account, sum(amount)::text FROM transfers GROUP BY 1, 2, 3";
    let mut sums = Vec::new();
    for row in sqlx::query(sql).fetch_all(connection).await? {
        let amount: String = row.try_get(3)?;
        sums.push(Sum {
            kind: row.try_get(0)?,
            debit_account: row.try_get(1)?,
            credit_account: row.try_get(2)?,
            amount: amount.parse()?,
        });
    }
    Ok(sums)
}

/// What has not come to its end.
pub async fn open(connection: &mut PgConnection) -> Result<Open, BenchError> {
    let sql = "SELECT payer_account, sum(amount)::text FROM payments WHERE state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED') GROUP BY 1";
    let mut open = Open::default();
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        let amount: String = row.try_get(1)?;
        open.by_payer.insert(row.try_get(0)?, amount.parse()?);
    }
    open.queued = sqlx::query_scalar("SELECT count(*) FROM dispatches").fetch_one(connection).await?;
    Ok(open)
}

/// The ledger's rows about a request, as JSON.
pub async fn lines_about(connection: &mut PgConnection, request_id: &str) -> Result<Vec<String>, BenchError> {
    let sql = "WITH p AS (SELECT * FROM payments WHERE request_id = $1) \
               SELECT 'ledger payment ' || to_jsonb(p)::text FROM p \
               UNION ALL SELECT 'ledger event ' || to_jsonb(e)::text FROM payment_events e JOIN p ON p.id = e.payment_id \
               UNION ALL SELECT 'ledger attempt ' || to_jsonb(a)::text FROM attempts a JOIN p ON p.id = a.payment_id \
               UNION ALL SELECT 'ledger transfer ' || to_jsonb(t)::text FROM transfers t JOIN p ON p.id = t.payment_id \
               UNION ALL SELECT 'ledger dispatch ' || to_jsonb(d)::text FROM dispatches d JOIN p ON p.id = d.payment_id";
    Ok(sqlx::query_scalar(sql).bind(request_id).fetch_all(connection).await?)
}
