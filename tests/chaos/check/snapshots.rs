//! Snapshots of all balances while the faults are on: I1, I3, I9 and I13 hold at every moment, not only in the end.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinHandle;

use super::{Harm::WrongTotals, Violation, rows::HELD};

/// How often a snapshot is taken.
const EVERY: Duration = Duration::from_millis(100);
/// In every so many snapshots all balances are recomputed from the transfers.
const RECOMPUTED_EVERY: u64 = 20;

/// Each returns a line for whatever is wrong.
const TOTALS: [&str; 2] = [
    "SELECT format('I1 %s: debits %s held %s, credits %s expected %s', currency, sum(debits_posted), sum(debits_pending), \
       sum(credits_posted), sum(credits_pending)) FROM accounts GROUP BY currency \
     HAVING sum(debits_posted) <> sum(credits_posted) OR sum(debits_pending) <> sum(credits_pending)",
    "SELECT format('I3 account %s: %s - %s - %s', id, credits_posted, debits_posted, debits_pending) FROM accounts \
     WHERE NOT may_overdraw AND credits_posted - debits_posted - debits_pending < 0",
];
const RECOMPUTED: [&str; 3] = [
    "WITH sides AS ( \
       SELECT debit_account AS id, amount AS debit, 0 AS credit FROM transfers \
       UNION ALL SELECT credit_account, 0, amount FROM transfers \
     ), sums AS (SELECT id, sum(debit) AS d, sum(credit) AS c FROM sides GROUP BY id) \
     SELECT format('I2 account %s: stored debits %s credits %s, its transfers say %s and %s', id, debits_posted, \
       credits_posted, d, c) FROM accounts LEFT JOIN sums USING (id) \
     WHERE (debits_posted, credits_posted) <> (coalesce(d, 0), coalesce(c, 0))",
    "WITH held AS (HELD), sides AS ( \
       SELECT payer_account AS id, amount AS debit, 0 AS credit FROM held UNION ALL SELECT credit_account, 0, amount FROM held \
     ), sums AS (SELECT id, sum(debit) AS d, sum(credit) AS c FROM sides GROUP BY id) \
     SELECT format('I9 account %s: stored %s held, %s expected, payments hold %s and %s', id, debits_pending, \
       credits_pending, d, c) FROM accounts LEFT JOIN sums USING (id) \
     WHERE (debits_pending, credits_pending) <> (coalesce(d, 0), coalesce(c, 0))",
    "SELECT format('I13 payment %s: %s of %s captured, refunded or taken back as %s', o.id, sum(c.amount), o.amount, c.kind) \
     FROM all_payments c JOIN all_payments o ON o.id = c.original_id WHERE c.state NOT IN ('FAILED', 'CANCELLED') \
     GROUP BY o.id, o.amount, c.kind HAVING sum(c.amount) > o.amount",
];

/// Takes snapshots until it is dropped.
#[derive(Debug)]
pub struct Snapshots {
    found: Arc<Mutex<(u64, Vec<Violation>)>>,
    task: JoinHandle<()>,
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Snapshots {
    /// Begins to take snapshots.
    pub fn begin(database: PgConnectOptions) -> Self {
        let found: Arc<Mutex<(u64, Vec<Violation>)>> = Arc::default();
        let task = tokio::spawn(watch(database, Arc::clone(&found)));
        Self { found, task }
    }

    /// How many were taken, and what was wrong since this was last asked.
    pub fn take(&self) -> (u64, Vec<Violation>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        (found.0, std::mem::take(&mut found.1))
    }
}

async fn watch(database: PgConnectOptions, found: Arc<Mutex<(u64, Vec<Violation>)>>) {
    let mut connection = None;
    let mut number: u64 = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        // While PostgreSQL is down there is nothing to look at.
        match look(&mut connection, &database, number.is_multiple_of(RECOMPUTED_EVERY)).await {
            Ok(wrong) => {
                number += 1;
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.0 = number;
                found.1.extend(wrong.into_iter().map(violation));
            }
            Err(_) => connection = None,
        }
    }
}

fn violation(line: String) -> Violation {
    let invariant =
        ["I1", "I2", "I3", "I9", "I13"].into_iter().find(|name| line.starts_with(&format!("{name} ")));
    Violation::new(invariant.unwrap_or("I1"), WrongTotals, "", format!("while the faults were on: {line}"))
}

async fn look(
    connection: &mut Option<PgConnection>,
    database: &PgConnectOptions,
    recompute: bool,
) -> Result<Vec<String>, sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(PgConnection::connect_with(database).await?),
    };
    let mut snapshot =
        connection.begin_with("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut wrong = Vec::new();
    let further: &[&str] = if recompute { &RECOMPUTED } else { &[] };
    for check in TOTALS.iter().chain(further) {
        let sql = AssertSqlSafe(check.replace("(HELD)", &format!("({HELD})")));
        wrong.extend(sqlx::query_scalar::<_, String>(sql).fetch_all(&mut *snapshot).await?);
    }
    snapshot.rollback().await?;
    Ok(wrong)
}
