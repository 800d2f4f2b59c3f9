//! Booking money that arrived, by the four-eyes rule: one operator proposes it, another one approves it.

use std::time::Duration;

use common::{
    id::{AccountId, DecisionId, DepositId},
    money::Money,
    order::DepositOrder,
};

use super::{Declined, Ledger, Outcome};
use crate::domain::{
    account::Side,
    deposit::{Decision, Deposit, DepositState, Verdict},
    payment::Fingerprint,
    transfer::{Cause, Transfer},
};

/// Propose to book money that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its number, should it come to be.
    pub id: DepositId,
    /// Whose it is.
    pub participant: String,
    /// Which operator proposes it.
    pub actor: String,
    /// What arrived.
    pub order: DepositOrder,
    /// A hash of the order's normal form.
    pub fingerprint: Fingerprint,
    /// The bank's settlement account in the deposit's currency.
    pub settlement_account: AccountId,
    /// How long others have to approve it.
    pub lapses_after: Duration,
    /// How many of the participant's deposits may be pending.
    pub max_pending: usize,
}

/// Decide on a deposit that was proposed.
#[derive(Clone, Debug)]
pub struct DecideDeposit {
    /// The decision's number, should it come to be.
    pub id: DecisionId,
    /// Whose the deposit is.
    pub participant: String,
    /// Which deposit.
    pub deposit: DepositId,
    /// The accounts that it is booked on, which never change.
    pub accounts: [AccountId; 2],
    /// What is to come of it.
    pub ruling: Ruling,
}

/// What is to come of a deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is booked.
    Approve {
        /// Which operator says so.
        by: String,
        /// At which amount, as that operator knows it.
        amount: Money,
    },
    /// It is not booked.
    Reject {
        /// Which operator says so.
        by: String,
        /// Why, for people.
        reason: String,
    },
    /// It is over if its time is.
    Lapse,
}

impl Ledger {
    pub(super) fn deposit(&mut self, arrival: &Arrival) -> Result<Outcome, Declined> {
        let order = &arrival.order;
        let key = (arrival.participant.clone(), order.request_id.clone());
        let earlier = self.snapshot.deposit_requests.get(&key).and_then(|id| self.snapshot.deposits.get(id));
        if let Some(earlier) = earlier {
            return match earlier.fingerprint == arrival.fingerprint {
                true => Ok(Outcome::Deposit(Box::new(earlier.clone()), earlier.id != arrival.id)),
                false => Err(Declined::RequestIdReused),
            };
        }
        let deposit = Deposit {
            id: arrival.id,
            participant: arrival.participant.clone(),
            order: order.clone(),
            fingerprint: arrival.fingerprint,
            settlement_account: arrival.settlement_account,
            proposed_by: arrival.actor.clone(),
            created_at: self.now,
            expires_at: self.now.checked_add(arrival.lapses_after).unwrap_or(self.now),
            decision: None,
        };
        self.check_deposit(&deposit)?;
        let pending = self.snapshot.pending_deposits.entry(deposit.participant.clone()).or_default();
        if *pending >= arrival.max_pending {
            return Err(Declined::TooManyPendingDeposits(arrival.max_pending));
        }
        *pending += 1;
        self.writes.new_deposits.push(deposit.clone());
        self.snapshot.deposit_requests.insert(key, deposit.id);
        self.snapshot.deposits.insert(deposit.id, deposit.clone());
        Ok(Outcome::Deposit(Box::new(deposit), false))
    }

    pub(super) fn decide_deposit(&mut self, decide: &DecideDeposit) -> Result<Outcome, Declined> {
        let deposit =
            self.snapshot.deposits.get(&decide.deposit).filter(|own| own.participant == decide.participant);
        let deposit = deposit.cloned().ok_or(Declined::DepositNotFound)?;
        if let Some(made) = &deposit.decision {
            // Whoever repeats what was decided, or lost the answer to it, hears it again; others hear that they come too late.
            return match decide.ruling.asks_for(&made.verdict) {
                true => Ok(Outcome::Deposit(Box::new(deposit.clone()), made.id != decide.id)),
                false => Err(Declined::DepositNotPending(deposit.state())),
            };
        }
        if self.now >= deposit.expires_at {
            let lapsed = self.end_deposit(deposit, decide, Verdict::Lapsed);
            return match decide.ruling {
                Ruling::Lapse => Ok(lapsed),
                _ => Err(Declined::DepositNotPending(DepositState::Lapsed)),
            };
        }
        let verdict = match &decide.ruling {
            Ruling::Lapse => return Ok(Outcome::Deposit(Box::new(deposit), false)),
            Ruling::Reject { by, reason } => Verdict::Rejected { by: by.clone(), reason: reason.clone() },
            Ruling::Approve { by, amount } => {
                if *by == deposit.proposed_by {
                    return Err(Declined::SecondOperatorRequired);
                }
                if *amount != deposit.order.amount {
                    return Err(Declined::AmountDiffers);
                }
                // What was so when it was proposed may be otherwise now.
                self.check_deposit(&deposit)?;
                self.book(Transfer {
                    cause: Cause::Deposit(deposit.id),
                    debit: deposit.settlement_account,
                    credit: deposit.order.account,
                    credit_is_house: false,
                    amount: deposit.order.amount,
                    at: self.now,
                });
                Verdict::Booked { by: by.clone() }
            }
        };
        Ok(self.end_deposit(deposit, decide, verdict))
    }

    /// Whether a deposit can be booked as things are.
    fn check_deposit(&self, deposit: &Deposit) -> Result<(), Declined> {
        let (order, amount) = (&deposit.order, deposit.order.amount);
        let account = self.own_account(order.account, &deposit.participant)?;
        if account.currency != amount.currency() {
            return Err(Declined::CurrencyMismatch("account"));
        }
        let settlement = self.snapshot.accounts.get(&deposit.settlement_account);
        settlement
            .ok_or(Declined::AccountNotFound)?
            .check(Side::Debit, amount)
            .and_then(|()| account.check(Side::Credit, amount))
            .map_err(Declined::DepositRefused)
    }

    fn end_deposit(&mut self, deposit: Deposit, decide: &DecideDeposit, verdict: Verdict) -> Outcome {
        let decision = Some(Decision { id: decide.id, verdict, at: self.now });
        let ended = Deposit { decision, ..deposit };
        if let Some(pending) = self.snapshot.pending_deposits.get_mut(&ended.participant) {
            *pending = pending.saturating_sub(1);
        }
        self.writes.ended_deposits.push(ended.clone());
        self.snapshot.deposits.insert(ended.id, ended.clone());
        Outcome::Deposit(Box::new(ended), false)
    }
}

impl Ruling {
    /// Whether this is what was decided, by whom.
    fn asks_for(&self, made: &Verdict) -> bool {
        match (self, made) {
            (Self::Approve { by, .. }, Verdict::Booked { by: approver }) => by == approver,
            (Self::Reject { by, reason }, Verdict::Rejected { by: whose, reason: why }) => {
                (by, reason) == (whose, why)
            }
            (Self::Lapse, Verdict::Lapsed) => true,
            _ => false,
        }
    }
}
