//! Money as a child would count it, written from what the documents promise: nothing is summed up as it goes, everything is
//! counted anew from the list of payments.

// The ledger's cases include this file from elsewhere; so the paths are said.
#[path = "model/bank.rs"]
mod bank;
#[path = "model/deposits.rs"]
mod deposits;
#[path = "model/limits.rs"]
mod limits;
#[path = "model/money.rs"]
mod money;
#[path = "model/orders.rs"]
mod orders;
#[path = "model/people.rs"]
mod people;
#[path = "model/reply.rs"]
pub mod reply;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::{
    id::{AccountId, DecisionId, DepositId, PaymentId},
    money::Money,
    order::{LimitRules, LimitSubject},
};

use super::world::{ACCOUNTS, Holder, account};
use crate::domain::{
    alarm::AlarmKind,
    deposit::DepositState,
    ledger::{Command, Declined, Finding, RequestKey, Ruling},
    payment::{Fingerprint, Kind, State},
};
use reply::{Reply, View};

/// All that there is.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub payments: BTreeMap<PaymentId, Known>,
    pub alarms: BTreeSet<(PaymentId, AlarmKind)>,
    pub closed: BTreeSet<AccountId>,
    pub now_s: u64,
    pub limits: BTreeMap<LimitSubject, LimitRules>,
    requests: BTreeMap<RequestKey, PaymentId>,
    pub deposits: BTreeMap<RequestKey, Arrived>,
    proposals: BTreeMap<PaymentId, Proposed>,
    /// What was posted from one account to another to put late successes right.
    late: Vec<(AccountId, AccountId, i64)>,
}

/// What is known of a payment.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: PaymentId,
    pub participant: String,
    pub fingerprint: Fingerprint,
    pub kind: Kind,
    pub original: Option<PaymentId>,
    pub payer: AccountId,
    pub credit: AccountId,
    pub minor_units: i64,
    pub is_at_bank: bool,
    pub reason: String,
    /// The token of the newest lease of its work.
    pub token: i64,
    /// Instructions to its bank that were put on record.
    pub attempts: i32,
    /// What was last said of it; an authorization's state follows from its captures, unless it was refused.
    said: State,
    /// Set once nothing more may be captured of it: why.
    closing: Option<State>,
    expires_at: Option<SystemTime>,
    made_at_s: u64,
    /// Whose limits it is counted in.
    counted: Vec<LimitSubject>,
}

/// A deposit.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub id: DepositId,
    pub participant: String,
    pub account: AccountId,
    pub amount: Money,
    fingerprint: Fingerprint,
    settlement: AccountId,
    by: String,
    until: SystemTime,
    state: DepositState,
    /// What was decided, once it was.
    ended: Option<(DecisionId, Ruling)>,
}

#[derive(Clone, Debug)]
struct Proposed {
    finding: Finding,
    by: String,
    is_approved: bool,
}

type Told = Result<Reply, Declined>;

impl Model {
    pub fn new() -> Self {
        let closed = ACCOUNTS.iter().filter(|holder| holder.closed).map(|holder| account(holder.number));
        Self { closed: closed.collect(), ..Self::default() }
    }

    /// What the ledger must say to a command, which is done with this.
    pub fn tell(&mut self, command: &Command) -> Reply {
        let told = match command {
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
        };
        told.unwrap_or_else(Reply::Declined)
    }

    /// Another worker takes a payment's work over, if there is any.
    pub fn take_over(&mut self, payment: PaymentId) {
        if self.has_work(payment)
            && let Some(known) = self.payments.get_mut(&payment)
        {
            known.token += 1;
        }
    }

    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.now_s)
    }

    fn has_work(&self, payment: PaymentId) -> bool {
        let Some(known) = self.payments.get(&payment) else { return false };
        match self.state(known) {
            State::Held | State::Submitted | State::Unknown => true,
            State::Authorized => known.closing.is_none(),
            _ => false,
        }
    }

    fn known(&self, payment: PaymentId) -> Result<&Known, Declined> {
        self.payments.get(&payment).ok_or(Declined::PaymentNotFound)
    }

    /// A payment that is the participant's.
    fn own(&self, payment: PaymentId, participant: &str) -> Result<&Known, Declined> {
        self.known(payment).and_then(|known| match known.participant == participant {
            true => Ok(known),
            false => Err(Declined::PaymentNotFound),
        })
    }

    fn set(&mut self, payment: PaymentId, state: State, reason: &str) {
        let known = self.payments.get_mut(&payment).expect("a known payment");
        (known.said, known.reason) = (state, reason.to_owned());
        let refused_return = (known.kind, state) == (Kind::Return, State::Failed);
        if let Some(original) = known.original.filter(|_| refused_return) {
            self.alarms.insert((original, AlarmKind::ReturnRefused));
        }
    }

    fn view(&self, payment: PaymentId) -> View {
        let known = &self.payments[&payment];
        let is_held = known.kind == Kind::Authorization;
        View {
            id: known.id,
            kind: known.kind,
            original: known.original,
            payer: known.payer,
            credit: known.credit,
            minor_units: known.minor_units,
            state: self.state(known),
            reason: known.reason.clone(),
            parts: is_held.then(|| (self.held(known), self.capturing(known), self.captured(known))),
        }
    }
}

fn holder(id: AccountId) -> Option<&'static Holder> {
    ACCOUNTS.iter().find(|holder| account(holder.number) == id)
}
