//! What a decision is made from, and what it wants saved.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use common::{
    id::{AccountId, ActId, DepositId, PaymentId},
    order::LimitSubject,
};

use super::{BankMessage, Command, Finding, RequestKey};
use crate::domain::{
    account::Account,
    alarm::AlarmKind,
    deposit::Deposit,
    limits::{self, Limits},
    payment::{Attempt, Lease, Payment, State, Work},
    refusal::Reason,
    transfer::Transfer,
};

/// What the store loaded. What is not under lock may have changed by the time that it is written: then the database refuses
/// the writes, and everything is decided again.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Accounts that the commands name or lead to.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Which of the payees' IBANs are on this ledger.
    pub accounts_by_iban: BTreeMap<String, AccountId>,
    /// Payments that commands name, and those that they capture or refund, with the lease of those under way.
    pub payments: BTreeMap<PaymentId, (Payment, Option<Lease>)>,
    /// The newest attempts of payments that are to be sent, given back or taken back.
    pub attempts: BTreeMap<PaymentId, Attempt>,
    /// How much of payments is refunded, refunds under way included, in minor units.
    pub refunded: BTreeMap<PaymentId, i64>,
    /// What operators found out about payments, and is not or was approved.
    pub proposals: BTreeMap<PaymentId, Proposal>,
    /// Payments that have the request ids of commands that make payments.
    pub payment_requests: BTreeMap<RequestKey, Payment>,
    /// Request ids of commands that once made payments which are no longer kept.
    pub requests_taken_out: BTreeSet<RequestKey>,
    /// The limits of payers that have some.
    pub limits: BTreeMap<LimitSubject, Limits>,
    /// Deposits that commands name, or that have their request ids.
    pub deposits: BTreeMap<DepositId, Deposit>,
    /// Which deposits have the request ids of [`super::Arrival`] commands.
    pub deposit_requests: BTreeMap<RequestKey, DepositId>,
    /// How many deposits are pending of the participants of [`super::Arrival`] commands.
    pub pending_deposits: BTreeMap<String, usize>,
}

impl Snapshot {
    /// Whose limits the commands may use more or less of, as far as payments and accounts are loaded.
    pub fn limited(&self, commands: &[Command]) -> BTreeSet<LimitSubject> {
        let mut limited: BTreeSet<LimitSubject> =
            self.payments.values().flat_map(|(payment, _)| limits::counting(payment)).collect();
        for command in commands {
            let Command::Pay(pay) = command else { continue };
            let (payer, currency) = (pay.order.payer_account, pay.order.amount.currency());
            if self.accounts.get(&payer).is_some_and(|account| account.is_limited) {
                limited.extend(limits::payer_limits(&pay.request.participant, payer, currency));
            }
        }
        limited
    }
}

/// What a decision adds to an account's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// To the debits held.
    pub debits_pending: i64,
    /// To the debits booked.
    pub debits_posted: i64,
    /// To the credits expected.
    pub credits_pending: i64,
    /// To the credits booked.
    pub credits_posted: i64,
}

/// A step in a payment's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub payment: PaymentId,
    /// The how-manieth.
    pub sequence: i32,
    /// The state that it led to.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// Of a step to SUBMITTED: the attempt that it put on record, made at the same time.
    pub attempt: Option<Attempt>,
    /// The bank's message that it follows from; empty if there is none.
    pub bank_message_id: String,
    /// When.
    pub at: SystemTime,
}

/// A payment that took one or more steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// As it now stands.
    pub payment: Payment,
    /// The state that it was loaded in.
    pub from: State,
    /// The sequence number that it was loaded with: what was written since makes the change void.
    pub from_sequence: i32,
    /// Whether its work was in the queue: a first lease that has ended since makes the change void.
    pub was_queued: bool,
}

/// What to do about a payment's place in the queue of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueWrite {
    /// Keep it out: who wrote the payment sends it, and it enters the queue if it is submitted still when this time is over.
    Lend(Duration),
    /// Put it in.
    Enter {
        /// What is to be done when it is due.
        work: Work,
        /// With which bank; none for the house's own work.
        bank_id: Option<String>,
        /// When it is due, from now.
        due_after: Duration,
    },
    /// The holder of the lease with this token has come to an end with it, and leaves it for later.
    Postpone {
        /// The token.
        token: i64,
        /// What is to be done then.
        work: Work,
        /// When, from now.
        due_after: Duration,
    },
    /// The holder of the lease with this token takes it out.
    Leave(i64),
}

/// What an operator found out, and who approved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What was found.
    pub finding: Finding,
    /// Who found it.
    pub proposed_by: String,
    /// Who approved it; nobody yet if absent.
    pub approved_by: Option<String>,
}

/// An operator proposes or approves a payment's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolutionAct {
    /// Which one.
    pub id: ActId,
    /// Of which payment.
    pub payment: PaymentId,
    /// Whether it approves what another operator proposed.
    pub is_approval: bool,
    /// What was found.
    pub finding: Finding,
    /// Which operator says so.
    pub by: String,
    /// When.
    pub at: SystemTime,
}

/// Something that people should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What kind of thing. A payment has at most one alarm of a kind.
    pub kind: AlarmKind,
    /// About which payment.
    pub payment: PaymentId,
    /// For people.
    pub detail: String,
    /// When.
    pub at: SystemTime,
}

/// A bank's message that something follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMessage {
    /// About which payment.
    pub payment: PaymentId,
    /// Which step follows from it; none for what came when the books were closed, of which the first one is kept.
    pub sequence: Option<i32>,
    /// What it says.
    pub message: BankMessage,
}

/// What to save, all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writes {
    /// Payments that came to be.
    pub new_payments: Vec<Payment>,
    /// Payments whose state changed.
    pub changed_payments: BTreeMap<PaymentId, Change>,
    /// Deposits that were proposed.
    pub new_deposits: Vec<Deposit>,
    /// Deposits that were pending, and on which it is decided.
    pub ended_deposits: Vec<Deposit>,
    /// Transfers.
    pub transfers: Vec<Transfer>,
    /// Changes of accounts' sums.
    pub deltas: BTreeMap<AccountId, Delta>,
    /// Limits of which more or less is used, beside the version that they were loaded with.
    pub limits: BTreeMap<LimitSubject, (Limits, i64)>,
    /// Steps in payments' lives.
    pub events: Vec<Event>,
    /// By how much what is refunded of payments changes, in minor units, beside the payment's amount.
    pub refunded: BTreeMap<PaymentId, (i64, i64)>,
    /// What operators found out.
    pub proposals: BTreeMap<PaymentId, Proposal>,
    /// Who proposed and approved it.
    pub resolution_acts: Vec<ResolutionAct>,
    /// What people should look at.
    pub alarms: Vec<Alarm>,
    /// What banks said, for people.
    pub bank_messages: Vec<KeptMessage>,
    /// Changes of the queue of work, at most one a payment.
    pub queue: BTreeMap<PaymentId, QueueWrite>,
}

impl Writes {
    /// Whether there is nothing to save.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
