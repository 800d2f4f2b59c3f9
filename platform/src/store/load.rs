//! Loads what a batch of commands needs, its payments and accounts under lock.
//!
//! At most four round trips: request ids and IBANs; deposits' request ids; payments, locked in id order; accounts, locked
//! in id order. Request ids are read without a lock: the unique keys decide, and a loser does its unit of work again.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    id::{AccountId, PaymentId},
    order::PayeeAccount,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{StoreError, accounts, deposits, payments};
use crate::domain::{
    ledger::{Arrival, Command, Pay, Snapshot},
    payment::Lease,
};

/// Loads the snapshot for `commands` inside the open transaction.
///
/// # Errors
/// When the database fails.
pub async fn snapshot(connection: &mut PgConnection, commands: &[Command]) -> Result<Snapshot, StoreError> {
    let mut pays: Vec<&Pay> = Vec::new();
    let mut arrivals: Vec<&Arrival> = Vec::new();
    let mut concluded: BTreeSet<Uuid> = BTreeSet::new();
    let mut wanted: BTreeSet<AccountId> = BTreeSet::new();
    for command in commands {
        match command {
            Command::Pay(pay) => {
                wanted.insert(pay.order.payer_account);
                wanted.extend(pay.bank.iter().map(|bank| bank.settlement_account));
                if let PayeeAccount::Ledger(account) = pay.order.payee.account {
                    wanted.insert(account);
                }
                pays.push(pay);
            }
            Command::Deposit(arrival) => {
                wanted.extend([arrival.order.account, arrival.settlement_account]);
                arrivals.push(arrival);
            }
            Command::Conclude(conclude) => drop(concluded.insert(conclude.payment.uuid())),
        }
    }
    let mut snapshot = Snapshot::default();
    if !pays.is_empty() {
        requests(connection, &pays, &mut snapshot).await?;
    }
    if !arrivals.is_empty() {
        snapshot.deposit_requests = deposits::by_request(connection, &arrivals).await?;
    }
    if !concluded.is_empty() {
        snapshot.payments = lock_payments(connection, concluded.into_iter().collect()).await?;
    }
    wanted.extend(snapshot.accounts_by_iban.values());
    for (payment, _) in snapshot.payments.values() {
        wanted.extend([payment.payer_account, payment.credit_account]);
    }
    snapshot.accounts = accounts::lock(connection, &wanted).await?;
    Ok(snapshot)
}

async fn requests(
    connection: &mut PgConnection,
    pays: &[&Pay],
    snapshot: &mut Snapshot,
) -> Result<(), StoreError> {
    let participants: Vec<&str> = pays.iter().map(|pay| pay.participant.as_str()).collect();
    let request_ids: Vec<&str> = pays.iter().map(|pay| pay.order.request_id.as_str()).collect();
    let ibans: Vec<Option<&str>> = pays.iter().map(|pay| iban(pay)).collect();
    let sql = const_format::concatcp!(
        "SELECT k.iban, a.id AS account_id, ",
        payments::COLUMNS,
        " FROM unnest($1::text[], $2::text[], $3::text[]) AS k (participant_id, request_id, iban) \
         LEFT JOIN accounts a ON a.iban = k.iban \
         LEFT JOIN payments p ON p.participant_id = k.participant_id AND p.request_id = k.request_id \
         WHERE a.id IS NOT NULL OR p.id IS NOT NULL"
    );
    let rows =
        sqlx::query(sql).bind(participants).bind(request_ids).bind(ibans).fetch_all(connection).await?;
    for row in &rows {
        if let Some(account) = row.try_get::<Option<Uuid>, _>("account_id")? {
            snapshot.accounts_by_iban.insert(row.try_get("iban")?, AccountId::from_uuid(account));
        }
        if row.try_get::<Option<Uuid>, _>("id")?.is_some() {
            let payment = payments::from_row(row)?;
            let key = (payment.participant.clone(), payment.request_id.clone());
            snapshot.payment_requests.insert(key, payment);
        }
    }
    Ok(())
}

fn iban(pay: &Pay) -> Option<&str> {
    match &pay.order.payee.account {
        PayeeAccount::Iban(iban, _) => Some(iban.as_str()),
        PayeeAccount::Number(..) | PayeeAccount::Ledger(_) => None,
    }
}

type LockedPayments = BTreeMap<PaymentId, (crate::domain::payment::Payment, Option<Lease>)>;

async fn lock_payments(connection: &mut PgConnection, ids: Vec<Uuid>) -> Result<LockedPayments, StoreError> {
    let sql = const_format::concatcp!(
        "SELECT ",
        payments::COLUMNS,
        ", d.token, d.tries FROM payments p LEFT JOIN dispatches d ON d.payment_id = p.id WHERE p.id = ANY($1) \
         ORDER BY p.id FOR NO KEY UPDATE OF p"
    );
    let rows = sqlx::query(sql).bind(ids).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let payment = payments::from_row(row)?;
            Ok((payment.id, (payment, lease(row)?)))
        })
        .collect()
}

fn lease(row: &PgRow) -> Result<Option<Lease>, StoreError> {
    let (token, tries): (Option<i64>, Option<i32>) = (row.try_get("token")?, row.try_get("tries")?);
    Ok(token.zip(tries).map(|(token, tries)| Lease { token, tries }))
}
