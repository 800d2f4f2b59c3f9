//! A ledger's past: accounts and payments as if they had been there for long, written by the database itself.
//!
//! They are copies of what was really done once, with numbers, times and accounts of their own. Indexes that are not needed
//! meanwhile are made at the end, as one does when much is to be written.

mod copies;

use std::{path::Path, time::Duration};

use common::clock::Clock;
use harness::{BenchError, data_keys};
use indicatif::ProgressBar;
use platform::{encryption::Keyring, flow::archive, store::Store};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};

use crate::size::Size;

/// The last stored payment is older than this.
const STORED_UNTIL: Duration = Duration::from_secs(30 * 60);
/// Payments that are written in one statement.
const CHUNK: u32 = 50_000;
/// The tables that grow.
const TABLES: &str = "payments, payment_events, transfers, deposits, accounts";
/// The triggers that keep history as it is, and autovacuum, would only be in the way; nothing is acknowledged meanwhile.
const SESSION: &str = "SET session_replication_role = replica; SET synchronous_commit = off; \
    SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'";
const PAYERS: &str = "CREATE TEMP TABLE payers AS \
    SELECT row_number() OVER (ORDER BY id) AS n, id FROM accounts WHERE bank_id IS NULL; ANALYZE payers";

/// An index that is not there for a while.
#[derive(sqlx::FromRow)]
struct Index {
    drop: String,
    create: String,
}

/// All but those that foreign keys rest on.
const INDEXES: &str = "
SELECT CASE WHEN c.oid IS NULL THEN format('DROP INDEX %s', i.indexrelid::regclass)
        ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', i.indrelid::regclass, c.conname) END AS drop,
    CASE WHEN c.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
        ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', i.indrelid::regclass, c.conname, pg_get_constraintdef(c.oid)) END AS create
FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
WHERE i.indrelid IN ('payments'::regclass, 'payment_events'::regclass, 'transfers'::regclass)
    AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = i.indexrelid)
ORDER BY i.indexrelid";

/// Stores a past of this size in a ledger that has one account, and one payment to each of its banks.
///
/// # Errors
/// When the database fails.
pub async fn store(
    ledger: &PgConnectOptions,
    data_key: &Path,
    size: Size,
    bar: &ProgressBar,
) -> Result<(), BenchError> {
    let keys = data_keys::unlocked(ledger.clone(), 1, data_key).await?.keys().current();
    let mut database = PgConnection::connect_with(ledger).await?;
    run(&mut database, SESSION).await?;
    run(&mut database, include_str!("history/copies.sql")).await?;
    let indexes: Vec<Index> = sqlx::query_as(INDEXES).fetch_all(&mut database).await?;
    for index in &indexes {
        run(&mut database, &index.drop).await?;
    }
    for table in TABLES.split(", ") {
        run(&mut database, &format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).await?;
    }
    bar.set_message("opening accounts");
    copies::accounts(&mut database, &keys, size.accounts).await?;
    run(&mut database, PAYERS).await?;
    payments(&mut database, &keys, size, bar).await?;
    bar.set_message("adding up");
    run(&mut database, include_str!("history/sums.sql")).await?;
    for (number, index) in indexes.iter().enumerate() {
        bar.set_message(format!("making index {} of {}", number + 1, indexes.len()));
        run(&mut database, &index.create).await?;
    }
    for table in TABLES.split(", ") {
        run(&mut database, &format!("ALTER TABLE {table} RESET (autovacuum_enabled)")).await?;
    }
    bar.set_message("vacuuming");
    run(&mut database, &format!("VACUUM (FREEZE, ANALYZE) {TABLES}")).await?;
    if size.is_archived {
        bar.set_message("archiving");
        archive(ledger, bar).await?;
        bar.set_message("vacuuming what is left");
        run(&mut database, "VACUUM payments, payment_events").await?;
        // What moves leaves room in the indexes, which stay as large as they were.
        run(&mut database, "REINDEX TABLE payments").await?;
        run(&mut database, "REINDEX TABLE payment_events").await?;
    }
    run(&mut database, "CHECKPOINT").await?;
    database.close().await?;
    Ok(())
}

/// Those that were paid for the copies count, too.
async fn payments(
    database: &mut PgConnection,
    keys: &Keyring,
    size: Size,
    bar: &ProgressBar,
) -> Result<(), BenchError> {
    let paid = copies::paid(database, keys).await?;
    let copies = size.payments.saturating_sub(size.banks);
    bar.set_message("storing payments");
    bar.set_length(copies.into());
    let mut stored = 0;
    while stored < copies {
        let up_to = copies.min(stored + CHUNK);
        copies::payments(database, keys, &paid, stored + 1..up_to + 1, copies, size).await?;
        stored = up_to;
        bar.set_position(stored.into());
    }
    Ok(())
}

/// Has the past moved to the archive, as a platform does it.
async fn archive(ledger: &PgConnectOptions, bar: &ProgressBar) -> Result<(), BenchError> {
    bar.set_position(0);
    let store = Store::new(ledger.clone(), 1);
    let clock = Clock::system();
    let moving = archive::round(&store, &clock, STORED_UNTIL, |progress| {
        bar.set_position(progress.payments);
        true
    });
    moving.await?;
    store.pool().close().await;
    Ok(())
}

async fn run(database: &mut PgConnection, sql: &str) -> Result<(), BenchError> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(database).await?;
    Ok(())
}
