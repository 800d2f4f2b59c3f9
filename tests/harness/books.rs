//! The ledger against the banks' own books.

use std::collections::HashMap;

use serde::Deserialize;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::BenchError;

#[derive(Deserialize)]
struct Credit {
    uetr: Uuid,
    minor_units: i64,
    currency: String,
}

/// What a ledger's payments from the id `first` on and the books of these banks, which are all at `address`, disagree on.
///
/// # Errors
/// When either can't be read.
pub async fn compare(
    ledger: &PgConnectOptions,
    address: &str,
    banks: impl IntoIterator<Item = &str>,
    first: Uuid,
) -> Result<Vec<String>, BenchError> {
    let banks: Vec<&str> = banks.into_iter().collect();
    let mut connection = PgConnection::connect_with(ledger).await?;
    // What is authorized is paid by its captures.
    let paid: Vec<(Uuid, String, i64, String)> = sqlx::query_as(
        "SELECT uetr, bank_id, amount, currency FROM all_payments \
         WHERE state = 'SUCCEEDED' AND kind <> 'AUTHORIZATION' AND bank_id = ANY($2) AND id >= $1",
    )
    .bind(first)
    .bind(&banks)
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    let mut here: HashMap<Uuid, (String, i64, String)> =
        paid.into_iter().map(|(uetr, bank, amount, currency)| (uetr, (bank, amount, currency))).collect();
    let mut differences = Vec::new();
    for bank in banks {
        let url = format!("http://{address}/{bank}/books");
        let credits: Vec<Credit> = reqwest::get(url).await?.error_for_status()?.json().await?;
        for credit in credits {
            let there = (bank.to_owned(), credit.minor_units, credit.currency);
            match here.remove(&credit.uetr) {
                Some(found) if found == there => {}
                Some(found) => {
                    differences.push(format!("{}: here {found:?}, at the bank {there:?}", credit.uetr))
                }
                None => differences.push(format!("{}: executed by {bank}, not succeeded here", credit.uetr)),
            }
        }
    }
    differences.extend(
        here.iter().map(|(uetr, (bank, ..))| format!("{uetr}: succeeded here, not executed by {bank}")),
    );
    Ok(differences)
}
