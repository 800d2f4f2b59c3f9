//! Loads what a batch of commands needs, its payments and accounts under lock.
//!
//! At most four round trips: payments, locked in id order; request ids and IBANs; deposits' request ids; accounts, locked
//! in id order. What only rare commands need costs a round trip of its own, when there is one. Request ids are read without
//! a lock: the unique keys decide, and a loser does its unit of work again. They are read behind the payments' locks, so that
//! a refund or capture that is repeated at once hears of the first, and not that the first has taken what there was.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    id::{AccountId, PaymentId},
    order::PayeeAccount,
    planted,
    text::HOUSE,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{StoreError, accounts, deposits, dispatches, payments, refunds, resolutions};
use crate::domain::{
    ledger::{Arrival, Command, Request, Snapshot, return_request_id},
    payment::{Evidence, Kind, Lease, Payment, State},
};

/// What commands name, and has to be loaded.
#[derive(Default)]
struct Named<'a> {
    /// Request ids of commands that make payments, with the payee's IBAN.
    requests: Vec<(&'a Request, Option<&'a str>)>,
    arrivals: Vec<&'a Arrival>,
    payments: BTreeSet<PaymentId>,
    accounts: BTreeSet<AccountId>,
    /// Payments whose newest attempt is needed.
    attempts: BTreeSet<PaymentId>,
    /// Payments of which is needed how much is refunded.
    refunded: BTreeSet<PaymentId>,
    /// Payments that operators resolve.
    resolved: BTreeSet<PaymentId>,
}

impl<'a> Named<'a> {
    fn by(commands: &'a [Command]) -> Self {
        let mut named = Self::default();
        for command in commands {
            named.add(command);
        }
        named
    }

    fn add(&mut self, command: &'a Command) {
        match command {
            Command::Pay(pay) => {
                self.accounts.insert(pay.order.payer_account);
                self.accounts.extend(pay.bank.iter().map(|bank| bank.settlement_account));
                let iban = match &pay.order.payee.account {
                    PayeeAccount::Iban(iban, _) => Some(iban.as_str()),
                    PayeeAccount::Number(..) => None,
                    PayeeAccount::Ledger(account) => {
                        self.accounts.insert(*account);
                        None
                    }
                };
                self.requests.push((&pay.request, iban));
            }
            Command::Capture(capture) => {
                self.requests.push((&capture.request, None));
                self.payments.insert(capture.payment);
            }
            Command::Cancel(cancel) => {
                self.payments.extend([cancel.payment].into_iter().chain(cancel.original));
            }
            Command::Expire(expire) => drop(self.payments.insert(expire.payment)),
            Command::Refund(refund) => {
                self.requests.push((&refund.request, None));
                self.payments.insert(refund.payment);
                self.attempts.insert(refund.payment);
                self.refunded.insert(refund.payment);
            }
            Command::Submit(submit) => {
                self.payments.extend([submit.payment].into_iter().chain(submit.original));
                self.attempts.extend([submit.payment].into_iter().chain(submit.original));
            }
            Command::Conclude(conclude) => {
                self.payments.extend([conclude.payment].into_iter().chain(conclude.original));
            }
            Command::Resolve(resolve) => {
                self.payments.extend([resolve.payment].into_iter().chain(resolve.original));
                self.resolved.insert(resolve.payment);
            }
            Command::Deposit(arrival) => {
                self.accounts.extend([arrival.order.account, arrival.settlement_account]);
                self.arrivals.push(arrival);
            }
        }
    }
}

/// Loads the snapshot for `commands` inside the open transaction.
///
/// # Errors
/// When the database fails.
pub async fn snapshot(connection: &mut PgConnection, commands: &[Command]) -> Result<Snapshot, StoreError> {
    let mut named = Named::by(commands);
    let mut snapshot = Snapshot::default();
    if !named.payments.is_empty() {
        snapshot.payments = lock_payments(connection, &named.payments).await?;
    }
    if !named.requests.is_empty() {
        requests(connection, &named.requests, &mut snapshot).await?;
    }
    if !named.arrivals.is_empty() {
        snapshot.deposit_requests = deposits::by_request(connection, &named.arrivals).await?;
    }
    let mut wanted = std::mem::take(&mut named.accounts);
    wanted.extend(snapshot.accounts_by_iban.values());
    for (payment, _) in snapshot.payments.values() {
        wanted.extend([payment.payer_account, payment.credit_account]);
    }
    rare(connection, commands, &named, &mut snapshot).await?;
    snapshot.accounts = accounts::lock(connection, &wanted).await?;
    Ok(snapshot)
}

/// Loads what only rare commands need.
async fn rare(
    connection: &mut PgConnection,
    commands: &[Command],
    named: &Named<'_>,
    snapshot: &mut Snapshot,
) -> Result<(), StoreError> {
    let ids = |ids: &BTreeSet<PaymentId>| ids.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>();
    if !named.attempts.is_empty() {
        snapshot.attempts = dispatches::newest_attempts(connection, ids(&named.attempts)).await?;
    }
    let ended_refunds = snapshot.payments.values().filter(|(payment, _)| payment.kind == Kind::Refund);
    let mut refunded: BTreeSet<PaymentId> =
        ended_refunds.filter_map(|(payment, _)| payment.original).collect();
    refunded.extend(&named.refunded);
    if !refunded.is_empty() {
        snapshot.refunded = refunds::of(connection, ids(&refunded)).await?;
    }
    if !named.resolved.is_empty() {
        snapshot.proposals = resolutions::of(connection, ids(&named.resolved)).await?;
    }
    let returns: Vec<Request> =
        commands.iter().filter_map(|command| late_success(command, snapshot)).collect();
    if !returns.is_empty() {
        let keys: Vec<_> = returns.iter().map(|request| (request, None)).collect();
        requests(connection, &keys, snapshot).await?;
    }
    Ok(())
}

/// The return that a late success asks for, if the command is one.
fn late_success(command: &Command, snapshot: &Snapshot) -> Option<Request> {
    let Command::Conclude(conclude) = command else { return None };
    let Evidence::Accepted { .. } = conclude.evidence else { return None };
    let (payment, _) = snapshot.payments.get(&conclude.payment)?;
    let unpaid = matches!(payment.state, State::Failed | State::Cancelled | State::Expired);
    unpaid.then(|| Request {
        participant: HOUSE.to_owned(),
        request_id: return_request_id(payment.id),
        fingerprint: [0; 32],
    })
}

async fn requests(
    connection: &mut PgConnection,
    requests: &[(&Request, Option<&str>)],
    snapshot: &mut Snapshot,
) -> Result<(), StoreError> {
    let participants: Vec<&str> = requests.iter().map(|(request, _)| request.participant.as_str()).collect();
    let request_ids: Vec<&str> = requests.iter().map(|(request, _)| request.request_id.as_str()).collect();
    let ibans: Vec<Option<&str>> = requests.iter().map(|(_, iban)| *iban).collect();
    let sql = const_format::concatcp!(
        "SELECT k.iban AS payee_iban, a.id AS account_id, ",
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
            snapshot.accounts_by_iban.insert(row.try_get("payee_iban")?, AccountId::from_uuid(account));
        }
        if row.try_get::<Option<Uuid>, _>("id")?.is_some() && !planted::is("M2") {
            let payment = payments::from_row(row)?;
            let key = (payment.participant.clone(), payment.request_id.clone());
            snapshot.payment_requests.insert(key, payment);
        }
    }
    Ok(())
}

type LockedPayments = BTreeMap<PaymentId, (Payment, Option<Lease>)>;

async fn lock_payments(
    connection: &mut PgConnection,
    ids: &BTreeSet<PaymentId>,
) -> Result<LockedPayments, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let sql = const_format::concatcp!(
        "SELECT ",
        payments::COLUMNS,
        ", d.token, d.tries, d.fruitless FROM payments p LEFT JOIN dispatches d ON d.payment_id = p.id \
         WHERE p.id = ANY($1) ORDER BY p.id FOR NO KEY UPDATE OF p"
    );
    let sql = if planted::is("M11") { sql.trim_end_matches("FOR NO KEY UPDATE OF p") } else { sql };
    let rows = sqlx::query(sql).bind(ids).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let payment = payments::from_row(row)?;
            Ok((payment.id, (payment, lease(row)?)))
        })
        .collect()
}

fn lease(row: &PgRow) -> Result<Option<Lease>, StoreError> {
    let token: Option<i64> = row.try_get("token")?;
    let Some(token) = token else { return Ok(None) };
    Ok(Some(Lease { token, tries: row.try_get("tries")?, fruitless: row.try_get("fruitless")? }))
}
