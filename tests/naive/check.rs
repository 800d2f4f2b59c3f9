//! Whether the naive ledger is right: every sum recomputed from the transfers, in one snapshot.

use std::io::{self, Write};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::Failure;

/// What to check.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The URL of the platform's database.
    #[arg(long, env = "RIALTO_DATABASE_URL", hide_env_values = true)]
    database_url: PgConnectOptions,
}

/// Checks, each returning a line for whatever differs.
const CHECKS: [&str; 4] = [
    // An account's stored sums are those of its transfers.
    "WITH effect (kind, pending, posted) AS (
       VALUES ('POSTING', 0, 1), ('HOLD', 1, 0), ('HOLD_POSTED', -1, 1), ('HOLD_RELEASED', -1, 0)
     ), sides AS (
       SELECT debit_account AS id, amount * pending AS dp, amount * posted AS d, 0 AS cp, 0 AS c
         FROM transfers JOIN effect USING (kind)
       UNION ALL
       SELECT credit_account, 0, 0, amount * pending, amount * posted FROM transfers JOIN effect USING (kind)
     ), recomputed AS (
       SELECT id, sum(dp) AS dp, sum(d) AS d, sum(cp) AS cp, sum(c) AS c FROM sides GROUP BY id
     )
     SELECT format('account %s: stored pending/posted debits %s/%s credits %s/%s, transfers say %s/%s and %s/%s', a.id,
       debits_pending, debits_posted, credits_pending, credits_posted,
       coalesce(dp, 0), coalesce(d, 0), coalesce(cp, 0), coalesce(c, 0))
     FROM accounts a LEFT JOIN recomputed r USING (id)
     WHERE (debits_pending, debits_posted, credits_pending, credits_posted)
       <> (coalesce(dp, 0), coalesce(d, 0), coalesce(cp, 0), coalesce(c, 0))",
    // Nobody but a bank's settlement account is below zero.
    "SELECT format('account %s is overdrawn', id) FROM accounts
     WHERE bank_id IS NULL AND debits_pending > credits_posted - debits_posted",
    // A payment's transfers are what its state says.
    "WITH booked AS (
       SELECT payment_id AS id, sum(CASE kind WHEN 'HOLD' THEN amount ELSE -amount END) AS held,
         sum(CASE kind WHEN 'HOLD_POSTED' THEN amount ELSE 0 END) AS paid
       FROM transfers WHERE payment_id IS NOT NULL GROUP BY payment_id
     )
     SELECT format('payment %s is %s of %s, held %s, paid %s', p.id, state, amount, coalesce(held, 0), coalesce(paid, 0))
     FROM payments p LEFT JOIN booked b USING (id)
     WHERE coalesce(held, 0) <> CASE WHEN state IN ('SUBMITTED', 'UNKNOWN') THEN amount ELSE 0 END
       OR coalesce(paid, 0) <> CASE WHEN state = 'SUCCEEDED' THEN amount ELSE 0 END",
    // A payment's last event is its state.
    "SELECT format('payment %s is %s, its last event is not', p.id, p.state) FROM payments p
     WHERE NOT EXISTS (SELECT FROM payment_events e
       WHERE (e.payment_id, e.sequence, e.state) = (p.id, p.sequence, p.state))",
];

/// Checks the ledger, and says what it found.
///
/// # Errors
/// When something differs, or the database fails.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut connection = PgConnection::connect_with(&args.database_url).await?;
    let mut snapshot =
        connection.begin_with("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut differences: Vec<String> = Vec::new();
    for check in CHECKS {
        differences.extend(sqlx::query_scalar::<_, String>(check).fetch_all(&mut *snapshot).await?);
    }
    snapshot.rollback().await?;
    if !differences.is_empty() {
        return Err(format!("{} differences:\n{}", differences.len(), differences.join("\n")).into());
    }
    let _ = writeln!(io::stdout(), "balances: OK");
    Ok(())
}
