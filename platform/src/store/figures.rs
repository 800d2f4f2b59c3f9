//! What the database as a whole looks like, for whoever watches over it: the queue of work, payments under way, and whether what
//! always holds does. One snapshot; everything is found from what is under way and the accounts, however many payments are over.

mod told;

use std::{collections::HashMap, time::Duration};

use sqlx::{Connection, PgConnection};

use super::{Store, StoreError, standbys};
use crate::domain::payment::MAX_FRUITLESS;

pub use told::{BrokerLag, Told};

/// What is under way, as payments: all that is in the queue or in its first lease, and what people look at.
pub(super) const UNDER_WAY: &str = "SELECT p.* FROM ( \
       SELECT payment_id AS id FROM dispatches UNION SELECT unnest(payments) FROM first_leases \
       UNION SELECT payment_id FROM alarms) o \
     CROSS JOIN LATERAL (SELECT * FROM payments p WHERE p.id = o.id OFFSET 0) p \
     WHERE p.state IN ('HELD', 'AUTHORIZED', 'SUBMITTED', 'UNKNOWN', 'INVESTIGATE')";

/// The figures.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The queue of work, by bank and work.
    pub lanes: Vec<Lane>,
    /// Payments under way, by bank and state.
    pub under_way: Vec<UnderWay>,
    /// Alarms that were ever raised, by kind.
    pub alarms: Vec<(String, i64)>,
    /// In how many places what always holds does not, by what it is.
    pub violations: Vec<(&'static str, i64)>,
    /// Commits that have no place in the log of events yet.
    pub unplaced: i64,
    /// How far endpoints and the broker have been told of events.
    pub told: Told,
    /// Who is sent what the database writes, by whether commits wait for it.
    pub standbys: Vec<(&'static str, i64)>,
    /// How long a connection of the pool was waited for.
    pub waited: Duration,
}

/// The work of one kind with one bank.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Lane {
    /// The bank; empty for the house's own work.
    pub bank_id: String,
    /// The work.
    pub work: String,
    /// Payments in the queue.
    pub depth: i64,
    /// How long the oldest work that is due has been so, in ms; 0 if none is due.
    pub oldest_due_ms: i64,
    /// Payments whose work never came to an end, and is tried hourly.
    pub quarantined: i64,
    /// Payments whose end is overdue.
    pub overdue: i64,
}

/// The payments at one bank that are in one state.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// The bank; empty for what goes to none.
    pub bank_id: String,
    /// The state.
    pub state: String,
    /// How many.
    pub count: i64,
    /// How long ago the oldest was made, in ms.
    pub oldest_ms: i64,
}

impl Store {
    /// Looks at the database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn figures(&self) -> Result<Figures, StoreError> {
        let began = std::time::Instant::now();
        let mut connection = self.pool().acquire().await?;
        let waited = began.elapsed();
        let mut snapshot =
            connection.begin_with("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let (under_way, holds) = under_way(&mut snapshot).await?;
        let found = Figures {
            lanes: lanes(&mut snapshot).await?,
            under_way,
            alarms: sqlx::query_as("SELECT kind, count(*) FROM alarms GROUP BY kind")
                .fetch_all(&mut *snapshot)
                .await?,
            unplaced: sqlx::query_scalar("SELECT count(*) FROM event_log WHERE position IS NULL")
                .fetch_one(&mut *snapshot)
                .await?,
            told: told::told(&mut snapshot).await?,
            standbys: standbys::count(&mut snapshot).await?,
            violations: violations(&mut snapshot, &holds).await?,
            waited,
        };
        snapshot.rollback().await?;
        Ok(found)
    }
}

async fn lanes(connection: &mut PgConnection) -> Result<Vec<Lane>, StoreError> {
    let lanes = sqlx::query_as(
        "SELECT bank_id, work::text AS work, count(*) AS depth, \
           GREATEST(0, (EXTRACT(EPOCH FROM statement_timestamp() - min(due_at)) * 1000)::bigint) AS oldest_due_ms, \
           count(*) FILTER (WHERE fruitless >= $1) AS quarantined, count(*) FILTER (WHERE is_overdue) AS overdue \
         FROM dispatches GROUP BY bank_id, work",
    );
    Ok(lanes.bind(MAX_FRUITLESS).fetch_all(connection).await?)
}

/// Payments under way by bank and state, and what they hold in all of each currency: read once, since there may be many.
async fn under_way(
    connection: &mut PgConnection,
) -> Result<(Vec<UnderWay>, HashMap<String, i128>), StoreError> {
    let sql = const_format::concatcp!(
        "SELECT COALESCE(bank_id, ''), state::text, currency, count(*), \
           GREATEST(0, (EXTRACT(EPOCH FROM statement_timestamp() - min(created_at)) * 1000)::bigint), \
           sum(CASE kind WHEN 'AUTHORIZATION' THEN held ELSE amount END)::text \
         FROM (",
        UNDER_WAY,
        ") o GROUP BY 1, 2, 3 ORDER BY 1, 2"
    );
    let rows: Vec<(String, String, String, i64, i64, String)> =
        sqlx::query_as(sql).fetch_all(connection).await?;
    let mut found: Vec<UnderWay> = Vec::new();
    let mut holds = HashMap::new();
    for (bank_id, state, currency, count, oldest_ms, held) in rows {
        *holds.entry(currency).or_default() += sum(&held)?;
        match found.last_mut().filter(|last| last.bank_id == bank_id && last.state == state) {
            Some(last) => {
                last.count += count;
                last.oldest_ms = last.oldest_ms.max(oldest_ms);
            }
            None => found.push(UnderWay { bank_id, state, count, oldest_ms }),
        }
    }
    Ok((found, holds))
}

/// Sums that are equal whenever nothing has gone wrong. The trial balance recomputes them from the transfers, which takes as long as
/// there are payments; this takes the accounts as they are.
async fn violations(
    connection: &mut PgConnection,
    holds: &HashMap<String, i128>,
) -> Result<Vec<(&'static str, i64)>, StoreError> {
    // Unlike everything else here, this reads a whole table.
    sqlx::query("SET LOCAL enable_seqscan = on").execute(&mut *connection).await?;
    let rows: Vec<(String, bool, String, i64)> = sqlx::query_as(
        "SELECT currency, sum(debits_posted) = sum(credits_posted) AND sum(debits_pending) = sum(credits_pending), \
           sum(debits_pending)::text, \
           count(*) FILTER (WHERE NOT may_overdraw AND debits_pending > credits_posted - debits_posted) \
         FROM accounts GROUP BY currency",
    )
    .fetch_all(connection)
    .await?;
    let (mut unequal, mut unheld, mut overdrawn) = (0, 0, 0);
    for (currency, is_equal, held, beyond) in rows {
        unequal += i64::from(!is_equal);
        unheld += i64::from(sum(&held)? != holds.get(&currency).copied().unwrap_or_default());
        overdrawn += beyond;
    }
    Ok(vec![
        ("debits_equal_credits", unequal),
        ("holds_equal_payments_under_way", unheld),
        ("no_account_overdrawn", overdrawn),
    ])
}

/// A sum of minor units, which may exceed 64 bits and comes as text.
pub(super) fn sum(text: &str) -> Result<i128, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt("sum"))
}
