//! Whether every payment has come to its end, by the ledger's own rows.

use std::time::Duration;

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

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
