//! The books of two cells against each other: what the one paid is what the other received.

use std::collections::BTreeMap;

use common::text::HOUSE;
use harness::{BenchError, system::System};
use platform::trial_balance::TrialBalance;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// The positions of two cells with each other, each of which counts by itself.
const POSITION: &str = "SELECT coalesce(sum(credits_posted - debits_posted), 0)::bigint FROM accounts \
     WHERE bank_id = $1 AND NOT is_suspense";
const PAID: &str = "SELECT uetr, amount FROM all_payments WHERE bank_id = $1 AND state = 'SUCCEEDED'";
const RECEIVED: &str = "SELECT uetr, amount FROM all_payments \
     WHERE participant_id = $1 AND request_id LIKE 'in-%' AND state = 'SUCCEEDED'";

/// How many payments of north south has received, and what is wrong with the books of either.
///
/// # Errors
/// When something can't be read.
pub(super) async fn compare(north: &System, south: &System) -> Result<(u64, Vec<String>), BenchError> {
    let mut wrong = Vec::new();
    for (name, cell) in [("north", north), ("south", south)] {
        let balance = TrialBalance::take(&cell.database()).await?;
        if !balance.is_ok() {
            wrong.push(format!("{name}: {balance}"));
        }
        let differences = cell.compare_with_banks().await?;
        wrong.extend(differences.into_iter().map(|difference| format!("{name}: {difference}")));
    }
    let (mut here, mut there) = (
        PgConnection::connect_with(&north.database()).await?,
        PgConnection::connect_with(&south.database()).await?,
    );
    let paid = payments(&mut here, PAID, "south").await?;
    let received = payments(&mut there, RECEIVED, HOUSE).await?;
    for (uetr, amount) in &paid {
        match received.get(uetr) {
            Some(same) if same == amount => {}
            Some(other) => wrong.push(format!("{uetr}: {amount} in north, {other} in south")),
            None => wrong.push(format!("{uetr}: paid in north, not received in south")),
        }
    }
    let never_paid = received.keys().filter(|uetr| !paid.contains_key(uetr));
    wrong.extend(never_paid.map(|uetr| format!("{uetr}: received in south, not paid in north")));
    let position = async |connection: &mut PgConnection, bank: &'static str| {
        sqlx::query_scalar::<_, i64>(POSITION).bind(bank).fetch_one(connection).await
    };
    let (owed, due) = (position(&mut here, "south").await?, position(&mut there, "north").await?);
    if owed + due != 0 {
        wrong.push(format!("north owes south {owed}, and south expects {}", -due));
    }
    here.close().await?;
    there.close().await?;
    Ok((u64::try_from(received.len())?, wrong))
}

async fn payments(
    connection: &mut PgConnection,
    sql: &'static str,
    whose: &str,
) -> Result<BTreeMap<Uuid, i64>, BenchError> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(sql).bind(whose).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}
