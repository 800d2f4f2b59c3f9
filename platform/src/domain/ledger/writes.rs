//! What a decision is made from, and what it wants saved.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use common::id::{AccountId, PaymentId};

use super::{Deposit, RequestKey};
use crate::domain::{
    account::Account,
    payment::{Attempt, Lease, Payment, State},
    refusal::Reason,
    transfer::Transfer,
};

/// What the store loaded, its accounts and payments under lock.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Accounts that the commands name or lead to.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Which of the payees' IBANs are on this ledger.
    pub accounts_by_iban: BTreeMap<String, AccountId>,
    /// Payments to conclude, with the lease of those under way.
    pub payments: BTreeMap<PaymentId, (Payment, Option<Lease>)>,
    /// Payments that have the request ids of [`Pay`] commands.
    pub payment_requests: BTreeMap<RequestKey, Payment>,
    /// Deposits that have the request ids of [`Arrival`] commands.
    pub deposit_requests: BTreeMap<RequestKey, Deposit>,
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
    /// The bank's message that it follows from; empty if there is none.
    pub bank_message_id: String,
    /// When.
    pub at: SystemTime,
}

/// What to do about a payment's place in the queue of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueWrite {
    /// Put it in, with a lease of this length that is the writer's own.
    Enter(String, Duration),
    /// The holder of the lease with this token goes on after this time.
    Postpone(i64, Duration),
    /// The holder of the lease with this token takes it out.
    Leave(i64),
}

/// What to save, all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writes {
    /// Payments that came to be.
    pub new_payments: Vec<Payment>,
    /// Payments whose state changed, as they now stand.
    pub changed_payments: BTreeMap<PaymentId, Payment>,
    /// Deposits that came to be.
    pub deposits: Vec<Deposit>,
    /// Transfers.
    pub transfers: Vec<Transfer>,
    /// Changes of accounts' sums.
    pub deltas: BTreeMap<AccountId, Delta>,
    /// Steps in payments' lives.
    pub events: Vec<Event>,
    /// Instructions to banks.
    pub attempts: Vec<(PaymentId, Attempt)>,
    /// Changes of the queue of work, at most one a payment.
    pub queue: BTreeMap<PaymentId, QueueWrite>,
}

impl Writes {
    /// Whether there is nothing to save.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
