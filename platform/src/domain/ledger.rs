//! The ledger's decisions: `(what is loaded, commands in order, now) → (outcomes, writes)`.
//!
//! Whatever moves money is a [`Command`], and [`decide`] is the only function that makes transfers. It is pure: the
//! store loads a [`Snapshot`], and saves the [`Writes`] all together, unless something that they follow from has changed.
//!
//! Money follows from state: what a payment holds and what it has moved are functions of it, and no step of a payment is
//! written without its difference (`Ledger::follow`).

mod authorization;
mod command;
mod conclude;
mod deposit;
mod late;
mod pay;
mod refund;
mod resolve;
mod writes;

use std::time::SystemTime;

use common::{
    id::{AccountId, PaymentId},
    planted,
};

pub use command::{
    BankMessage, BankRoute, Cancel, Capture, Command, Compensation, Conclude, Declined, Expire, Finding,
    Incoming, NoRoute, Outcome, Pay, Refund, Request, RequestKey, Resolve, Submit, Witness,
};
pub use deposit::{Arrival, DecideDeposit, Ruling};
pub use late::return_request_id;
pub use writes::{
    Alarm, Change, Delta, Event, KeptMessage, Proposal, QueueWrite, ResolutionAct, Snapshot, Writes,
};

use super::{
    account::Account,
    limits::{self, Use},
    payment::{
        Attempt, Kind, Lease, Operation, Original, Payment, Permit, State, Submission, TRANSITIONS, Terms,
        Work,
    },
    refusal::{Reason, Refusal},
    transfer::{Cause, Transfer},
};

/// Decides the commands in order, each seeing what those before it did. There are fewer outcomes than commands when the next
/// one has to wait for a transaction of its own; the first never has to.
pub fn decide(snapshot: Snapshot, commands: &[Command], now: SystemTime) -> (Vec<Outcome>, Writes) {
    let mut ledger = Ledger { snapshot, writes: Writes::default(), now };
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        if ledger.must_wait(command) {
            break;
        }
        outcomes.push(ledger.carry_out(command).unwrap_or_else(Outcome::Declined));
    }
    (outcomes, ledger.writes)
}

struct Ledger {
    snapshot: Snapshot,
    writes: Writes,
    now: SystemTime,
}

impl Ledger {
    fn carry_out(&mut self, command: &Command) -> Result<Outcome, Declined> {
        match command {
            Command::Pay(pay) => self.pay(pay),
            Command::Capture(capture) => self.capture(capture),
            Command::Cancel(cancel) => self.cancel(cancel),
            Command::Expire(expire) => self.expire(expire),
            Command::Refund(refund) => self.refund(refund),
            Command::Submit(submit) => self.submit(submit),
            Command::Conclude(conclude) => self.conclude(conclude),
            Command::Resolve(resolve) => self.resolve(resolve),
            Command::Deposit(arrival) => self.deposit(arrival),
            Command::DecideDeposit(decide) => self.decide_deposit(decide),
        }
    }

    /// Whether a command might take a payment from the state that it was loaded in to one that does not follow from it, or end a
    /// deposit that is new. The database sees only the first and the last state of a transaction, and refuses what is no step.
    fn must_wait(&self, command: &Command) -> bool {
        if let Command::DecideDeposit(decide) = command {
            return self.writes.new_deposits.iter().any(|new| new.id == decide.deposit);
        }
        let id = command.payment_to_step();
        let Some(change) = id.and_then(|id| self.writes.changed_payments.get(&id)) else { return false };
        TRANSITIONS.iter().any(|(from, to)| *from == change.payment.state && !change.from.may_become(*to))
    }

    /// What an earlier command with this request id made, if there was one.
    fn replay(&self, id: PaymentId, request: &Request) -> Option<Result<Outcome, Declined>> {
        if self.snapshot.requests_taken_out.contains(&request.key()) {
            return Some(Err(Declined::RequestTakenOut));
        }
        let earlier = self.snapshot.payment_requests.get(&request.key())?;
        if planted::is("M14") && earlier.id == id {
            return None;
        }
        Some(match earlier.fingerprint == request.fingerprint || planted::is("X6") {
            // Our own number means that this very command was saved before its commit's answer got lost.
            // What is then to be sent goes to recovery, which asks the bank before it sends.
            true if earlier.id == id => Ok(Outcome::Payment(Box::new(earlier.clone()))),
            true => Ok(Outcome::Replayed(Box::new(earlier.clone()))),
            false => Err(Declined::RequestIdReused),
        })
    }

    fn own_account(&self, id: AccountId, participant: &str) -> Result<&Account, Declined> {
        let account = self.snapshot.accounts.get(&id).filter(|account| account.participant == participant);
        account.ok_or(Declined::AccountNotFound)
    }

    fn payment(&self, id: PaymentId) -> Result<(Payment, Option<Lease>), Declined> {
        self.snapshot.payments.get(&id).cloned().ok_or(Declined::PaymentNotFound)
    }

    fn own_payment(&self, id: PaymentId, participant: &str) -> Result<(Payment, Option<Lease>), Declined> {
        let own = self.payment(id).ok().filter(|(payment, _)| payment.participant == participant);
        own.ok_or(Declined::PaymentNotFound)
    }

    /// Writes a payment that is new and was checked: what it holds or moves, its first event, and what is to be sent.
    fn begin(&mut self, mut payment: Payment, bank: Option<&BankRoute>) -> Outcome {
        payment.is_queued = matches!(payment.state, State::Held | State::Authorized);
        let attempt = match (payment.state, bank) {
            (State::Submitted, Some(bank)) => Some(Attempt::after(None, self.now, bank.valid_for)),
            _ => None,
        };
        self.follow(None, &payment);
        self.writes.events.push(event(&payment, attempt, "", self.now));
        self.writes.new_payments.push(payment.clone());
        let key = (payment.participant.clone(), payment.request_id.clone());
        self.snapshot.payment_requests.insert(key, payment.clone());
        if let (Some(attempt), Some(bank)) = (attempt, bank) {
            self.writes.queue.insert(payment.id, QueueWrite::Lend(bank.lease));
            return self.submission(payment, attempt, Lease::FIRST);
        }
        let waits = match payment.state {
            State::Held => Some((Work::Send, payment.bank_id.clone(), std::time::Duration::ZERO)),
            State::Authorized => {
                let expires_at =
                    payment.authorization.map_or(self.now, |authorization| authorization.expires_at);
                Some((Work::Expire, None, expires_at.duration_since(self.now).unwrap_or_default()))
            }
            _ => None,
        };
        if let Some((work, bank_id, due_after)) = waits {
            self.writes.queue.insert(payment.id, QueueWrite::Enter { work, bank_id, due_after });
        }
        Outcome::Payment(Box::new(payment))
    }

    /// What is to be sent of an attempt that is on record, by the holder of the lease.
    fn submission(&self, payment: Payment, attempt: Attempt, lease: Lease) -> Outcome {
        let debtor = self.snapshot.accounts.get(&payment.payer_account);
        let debtor_name = debtor.map(|account| account.display_name.clone()).unwrap_or_default();
        let debtor_iban = debtor.and_then(|account| account.iban.clone());
        let original = payment.original.filter(|_| payment.kind.is_taken_back()).and_then(|original| {
            let (paid, _) = self.snapshot.payments.get(&original)?;
            Some(Original::new(paid, self.snapshot.attempts.get(&original)?))
        });
        let submission = Submission { payment, attempt, lease, debtor_name, debtor_iban, original };
        Outcome::Submitted(Box::new(submission))
    }

    /// Writes a payment's next state: its event, what it holds and moves, and in the snapshot what the commands behind it see.
    fn step(&mut self, payment: &Payment, state: State, reason: Option<Reason>, source: &str) -> Payment {
        self.step_to(payment, Payment { state, reason, ..payment.clone() }, None, source)
    }

    fn step_to(
        &mut self,
        payment: &Payment,
        next: Payment,
        attempt: Option<Attempt>,
        source: &str,
    ) -> Payment {
        let stored = self.snapshot.payments.get(&payment.id);
        let is_queued = stored.map_or(payment.is_queued, |(stored, _)| stored.is_queued);
        let next = Payment { is_queued, sequence: payment.sequence + 1, updated_at: self.now, ..next };
        self.follow(Some(payment), &next);
        self.writes.events.push(event(&next, attempt, source, self.now));
        let written = self.writes.changed_payments.entry(next.id).or_insert_with(|| Change {
            payment: next.clone(),
            from: payment.state,
            from_sequence: payment.sequence,
            was_queued: payment.is_queued,
        });
        written.payment = next.clone();
        if let Some((stored, _)) = self.snapshot.payments.get_mut(&next.id) {
            *stored = next.clone();
        }
        let key = (next.participant.clone(), next.request_id.clone());
        if let Some(asked_again) = self.snapshot.payment_requests.get_mut(&key) {
            *asked_again = next.clone();
        }
        next
    }

    /// Leaves a payment's work for later, which its worker has come to an end with.
    fn postpone(&mut self, payment: &Payment, token: i64, work: Work, due_after: std::time::Duration) {
        let write = match self.writes.queue.get(&payment.id) {
            Some(QueueWrite::Enter { bank_id, .. }) => {
                QueueWrite::Enter { work, bank_id: bank_id.clone(), due_after }
            }
            _ if !payment.is_queued => {
                QueueWrite::Enter { work, bank_id: payment.bank_id.clone(), due_after }
            }
            _ => QueueWrite::Postpone { token, work, due_after },
        };
        self.writes.queue.insert(payment.id, write);
        if let Some((stored, _)) = self.snapshot.payments.get_mut(&payment.id) {
            stored.is_queued = true;
        }
    }

    /// Takes a payment's work out of the queue, if it is there.
    fn leave_queue(&mut self, payment: PaymentId, lease: Option<Lease>) {
        let (Some(lease), Some((stored, held))) = (lease, self.snapshot.payments.get_mut(&payment)) else {
            return;
        };
        *held = None;
        match self.writes.queue.get(&payment) {
            Some(QueueWrite::Enter { .. }) => drop(self.writes.queue.remove(&payment)),
            _ if stored.is_queued => drop(self.writes.queue.insert(payment, QueueWrite::Leave(lease.token))),
            _ => {}
        }
        stored.is_queued = false;
    }

    /// Writes what a payment's new state means for its accounts: the difference in what it holds, and what it now has moved; and for
    /// their limits.
    fn follow(&mut self, before: Option<&Payment>, after: &Payment) {
        self.count(before, after);
        let held = after.held() - before.map_or(0, Payment::held);
        let is_leak = planted::is("X1") && after.state == State::Failed
            || planted::is("X10") && after.state == State::Expired;
        if held != 0 && !is_leak {
            self.add(after.payer_account, Delta { debits_pending: held, ..Delta::default() });
            self.add(after.credit_account, Delta { credits_pending: held, ..Delta::default() });
        }
        if after.paid() > before.map_or(0, Payment::paid) {
            self.book(Transfer {
                cause: Cause::Payment(after.id),
                debit: after.payer_account,
                credit: after.credit_account,
                credit_is_house: after.credits_house(),
                amount: after.amount,
                at: self.now,
            });
        }
    }

    /// Counts in the limits of its payer what a payment's new state uses of them.
    fn count(&mut self, before: Option<&Payment>, after: &Payment) {
        let change = after.uses().beyond(before.map_or(Use::default(), Payment::uses));
        if change == Use::default() {
            return;
        }
        for subject in limits::counting(after) {
            let Some(limits) = self.snapshot.limits.get_mut(&subject) else { continue };
            limits.count(change, after.created_at, self.now);
            let loaded = limits.version;
            self.writes.limits.entry(subject).or_insert((*limits, loaded)).0 = *limits;
        }
    }

    /// Books a transfer whose sides were checked.
    fn book(&mut self, transfer: Transfer) {
        let amount = transfer.amount.minor_units();
        self.add(transfer.debit, Delta { debits_posted: amount, ..Delta::default() });
        self.add(transfer.credit, Delta { credits_posted: amount, ..Delta::default() });
        self.writes.transfers.push(transfer);
    }

    /// The only place where sums change.
    fn add(&mut self, account: AccountId, change: Delta) {
        let delta = self.writes.deltas.entry(account).or_default();
        delta.debits_pending += change.debits_pending;
        delta.debits_posted += change.debits_posted;
        delta.credits_pending += change.credits_pending;
        delta.credits_posted += change.credits_posted;
        if let Some(account) = self.snapshot.accounts.get_mut(&account) {
            account.balances.debits_pending += change.debits_pending;
            account.balances.debits_posted += change.debits_posted;
            account.balances.credits_pending += change.credits_pending;
            account.balances.credits_posted += change.credits_posted;
        }
    }
}

/// The state of a payment that is new: what a check found, and where its money goes.
fn first_state(checked: Result<(), Refusal>, bank: Option<&BankRoute>) -> (State, Option<Reason>) {
    match (checked, bank) {
        (Err(refusal), _) => (State::Failed, Some(refusal.reason())),
        (Ok(()), None) => (State::Succeeded, None),
        (Ok(()), Some(bank)) if bank.waits => {
            (State::Held, Some(Reason::new("BANK_OFFLINE", "", "waits until its bank can be reached")))
        }
        (Ok(()), Some(_)) => (State::Submitted, None),
    }
}

/// Whether an operation is allowed, or was done before.
fn permitted(payment: &Payment, operation: Operation) -> Result<Permit, Declined> {
    match payment.state.permits(operation) {
        Permit::No => Err(Declined::NotPermitted(operation, payment.state)),
        permit => Ok(permit),
    }
}

fn event(payment: &Payment, attempt: Option<Attempt>, source: &str, at: SystemTime) -> Event {
    Event {
        payment: payment.id,
        sequence: payment.sequence,
        state: payment.state,
        reason: payment.reason.clone(),
        attempt,
        bank_message_id: source.to_owned(),
        at,
    }
}

/// What a child of a payment is made from.
struct Child<'a> {
    id: PaymentId,
    uetr: common::order::Uetr,
    request: &'a Request,
    kind: Kind,
    minor_units: i64,
}

impl Child<'_> {
    /// The terms of a payment that belongs to another one, between the same accounts.
    fn of(&self, original: &Payment, now: SystemTime) -> Terms {
        Terms {
            id: self.id,
            participant: self.request.participant.clone(),
            request_id: self.request.request_id.clone(),
            fingerprint: self.request.fingerprint,
            kind: self.kind,
            original: Some(original.id),
            amount: common::money::Money::new(self.minor_units, original.amount.currency()),
            metadata: std::collections::BTreeMap::new(),
            counted: limits::Counted::default(),
            uetr: self.uetr,
            created_at: now,
            ..Terms::clone(&original.terms)
        }
    }
}
