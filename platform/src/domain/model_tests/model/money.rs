//! Counting: what is held, captured, refunded, and what each account has.

use common::id::{AccountId, PaymentId};

use super::{Known, Model};
use crate::domain::{
    account::Balances,
    deposit::DepositState,
    payment::{Kind, State},
};

fn is_under_way(state: State) -> bool {
    matches!(state, State::Held | State::Submitted | State::Unknown | State::Investigate)
}

impl Model {
    /// Where a payment is in its life.
    pub fn state(&self, known: &Known) -> State {
        if known.kind != Kind::Authorization || known.said == State::Failed {
            return known.said;
        }
        match (self.held(known) + self.capturing(known), self.captured(known)) {
            (0, 0) => known.closing.unwrap_or(State::Cancelled),
            (0, _) => State::Succeeded,
            _ => State::Authorized,
        }
    }

    /// What of an authorization can still be captured: all that no capture has, until it is closed.
    pub(super) fn held(&self, known: &Known) -> i64 {
        match (known.closing, known.said) {
            (Some(_), _) | (_, State::Failed) => 0,
            _ => known.minor_units - self.capturing(known) - self.captured(known),
        }
    }

    pub(super) fn capturing(&self, known: &Known) -> i64 {
        self.children(known.id, Kind::Capture, is_under_way)
    }

    pub(super) fn captured(&self, known: &Known) -> i64 {
        self.children(known.id, Kind::Capture, |state| state == State::Succeeded)
    }

    /// How much of a payment was given back or is about to be.
    pub(super) fn refunded(&self, payment: PaymentId) -> i64 {
        self.children(payment, Kind::Refund, |state| is_under_way(state) || state == State::Succeeded)
    }

    fn children(&self, of: PaymentId, kind: Kind, counts: impl Fn(State) -> bool) -> i64 {
        let children =
            self.payments.values().filter(|child| child.original == Some(of) && child.kind == kind);
        children.filter(|child| counts(child.said)).map(|child| child.minor_units).sum()
    }

    /// What can be paid with.
    pub(super) fn free(&self, account: AccountId) -> i64 {
        let Balances { debits_pending, debits_posted, credits_posted, .. } = self.balances(account);
        credits_posted - debits_posted - debits_pending
    }

    /// An account's sums, counted from everything that ever happened.
    pub fn balances(&self, account: AccountId) -> Balances {
        let mut sums = Balances::default();
        let mut count = |debit: AccountId, credit: AccountId, held: i64, paid: i64| {
            if debit == account {
                sums.debits_pending += held;
                sums.debits_posted += paid;
            }
            if credit == account {
                sums.credits_pending += held;
                sums.credits_posted += paid;
            }
        };
        for known in self.payments.values() {
            let (held, paid) = match (known.kind, known.said) {
                (Kind::Authorization, _) => (self.held(known), 0),
                (_, State::Succeeded) => (0, known.minor_units),
                (_, state) if is_under_way(state) => (known.minor_units, 0),
                _ => (0, 0),
            };
            count(known.payer, known.credit, held, paid);
        }
        for booked in self.deposits.values().filter(|arrived| arrived.state == DepositState::Booked) {
            count(booked.settlement, booked.account, 0, booked.amount.minor_units());
        }
        for (debit, credit, minor_units) in &self.late {
            count(*debit, *credit, 0, *minor_units);
        }
        sums
    }
}
