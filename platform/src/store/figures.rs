//! What the database as a whole looks like, for whoever watches over it: the queue of work, payments under way, and whether what
//! always holds does. One snapshot; everything is found from what is under way and the accounts, however many payments are over.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::{Store, StoreError};
use crate::domain::payment::MAX_FRUITLESS;

/// What is under way, as payments: all that is in the queue or in its first lease, and what people look at.
const UNDER_WAY: &str = "SELECT p.* FROM ( \
       SELECT payment_id AS id FROM dispatches UNION SELECT unnest(payments) FROM first_leases \
       UNION SELECT payment_id FROM alarms) o \
     JOIN payments p USING (id) \
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
#[derive(Clone, Debug, sqlx::FromRow)]
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
        // Unlike everything else here, this reads whole tables.
        sqlx::raw_sql("SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on")
            .execute(&mut *snapshot)
            .await?;
        let found = Figures {
            lanes: lanes(&mut snapshot).await?,
            under_way: under_way(&mut snapshot).await?,
            alarms: sqlx::query_as("SELECT kind, count(*) FROM alarms GROUP BY kind")
                .fetch_all(&mut *snapshot)
                .await?,
            violations: violations(&mut snapshot).await?,
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

async fn under_way(connection: &mut PgConnection) -> Result<Vec<UnderWay>, StoreError> {
    let sql = const_format::concatcp!(
        "SELECT COALESCE(bank_id, '') AS bank_id, state::text AS state, count(*) AS count, \
           GREATEST(0, (EXTRACT(EPOCH FROM statement_timestamp() - min(created_at)) * 1000)::bigint) AS oldest_ms \
         FROM (",
        UNDER_WAY,
        ") o GROUP BY 1, 2"
    );
    Ok(sqlx::query_as(sql).fetch_all(connection).await?)
}

/// Sums that are equal whenever nothing has gone wrong. The trial balance recomputes them from the transfers, which takes as long as
/// there are payments; this takes the accounts as they are.
async fn violations(connection: &mut PgConnection) -> Result<Vec<(&'static str, i64)>, StoreError> {
    let sql = const_format::concatcp!(
        "WITH sums AS ( \
           SELECT currency, sum(debits_posted) AS d, sum(credits_posted) AS c, sum(debits_pending) AS dp, \
             sum(credits_pending) AS cp, \
             count(*) FILTER (WHERE NOT may_overdraw AND debits_pending > credits_posted - debits_posted) AS overdrawn \
           FROM accounts GROUP BY currency \
         ), holds AS ( \
           SELECT currency, sum(CASE kind WHEN 'AUTHORIZATION' THEN held ELSE amount END) AS held FROM (",
        UNDER_WAY,
        ") o GROUP BY currency) \
         SELECT count(*) FILTER (WHERE d <> c OR dp <> cp), count(*) FILTER (WHERE dp <> COALESCE(held, 0)), \
           COALESCE(sum(overdrawn), 0)::bigint \
         FROM sums LEFT JOIN holds USING (currency)"
    );
    let (unequal, holds, overdrawn) = sqlx::query_as(sql).fetch_one(connection).await?;
    Ok(vec![
        ("debits_equal_credits", unequal),
        ("holds_equal_payments_under_way", holds),
        ("no_account_overdrawn", overdrawn),
    ])
}
