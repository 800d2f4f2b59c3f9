//! The store's twin in memory: loads what the store would load, and applies writes as the database would, constraints
//! included.

mod books;
mod load;
mod save;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::{
    id::{AccountId, PaymentId},
    money::Currency,
    order::{LimitRules, LimitSubject},
};

use super::world::{ACCOUNTS, Holder, account, first_deposits};
use crate::domain::{
    account::{Account, Balances},
    alarm::AlarmKind,
    deposit::Deposit,
    ledger::{Alarm, Command, Event, Outcome, Proposal, RequestKey, Writes, decide},
    limits::Limits,
    payment::{Lease, Payment, Work},
    transfer::{Cause, Transfer},
};

/// When everything begins.
pub const START: SystemTime = UNIX_EPOCH;

/// The tables, and the clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Twin {
    pub accounts: BTreeMap<AccountId, Account>,
    pub payments: BTreeMap<PaymentId, Payment>,
    pub queue: BTreeMap<PaymentId, Queued>,
    /// Payments whose first lease has not ended, and that are submitted still.
    pub lent: BTreeSet<PaymentId>,
    pub deposits: BTreeMap<RequestKey, Deposit>,
    pub transfers: BTreeMap<Cause, Transfer>,
    pub events: BTreeMap<(PaymentId, i32), Event>,
    /// Amount and how much of it is refunded.
    pub refundable: BTreeMap<PaymentId, (i64, i64)>,
    pub limits: BTreeMap<LimitSubject, Limits>,
    pub proposals: BTreeMap<PaymentId, Proposal>,
    pub alarms: BTreeMap<(PaymentId, AlarmKind), Alarm>,
    /// How long ago it began.
    pub now_s: u64,
}

/// The accounts, without any money.
pub fn accounts() -> Twin {
    let mut twin = Twin::default();
    for Holder { number, participant, currency, iban, may_overdraw, closed } in ACCOUNTS {
        let account = Account {
            id: account(number),
            participant: participant.to_owned(),
            display_name: format!("Account {number}"),
            iban: iban.map(str::to_owned),
            currency: Currency::parse(currency).expect("a currency"),
            may_overdraw,
            closed,
            is_limited: false,
            revision: 1,
            balances: Balances::default(),
        };
        twin.accounts.insert(account.id, account);
    }
    twin
}

/// The accounts, with money on Alice's and Bob's.
pub fn accounts_with(minor_units: i64) -> Twin {
    let mut twin = accounts();
    twin.commit(&first_deposits(minor_units));
    twin
}

/// A payment's place in the queue of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    pub lease: Lease,
    pub work: Work,
    pub bank_id: Option<String>,
}

impl Twin {
    /// One batch, in as many transactions as the rules want: load, decide, save, and check the books. Returns the writes of
    /// the last transaction.
    pub fn commit(&mut self, commands: &[Command]) -> (Vec<Outcome>, Writes) {
        let (mut outcomes, mut last) = (Vec::new(), Writes::default());
        while outcomes.len() < commands.len() {
            let waiting = &commands[outcomes.len()..];
            let (decided, writes) = decide(self.load(waiting), waiting, self.now());
            assert!((1..=waiting.len()).contains(&decided.len()));
            self.save(&writes);
            self.check();
            outcomes.extend(decided);
            last = writes;
        }
        (outcomes, last)
    }

    /// A batch of one.
    pub fn commit_one(&mut self, command: Command) -> Outcome {
        self.commit(&[command]).0.remove(0)
    }

    /// Another worker takes a payment's work over, if there is any.
    pub fn take_over(&mut self, payment: PaymentId) {
        if self.lent.remove(&payment) {
            let stored = self.payments.get_mut(&payment).expect("the payment");
            stored.is_queued = true;
            let bank_id = stored.bank_id.clone();
            self.queue.insert(payment, Queued { lease: Lease::FIRST, work: Work::Enquire, bank_id });
        }
        if let Some(queued) = self.queue.get_mut(&payment) {
            queued.lease.token += 1;
            queued.lease.tries += 1;
            queued.lease.fruitless += 1;
        }
    }

    /// Sets what an account or a participant may pay.
    pub fn limit(&mut self, subject: &LimitSubject, rules: LimitRules) {
        for account in self.accounts.values_mut() {
            account.is_limited |= match subject {
                LimitSubject::Account(id) => account.id == *id,
                LimitSubject::Participant(participant, currency) => {
                    (&account.participant, &account.currency) == (participant, currency)
                }
            };
        }
        let now = self.now();
        let limits = self.limits.entry(subject.clone()).or_insert_with(|| Limits::new(rules, now));
        *limits = Limits { rules, version: limits.version + 1, ..*limits };
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        START + Duration::from_secs(self.now_s)
    }
}

fn deposit_key(deposit: &Deposit) -> RequestKey {
    (deposit.participant.clone(), deposit.order.request_id.clone())
}

fn request_key(payment: &Payment) -> RequestKey {
    (payment.participant.clone(), payment.request_id.clone())
}
