//! Whether every payment has come to its end, by the ledger's own rows.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::sleep;

use crate::{BenchError, wait};

/// How many payments somebody has still to work on. Authorizations that can be captured are left to their callers.
///
/// # Errors
/// When the database fails.
pub async fn left(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let sql = "SELECT (SELECT count(*) FROM dispatches WHERE work <> 'EXPIRE') \
         + (SELECT count(*) FROM (SELECT unnest(payments) AS id FROM first_leases) l JOIN payments p ON p.id = l.id \
            WHERE p.state = 'SUBMITTED' AND NOT p.is_queued)";
    sqlx::query_scalar(sql).fetch_one(connection).await
}

/// Waits until none is left.
///
/// # Errors
/// When one is left after this long.
pub async fn none_left(database: &PgConnectOptions, within: Duration) -> Result<(), BenchError> {
    wait::until("every payment came to its end", within, || async {
        let mut connection = PgConnection::connect_with(database).await.ok()?;
        let none = left(&mut connection).await.ok().filter(|left| *left == 0);
        connection.close().await.ok()?;
        none
    })
    .await
    .map(drop)
}

/// Waits until no payment has come to be for two seconds: what callers sent before they left is still read, and slowly where they had sent
/// too much.
///
/// # Errors
/// When there are new ones as long as `within`.
pub async fn none_comes(database: &PgConnectOptions, within: Duration) -> Result<(), BenchError> {
    let mut connection = PgConnection::connect_with(database).await?;
    let end = Instant::now() + within;
    let mut before = None;
    while Instant::now() < end {
        let sql = "SELECT count(*) FROM payments";
        let now: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        if before.replace(now) == Some(now) {
            return Ok(connection.close().await?);
        }
        sleep(Duration::from_secs(2)).await;
    }
    Err("payments still come to be, though nobody makes any".into())
}
