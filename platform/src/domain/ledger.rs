//! The ledger's decisions: `(what is loaded, commands in order, now) → (outcomes, writes)`.
//!
//! Whatever moves money is a [`Command`], and [`decide`] is the only function that makes transfers. It is pure: the
//! store loads a [`Snapshot`], and saves the [`Writes`] all together, unless something that they follow from has changed.

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
    id::{AccountId, PaymentId, TransferId},
    planted,
};

pub use command::{
    Arrival, BankRoute, Cancel, Capture, Command, Compensation, Conclude, Declined, Deposit, Expire, Finding,
    NoRoute, Outcome, Pay, Refund, Request, RequestKey, Resolve, Submit, TransferIds, Witness,
};
pub use late::return_request_id;
pub use writes::{Alarm, Change, Delta, Event, Proposal, QueueWrite, Snapshot, Writes};

use super::{
    account::Account,
    payment::{
        Attempt, Kind, Lease, Operation, Original, Payment, Permit, State, Submission, TRANSITIONS, Work,
    },
    refusal::{Reason, Refusal},
    transfer::{Cause, Transfer, TransferKind},
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
        }
    }

    /// Whether a command might take a payment from the state that it was loaded in to one that does not follow from it. The
    /// database sees only the first and the last state of a transaction, and refuses what is no step of the table.
    fn must_wait(&self, command: &Command) -> bool {
        let id = command.payment_to_step();
        let Some(change) = id.and_then(|id| self.writes.changed_payments.get(&id)) else { return false };
        TRANSITIONS.iter().any(|(from, to)| *from == change.payment.state && !change.from.may_become(*to))
    }

    /// What an earlier command with this request id made, if there was one.
    fn replay(&self, id: PaymentId, request: &Request) -> Option<Result<Outcome, Declined>> {
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

    /// Writes a payment that is new and was checked: its first event, the transfer that its state asks for, and what is to
    /// be sent.
    fn begin(&mut self, mut payment: Payment, bank: Option<&BankRoute>) -> Outcome {
        let kind = match payment.state {
            State::Held | State::Authorized | State::Submitted => Some(TransferKind::Hold),
            State::Succeeded => Some(TransferKind::Posting),
            State::Unknown | State::Investigate | State::Failed | State::Cancelled | State::Expired => None,
        };
        if let Some(kind) = kind {
            self.book_payment(&payment, payment.first_transfer(), kind, None, payment.amount.minor_units());
        }
        if let Some(authorization) = &mut payment.authorization
            && kind == Some(TransferKind::Hold)
        {
            authorization.hold = Some(TransferId::from_uuid(payment.id.uuid()));
        }
        self.writes.events.push(event(&payment, "", self.now));
        self.writes.new_payments.push(payment.clone());
        let key = (payment.participant.clone(), payment.request_id.clone());
        self.snapshot.payment_requests.insert(key, payment.clone());
        self.enqueue(payment, bank)
    }

    /// Puts a new payment into the queue of work, and its attempt on record if it is to be sent at once.
    fn enqueue(&mut self, payment: Payment, bank: Option<&BankRoute>) -> Outcome {
        let (work, due_after) = match (payment.state, bank) {
            (State::Submitted, Some(bank)) => (Work::Enquire, bank.lease),
            (State::Held, _) => (Work::Send, std::time::Duration::ZERO),
            (State::Authorized, _) => {
                let expires_at =
                    payment.authorization.map_or(self.now, |authorization| authorization.expires_at);
                (Work::Expire, expires_at.duration_since(self.now).unwrap_or_default())
            }
            _ => return Outcome::Payment(Box::new(payment)),
        };
        let bank_id = payment.bank_id.clone().filter(|_| work != Work::Expire);
        self.writes.queue.insert(payment.id, QueueWrite::Enter { work, bank_id, due_after });
        match (payment.state, bank) {
            (State::Submitted, Some(bank)) => {
                let attempt = Attempt::after(None, self.now, bank.valid_for);
                self.submission(payment, attempt, Lease::FIRST)
            }
            _ => Outcome::Payment(Box::new(payment)),
        }
    }

    /// Puts an attempt on record, to be sent by the holder of the lease.
    fn submission(&mut self, payment: Payment, attempt: Attempt, lease: Lease) -> Outcome {
        self.writes.attempts.push((payment.id, attempt));
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

    /// Writes a payment's next step: its state, its event, and in the snapshot what the commands behind it see.
    fn step(&mut self, payment: &Payment, state: State, reason: Option<Reason>, source: &str) -> Payment {
        let next = Payment {
            state,
            reason,
            sequence: payment.sequence + 1,
            updated_at: self.now,
            ..payment.clone()
        };
        self.writes.events.push(event(&next, source, self.now));
        let change = Change { payment: next.clone(), from: payment.state, from_sequence: payment.sequence };
        let written = self.writes.changed_payments.entry(next.id).or_insert(change);
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

    fn leave_queue(&mut self, payment: PaymentId, lease: Option<Lease>) {
        if let Some(lease) = lease {
            self.writes.queue.insert(payment, QueueWrite::Leave(lease.token));
            if let Some((_, lease)) = self.snapshot.payments.get_mut(&payment) {
                *lease = None;
            }
        }
    }

    /// Books a transfer between a payment's accounts.
    fn book_payment(
        &mut self,
        payment: &Payment,
        id: TransferId,
        kind: TransferKind,
        hold: Option<TransferId>,
        minor_units: i64,
    ) {
        let cause = Cause::Payment(payment.id);
        let (debit, credit) = (payment.payer_account, payment.credit_account);
        let amount = common::money::Money::new(minor_units, payment.amount.currency());
        self.book(Transfer { id, kind, cause, hold, debit, credit, amount, at: self.now });
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

fn event(payment: &Payment, source: &str, at: SystemTime) -> Event {
    Event {
        payment: payment.id,
        sequence: payment.sequence,
        state: payment.state,
        reason: payment.reason.clone(),
        bank_message_id: source.to_owned(),
        at,
    }
}

impl TransferIds {
    fn first(&self) -> TransferId {
        self.0[0]
    }

    fn second(&self) -> TransferId {
        self.0[1]
    }

    fn third(&self) -> TransferId {
        self.0[2]
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
    /// A payment that belongs to another one, between the same accounts.
    fn of(&self, original: &Payment, state: State, reason: Option<Reason>, now: SystemTime) -> Payment {
        Payment {
            id: self.id,
            participant: self.request.participant.clone(),
            request_id: self.request.request_id.clone(),
            fingerprint: self.request.fingerprint,
            kind: self.kind,
            original: Some(original.id),
            amount: common::money::Money::new(self.minor_units, original.amount.currency()),
            metadata: std::collections::BTreeMap::new(),
            uetr: self.uetr,
            state,
            authorization: None,
            reason,
            sequence: 1,
            created_at: now,
            updated_at: now,
            ..original.clone()
        }
    }
}
