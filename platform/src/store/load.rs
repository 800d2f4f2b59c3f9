//! Loads what a batch of commands needs.
//!
//! At most five round trips, each only when there is something to look for: payments, deposits, accounts, their limits, and
//! requests, which without locks are only read when the look at the accounts has shown that there are any. What only rare commands
//! need costs a round trip of its own. Requests are looked for behind the payments, so that a refund or capture that is repeated at once
//! hears of the first, and not that the first has taken what there was. Payments that are named and are in the archive come back
//! under locks, with the commit that goes on with them.
//!
//! Accounts are not looked at if all of them are known (see [`super::known`]) and commands ask for nothing else; then there is no
//! round trip at all, but for the limits of payers that have some.
//!
//! Under locks, accounts, then payments and then limits are locked in id order, and nothing of them changes before the commit. Without, what
//! changes is noticed when it is to be written (see [`super::save`]); then what commands know of their payments is taken for
//! true, so that the end of a payment needs no look at all.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    id::{AccountId, DepositId, PaymentId},
    order::PayeeAccount,
    planted,
    text::HOUSE,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    StoreError, accounts, archive, data_keys::DataKeys, deposits, dispatches, known::KnownAccounts, limits,
    payments, refunds, resolutions,
};
use crate::domain::{
    account::Account,
    ledger::{Arrival, Command, Conclude, Request, Snapshot, return_request_id},
    payment::{Evidence, Kind, Lease, Payment, State},
};

/// How what is loaded is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As this process last saw it, where it has. What has changed since is refused when it is written.
    Known,
    /// As the database has it. It may change: the writes are refused then.
    Read,
    /// Payments and accounts are locked, and stay as they are. The transaction must be open.
    Locked,
}

/// What commands need, and what must still hold when it is written that follows from it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What they need.
    pub snapshot: Snapshot,
    /// What must hold.
    pub guards: Guards,
}

/// What was taken for true without a look, and is looked at by the statement that saves what follows from it.
#[derive(Debug, Default)]
pub struct Guards {
    /// Accounts that were known, in these revisions.
    pub(super) revisions: BTreeMap<AccountId, i32>,
    /// IBANs that no account here has.
    pub(super) foreign_ibans: Vec<String>,
}

impl Guards {
    /// Whether nothing was taken for true.
    pub fn is_empty(&self) -> bool {
        self.revisions.is_empty() && self.foreign_ibans.is_empty()
    }
}

/// What commands name, and has to be loaded.
#[derive(Default)]
struct Named<'a> {
    /// Request ids of commands that make payments.
    requests: Vec<&'a Request>,
    arrivals: Vec<&'a Arrival>,
    /// Deposits that operators decide on.
    deposits: BTreeSet<DepositId>,
    payments: BTreeSet<PaymentId>,
    /// Payments that need no look, with their leases.
    known: Vec<&'a (Payment, Lease)>,
    accounts: BTreeSet<AccountId>,
    /// Payees' IBANs, which may be those of accounts here.
    ibans: BTreeSet<&'a str>,
    /// Payments whose newest attempt is needed.
    attempts: BTreeSet<PaymentId>,
    /// Payments of which is needed how much is refunded.
    refunded: BTreeSet<PaymentId>,
    /// Payments that operators resolve.
    resolved: BTreeSet<PaymentId>,
}

impl<'a> Named<'a> {
    fn by(commands: &'a [Command], view: View) -> Self {
        let mut named = Self::default();
        for command in commands {
            match command {
                Command::Conclude(conclude) if view != View::Locked => named.add_known(conclude),
                _ => named.add(command),
            }
        }
        named
    }

    fn add_known(&mut self, conclude: &'a Conclude) {
        match (&conclude.known, conclude.original) {
            (Some(known), None) => self.known.push(known),
            _ => self.payments.extend([conclude.payment].into_iter().chain(conclude.original)),
        }
    }

    fn add(&mut self, command: &'a Command) {
        match command {
            Command::Pay(pay) => {
                self.accounts.insert(pay.order.payer_account);
                self.accounts.extend(pay.bank.iter().map(|bank| bank.settlement_account));
                self.accounts.extend(pay.incoming.iter().map(|incoming| incoming.suspense_account));
                match &pay.order.payee.account {
                    PayeeAccount::Iban(iban, _) => drop(self.ibans.insert(iban.as_str())),
                    PayeeAccount::Number(..) => {}
                    PayeeAccount::Ledger(account) => drop(self.accounts.insert(*account)),
                }
                self.requests.push(&pay.request);
            }
            Command::Capture(capture) => {
                self.requests.push(&capture.request);
                self.payments.insert(capture.payment);
            }
            Command::Cancel(cancel) => {
                self.payments.extend([cancel.payment].into_iter().chain(cancel.original));
            }
            Command::Expire(expire) => drop(self.payments.insert(expire.payment)),
            Command::Refund(refund) => {
                self.requests.push(&refund.request);
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
                // What is paid late is owed by suspense.
                self.accounts.extend(conclude.compensation.iter().map(|late| late.suspense_account));
            }
            Command::Resolve(resolve) => {
                self.payments.extend([resolve.payment].into_iter().chain(resolve.original));
                self.resolved.insert(resolve.payment);
            }
            Command::Deposit(arrival) => {
                self.accounts.extend([arrival.order.account, arrival.settlement_account]);
                self.arrivals.push(arrival);
            }
            Command::DecideDeposit(decide) => {
                self.accounts.extend(decide.accounts);
                self.deposits.insert(decide.deposit);
            }
        }
    }
}

/// Loads the snapshot for `commands`.
///
/// # Errors
/// When the database fails.
pub async fn snapshot(
    keys: &DataKeys,
    connection: &mut PgConnection,
    commands: &[Command],
    view: View,
    known: &mut KnownAccounts,
) -> Result<Loaded, StoreError> {
    let mut named = Named::by(commands, view);
    let mut snapshot = Snapshot::default();
    let mut guards = Guards::default();
    let mut wanted = std::mem::take(&mut named.accounts);
    let mut repeated = accounts::Repeated::Perhaps;
    let request_keys: Vec<Uuid> = named.requests.iter().map(|request| key(request)).collect();
    let ibans: Vec<&str> = std::mem::take(&mut named.ibans).into_iter().collect();
    if view == View::Locked {
        // Whose accounts they are never changes, and accounts are locked first.
        wanted.extend(accounts_of(connection, &named.payments).await?);
        snapshot.accounts = accounts::load(keys, connection, &wanted, &ibans, &[], view).await?.0;
    }
    if !named.payments.is_empty() {
        snapshot.payments = payments_by_id(keys, connection, &named.payments, view).await?;
        bring_back(keys, connection, &named.payments, view, &mut snapshot.payments).await?;
    }
    for (payment, _) in snapshot.payments.values() {
        wanted.extend([payment.payer_account, payment.credit_account]);
    }
    for (payment, lease) in &named.known {
        snapshot.payments.entry(payment.id).or_insert_with(|| (payment.clone(), Some(*lease)));
    }
    if !named.arrivals.is_empty() {
        for earlier in deposits::by_request(connection, &named.arrivals).await? {
            let key = (earlier.participant.clone(), earlier.order.request_id.clone());
            snapshot.deposit_requests.insert(key, earlier.id);
            snapshot.deposits.insert(earlier.id, earlier);
        }
        snapshot.pending_deposits = deposits::pending(connection, &named.arrivals).await?;
    }
    rare(keys, connection, commands, &named, &mut snapshot).await?;
    let recalled = (view == View::Known && commands.iter().all(Command::may_rest_on_known_accounts))
        .then(|| recall(known, &wanted, &ibans))
        .flatten();
    if let Some((accounts, taken_for_true)) = recalled {
        snapshot.accounts = accounts;
        guards = taken_for_true;
        // What a repeated request would write the unique key refuses.
        repeated = accounts::Repeated::None;
    } else if view != View::Locked && (!wanted.is_empty() || !ibans.is_empty()) {
        (snapshot.accounts, repeated) =
            accounts::load(keys, connection, &wanted, &ibans, &request_keys, view).await?;
    }
    if guards.is_empty() {
        snapshot.accounts.values().for_each(|account| known.learn(account.clone()));
    }
    let limited = snapshot.limited(commands);
    if !limited.is_empty() {
        snapshot.limits = limits::of(connection, limited, view).await?;
    }
    if !ibans.is_empty() {
        let by_iban = snapshot.accounts.values().filter_map(|account| {
            let iban = account.iban.clone().filter(|iban| ibans.binary_search(&iban.as_str()).is_ok())?;
            Some((iban, account.id))
        });
        snapshot.accounts_by_iban = by_iban.collect();
    }
    if !request_keys.is_empty() && repeated == accounts::Repeated::Perhaps {
        let taken_out = requests(keys, connection, request_keys, &mut snapshot).await?;
        let asked = named.requests.iter().filter(|request| taken_out.contains(&key(request)));
        snapshot.requests_taken_out = asked.map(|request| request.key()).collect();
    }
    Ok(Loaded { snapshot, guards })
}

/// The accounts with these numbers and IBANs, if all of the first are known, and what is so taken for true.
fn recall(
    known: &mut KnownAccounts,
    wanted: &BTreeSet<AccountId>,
    ibans: &[&str],
) -> Option<(BTreeMap<AccountId, Account>, Guards)> {
    let (ours, foreign): (Vec<&str>, Vec<&str>) =
        ibans.iter().partition(|iban| known.with_iban(iban).is_some());
    let ours: Vec<AccountId> = ours.into_iter().filter_map(|iban| known.with_iban(iban)).collect();
    let mut accounts = BTreeMap::new();
    for id in wanted.iter().chain(&ours) {
        accounts.insert(*id, known.get(*id)?.clone());
    }
    let revisions = accounts.values().map(|account| (account.id, account.revision)).collect();
    Some((accounts, Guards { revisions, foreign_ibans: foreign.into_iter().map(str::to_owned).collect() }))
}

/// Loads what only rare commands need.
async fn rare(
    keys: &DataKeys,
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
    if !named.deposits.is_empty() {
        let ids = named.deposits.iter().map(|id| id.uuid()).collect();
        snapshot.deposits.extend(deposits::by_id(connection, ids).await?);
    }
    if !named.resolved.is_empty() {
        snapshot.proposals = resolutions::of(connection, ids(&named.resolved)).await?;
    }
    let returns: Vec<Request> =
        commands.iter().filter_map(|command| late_success(command, snapshot)).collect();
    if !returns.is_empty() {
        requests(keys, connection, returns.iter().map(key).collect(), snapshot).await?;
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
        fingerprint: [0; 16],
    })
}

/// The accounts of these payments, wherever those are.
async fn accounts_of(
    connection: &mut PgConnection,
    payments: &BTreeSet<PaymentId>,
) -> Result<Vec<AccountId>, StoreError> {
    if payments.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = payments.iter().map(|id| id.uuid()).collect();
    let here = "SELECT payer_account, credit_account FROM payments WHERE id = ANY($1)";
    let mut sides: Vec<(Uuid, Uuid)> = sqlx::query_as(here).bind(&ids).fetch_all(&mut *connection).await?;
    if sides.len() < ids.len() {
        let anywhere = "SELECT payer_account, credit_account FROM all_payments WHERE id = ANY($1)";
        sides = sqlx::query_as(anywhere).bind(ids).fetch_all(connection).await?;
    }
    Ok(sides.into_iter().flat_map(|(payer, credit)| [payer, credit]).map(AccountId::from_uuid).collect())
}

/// Has those that are missing come back from the archive. That takes the locks of their accounts, like all that writes payments;
/// without any, they are left to a try under locks.
async fn bring_back(
    keys: &DataKeys,
    connection: &mut PgConnection,
    wanted: &BTreeSet<PaymentId>,
    view: View,
    here: &mut LeasedPayments,
) -> Result<(), StoreError> {
    let missing: Vec<Uuid> = wanted.iter().filter(|id| !here.contains_key(id)).map(|id| id.uuid()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if view != View::Locked {
        return Err(StoreError::Conflict("payments"));
    }
    let there = here.len() + archive::bring_back(connection, &missing).await?;
    if there > here.len() {
        *here = payments_by_id(keys, connection, wanted, view).await?;
    }
    // Somebody else may have brought one back, and it has left again.
    if here.len() < there { Err(StoreError::Conflict("payments")) } else { Ok(()) }
}

fn key(request: &Request) -> Uuid {
    payments::request_key(&request.participant, &request.request_id)
}

/// Loads what these requests made, in the archive too. Returns the keys of those whose payments were taken out of it.
async fn requests(
    keys: &DataKeys,
    connection: &mut PgConnection,
    request_keys: Vec<Uuid>,
    snapshot: &mut Snapshot,
) -> Result<Vec<Uuid>, StoreError> {
    let sql = const_format::concatcp!(
        "SELECT p.request_key, ",
        payments::COLUMNS,
        " FROM payments p WHERE p.request_key = ANY($1) UNION ALL SELECT r.request_key, ",
        payments::COLUMNS,
        " FROM ",
        archive::BY_REQUEST,
        "ANY($1)"
    );
    let mut taken_out = Vec::new();
    let rows = sqlx::query(sql).bind(request_keys).fetch_all(&mut *connection).await?;
    let keyring = payments::keys_of(keys, connection, &rows, &payments::ENCRYPTED).await?;
    for row in rows.iter().filter(|_| !planted::is("M2")) {
        if row.try_get::<Option<Uuid>, _>("id")?.is_none() {
            taken_out.push(row.try_get("request_key")?);
            continue;
        }
        let payment = payments::from_row(row, &keyring)?;
        let key = (payment.participant.clone(), payment.request_id.clone());
        snapshot.payment_requests.insert(key, payment);
    }
    Ok(taken_out)
}

type LeasedPayments = BTreeMap<PaymentId, (Payment, Option<Lease>)>;

async fn payments_by_id(
    keys: &DataKeys,
    connection: &mut PgConnection,
    ids: &BTreeSet<PaymentId>,
    view: View,
) -> Result<LeasedPayments, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    const UNLOCKED: &str = const_format::concatcp!(
        "SELECT ",
        payments::COLUMNS,
        ", d.token, d.tries, d.fruitless FROM payments p LEFT JOIN dispatches d ON d.payment_id = p.id \
         WHERE p.id = ANY($1) ORDER BY p.id"
    );
    const LOCKED: &str = const_format::concatcp!(UNLOCKED, " FOR NO KEY UPDATE OF p");
    let sql = if view == View::Locked && !planted::is("M11") { LOCKED } else { UNLOCKED };
    let rows = sqlx::query(sql).bind(ids).fetch_all(&mut *connection).await?;
    let keyring = payments::keys_of(keys, connection, &rows, &payments::ENCRYPTED).await?;
    rows.iter()
        .map(|row| {
            let payment = payments::from_row(row, &keyring)?;
            let lease = lease(row, &payment)?;
            Ok((payment.id, (payment, lease)))
        })
        .collect()
}

/// The lease of a payment's work: that in the queue, or the first, while the payment is out of it.
fn lease(row: &PgRow, payment: &Payment) -> Result<Option<Lease>, StoreError> {
    let token: Option<i64> = row.try_get("token")?;
    let Some(token) = token else {
        let is_first = payment.state == State::Submitted && !payment.is_queued;
        return Ok(is_first.then_some(Lease::FIRST));
    };
    Ok(Some(Lease { token, tries: row.try_get("tries")?, fruitless: row.try_get("fruitless")? }))
}
