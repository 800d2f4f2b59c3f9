//! The store's twin in memory: loads what the store would load, and applies writes as the database would, constraints
//! included.

mod books;
mod load;
mod save;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::id::{AccountId, PaymentId, TransferId};

use crate::domain::{
    account::Account,
    alarm::AlarmKind,
    ledger::{Alarm, Command, Deposit, Event, Outcome, Proposal, RequestKey, Writes, decide},
    payment::{Attempt, Lease, Payment, Work},
    transfer::Transfer,
};

/// When everything begins.
pub const START: SystemTime = UNIX_EPOCH;

/// The tables, and the clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Twin {
    pub accounts: BTreeMap<AccountId, Account>,
    pub payments: BTreeMap<PaymentId, Payment>,
    pub queue: BTreeMap<PaymentId, Queued>,
    pub deposits: BTreeMap<RequestKey, Deposit>,
    pub transfers: BTreeMap<TransferId, Transfer>,
    pub events: BTreeMap<(PaymentId, i32), Event>,
    pub attempts: BTreeMap<(PaymentId, i32), Attempt>,
    /// Amount and how much of it is refunded.
    pub refundable: BTreeMap<PaymentId, (i64, i64)>,
    pub proposals: BTreeMap<PaymentId, Proposal>,
    pub alarms: BTreeMap<(PaymentId, AlarmKind), Alarm>,
    /// How long ago it began.
    pub now_s: u64,
}

/// A payment's place in the queue of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    pub lease: Lease,
    pub work: Work,
    pub bank_id: Option<String>,
}

impl Twin {
    /// One batch: load, decide, save, and check the books.
    pub fn commit(&mut self, commands: &[Command]) -> (Vec<Outcome>, Writes) {
        let (outcomes, writes) = decide(self.load(commands), commands, self.now());
        assert_eq!(outcomes.len(), commands.len());
        self.save(&writes);
        self.check();
        (outcomes, writes)
    }

    /// A batch of one.
    pub fn commit_one(&mut self, command: Command) -> Outcome {
        self.commit(&[command]).0.remove(0)
    }

    /// Another worker takes a payment's work over, if there is any.
    pub fn take_over(&mut self, payment: PaymentId) {
        if let Some(queued) = self.queue.get_mut(&payment) {
            queued.lease.token += 1;
            queued.lease.tries += 1;
            queued.lease.fruitless += 1;
        }
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        START + Duration::from_secs(self.now_s)
    }
}

fn request_key(payment: &Payment) -> RequestKey {
    (payment.participant.clone(), payment.request_id.clone())
}
