//! The ledger's decisions: `(what is loaded, commands in order, now) → (outcomes, writes)`.
//!
//! Whatever moves money is a [`Command`], and [`decide`] is the only function that makes transfers. It is pure: the
//! store loads a [`Snapshot`] under lock, and saves the [`Writes`] in the same transaction.

mod command;
mod writes;

use std::time::SystemTime;

use common::{
    id::{AccountId, TransferId},
    order::PayeeAccount,
};

pub use command::{
    Arrival, BankRoute, Command, Conclude, Declined, Deposit, NoRoute, Outcome, Pay, RequestKey,
};
pub use writes::{Delta, Event, QueueWrite, Snapshot, Writes};

use super::{
    account::{Account, Side},
    payment::{Attempt, Evidence, Lease, Payment, State, Submission},
    refusal::Reason,
    transfer::{Cause, Transfer, TransferKind},
};

/// The number of the first lease, which the writer of a payment holds.
pub const FIRST_TOKEN: i64 = 1;

/// Decides the commands in order, each seeing what those before it did.
pub fn decide(snapshot: Snapshot, commands: &[Command], now: SystemTime) -> (Vec<Outcome>, Writes) {
    let mut ledger = Ledger { snapshot, writes: Writes::default(), now };
    let outcomes = commands
        .iter()
        .map(|command| match command {
            Command::Pay(pay) => ledger.pay(pay),
            Command::Conclude(conclude) => ledger.conclude(conclude),
            Command::Deposit(arrival) => ledger.deposit(arrival),
        })
        .map(|result| result.unwrap_or_else(Outcome::Declined))
        .collect();
    (outcomes, ledger.writes)
}

struct Ledger {
    snapshot: Snapshot,
    writes: Writes,
    now: SystemTime,
}

/// Where a payment's money goes.
enum Route<'a> {
    OnUs(AccountId),
    Bank(&'a BankRoute),
}

impl Ledger {
    fn pay(&mut self, pay: &Pay) -> Result<Outcome, Declined> {
        let key = (pay.participant.clone(), pay.order.request_id.clone());
        if let Some(earlier) = self.snapshot.payment_requests.get(&key) {
            return match earlier.fingerprint == pay.fingerprint {
                // Our own number means that this very command was saved before its commit's answer got lost.
                // What is then to be sent goes to recovery, which asks the bank before it sends.
                true if earlier.id == pay.id => Ok(Outcome::Payment(Box::new(earlier.clone()))),
                true => Ok(Outcome::Replayed(Box::new(earlier.clone()))),
                false => Err(Declined::RequestIdReused),
            };
        }
        let payer = self.own_account(pay.order.payer_account, &pay.participant)?;
        let amount = pay.order.amount;
        if payer.currency != amount.currency() {
            return Err(Declined::CurrencyMismatch("payer_account"));
        }
        let route = self.route(pay)?;
        let (credit_account, bank) = match route {
            Route::OnUs(account) => (account, None),
            Route::Bank(bank) => (bank.settlement_account, Some(bank)),
        };
        let creditor = self.snapshot.accounts.get(&credit_account).ok_or(Declined::PayeeAccountNotFound)?;
        if creditor.currency != amount.currency() {
            return Err(Declined::CurrencyMismatch("payee"));
        }
        let checked = payer.check(Side::Debit, amount).and_then(|()| creditor.check(Side::Credit, amount));
        if pay.validate_only {
            return Ok(Outcome::Validated(checked));
        }
        let (debtor_name, debtor_iban) = (payer.display_name.clone(), payer.iban.clone());
        let (state, reason) = match (checked, bank) {
            (Err(refusal), _) => (State::Failed, Some(refusal.reason())),
            (Ok(()), None) => (State::Succeeded, None),
            (Ok(()), Some(_)) => (State::Submitted, None),
        };
        let payment = new_payment(pay, credit_account, bank, state, reason, self.now);
        self.begin(&payment);
        self.snapshot.payment_requests.insert(key, payment.clone());
        let Some(bank) = bank.filter(|_| state == State::Submitted) else {
            return Ok(Outcome::Payment(Box::new(payment)));
        };
        let attempt = Attempt { number: 1, accept_time: self.now, valid_until: self.now + bank.valid_for };
        self.writes.attempts.push((payment.id, attempt));
        let entry = QueueWrite::Enter(bank.bank_id.clone(), bank.lease);
        self.writes.queue.insert(payment.id, entry);
        let lease = Lease { token: FIRST_TOKEN, tries: 1 };
        Ok(Outcome::Submitted(Box::new(Submission { payment, attempt, lease, debtor_name, debtor_iban })))
    }

    fn own_account(&self, id: AccountId, participant: &str) -> Result<&Account, Declined> {
        let account = self.snapshot.accounts.get(&id).filter(|account| account.participant == participant);
        account.ok_or(Declined::AccountNotFound)
    }

    fn route<'a>(&self, pay: &'a Pay) -> Result<Route<'a>, Declined> {
        let on_us = match &pay.order.payee.account {
            PayeeAccount::Ledger(account) => Some(*account),
            PayeeAccount::Iban(iban, _) => self.snapshot.accounts_by_iban.get(iban.as_str()).copied(),
            PayeeAccount::Number(..) => None,
        };
        match on_us {
            Some(account) if account == pay.order.payer_account => Err(Declined::PaysItself),
            Some(account) if self.snapshot.accounts.get(&account).is_some_and(|found| found.may_overdraw) => {
                // A settlement account is the house's own and nobody's payee.
                Err(Declined::PayeeAccountNotFound)
            }
            Some(account) => Ok(Route::OnUs(account)),
            None => pay.bank.as_ref().map(Route::Bank).map_err(|none| Declined::NoRoute(none.clone())),
        }
    }

    /// Writes a new payment, its first event, and the transfer that its state asks for.
    fn begin(&mut self, payment: &Payment) {
        let kind = match payment.state {
            State::Submitted | State::Unknown => Some(TransferKind::Hold),
            State::Succeeded => Some(TransferKind::Posting),
            State::Failed => None,
        };
        if let Some(kind) = kind {
            let transfer = payment_transfer(payment, payment.first_transfer(), kind, None, self.now);
            self.book(transfer);
        }
        self.writes.events.push(event(payment, "", self.now));
        self.writes.new_payments.push(payment.clone());
    }

    fn conclude(&mut self, conclude: &Conclude) -> Result<Outcome, Declined> {
        let (payment, lease) =
            self.snapshot.payments.get(&conclude.payment).ok_or(Declined::PaymentNotFound)?.clone();
        if payment.state.is_final() {
            return Ok(Outcome::Payment(Box::new(payment)));
        }
        if lease.is_none_or(|lease| lease.token != conclude.token) {
            return Err(Declined::LeaseLost);
        }
        let (state, reason) = conclude.evidence.verdict();
        if let Evidence::Inconclusive { resume_after, .. } = conclude.evidence {
            self.writes.queue.insert(payment.id, QueueWrite::Postpone(conclude.token, resume_after));
        }
        if !payment.state.may_become(state) {
            return Ok(Outcome::Payment(Box::new(payment)));
        }
        let next = Payment {
            state,
            reason,
            sequence: payment.sequence + 1,
            updated_at: self.now,
            ..payment.clone()
        };
        let kind = match state {
            State::Succeeded => Some(TransferKind::HoldPosted),
            State::Failed => Some(TransferKind::HoldReleased),
            State::Submitted | State::Unknown => None,
        };
        if let Some(kind) = kind {
            let hold = Some(payment.first_transfer());
            self.book(payment_transfer(&next, conclude.transfer, kind, hold, self.now));
            self.writes.queue.insert(payment.id, QueueWrite::Leave(conclude.token));
        }
        self.writes.events.push(event(&next, conclude.evidence.bank_message_id(), self.now));
        self.writes.changed_payments.insert(next.id, next.clone());
        self.snapshot.payments.insert(next.id, (next.clone(), lease));
        if let Some(asked_again) =
            self.snapshot.payment_requests.get_mut(&(next.participant.clone(), next.request_id.clone()))
        {
            *asked_again = next.clone();
        }
        Ok(Outcome::Payment(Box::new(next)))
    }

    fn deposit(&mut self, arrival: &Arrival) -> Result<Outcome, Declined> {
        let order = &arrival.order;
        let key = (arrival.participant.clone(), order.request_id.clone());
        if let Some(earlier) = self.snapshot.deposit_requests.get(&key) {
            return match earlier.fingerprint == arrival.fingerprint {
                true => Ok(Outcome::Deposit(Box::new(earlier.clone()), earlier.id != arrival.id)),
                false => Err(Declined::RequestIdReused),
            };
        }
        let account = self.own_account(order.account, &arrival.participant)?;
        if account.currency != order.amount.currency() {
            return Err(Declined::CurrencyMismatch("account"));
        }
        let settlement =
            self.snapshot.accounts.get(&arrival.settlement_account).ok_or(Declined::AccountNotFound)?;
        settlement
            .check(Side::Debit, order.amount)
            .and_then(|()| account.check(Side::Credit, order.amount))
            .map_err(Declined::DepositRefused)?;
        let deposit = Deposit {
            id: arrival.id,
            participant: arrival.participant.clone(),
            order: order.clone(),
            fingerprint: arrival.fingerprint,
            created_at: self.now,
        };
        self.book(Transfer {
            id: arrival.transfer,
            kind: TransferKind::Posting,
            cause: Cause::Deposit(deposit.id),
            hold: None,
            debit: arrival.settlement_account,
            credit: order.account,
            amount: order.amount,
            at: self.now,
        });
        self.writes.deposits.push(deposit.clone());
        self.snapshot.deposit_requests.insert(key, deposit.clone());
        Ok(Outcome::Deposit(Box::new(deposit), false))
    }

    /// Books a transfer whose sides were checked: the only place where sums change.
    fn book(&mut self, transfer: Transfer) {
        let (pending, posted) = transfer.kind.effect();
        let amount = transfer.amount.minor_units();
        let (pending, posted) = (pending * amount, posted * amount);
        let debit = self.writes.deltas.entry(transfer.debit).or_default();
        debit.debits_pending += pending;
        debit.debits_posted += posted;
        let credit = self.writes.deltas.entry(transfer.credit).or_default();
        credit.credits_pending += pending;
        credit.credits_posted += posted;
        if let Some(account) = self.snapshot.accounts.get_mut(&transfer.debit) {
            account.balances.debits_pending += pending;
            account.balances.debits_posted += posted;
        }
        if let Some(account) = self.snapshot.accounts.get_mut(&transfer.credit) {
            account.balances.credits_pending += pending;
            account.balances.credits_posted += posted;
        }
        self.writes.transfers.push(transfer);
    }
}

fn new_payment(
    pay: &Pay,
    credit_account: AccountId,
    bank: Option<&BankRoute>,
    state: State,
    reason: Option<Reason>,
    now: SystemTime,
) -> Payment {
    let order = &pay.order;
    Payment {
        id: pay.id,
        participant: pay.participant.clone(),
        request_id: order.request_id.clone(),
        fingerprint: pay.fingerprint,
        payer_account: order.payer_account,
        credit_account,
        payee: order.payee.clone(),
        amount: order.amount,
        remittance_information: order.remittance_information.clone(),
        end_to_end_id: order.end_to_end_id.clone().unwrap_or_else(|| pay.id.uuid().simple().to_string()),
        metadata: order.metadata.clone(),
        bank_id: bank.map(|bank| bank.bank_id.clone()),
        uetr: pay.uetr,
        state,
        reason,
        sequence: 1,
        created_at: now,
        updated_at: now,
    }
}

fn payment_transfer(
    payment: &Payment,
    id: TransferId,
    kind: TransferKind,
    hold: Option<TransferId>,
    at: SystemTime,
) -> Transfer {
    let cause = Cause::Payment(payment.id);
    let (debit, credit) = (payment.payer_account, payment.credit_account);
    Transfer { id, kind, cause, hold, debit, credit, amount: payment.amount, at }
}

fn event(payment: &Payment, bank_message_id: &str, at: SystemTime) -> Event {
    Event {
        payment: payment.id,
        sequence: payment.sequence,
        state: payment.state,
        reason: payment.reason.clone(),
        bank_message_id: bank_message_id.to_owned(),
        at,
    }
}
