//! What arrives: proposed by one operator, decided on by another.

use super::{Arrived, Model, Told, holder, reply::Reply};
use crate::domain::{
    deposit::DepositState,
    ledger::{Arrival, DecideDeposit, Declined, Ruling},
    refusal::Refusal,
};

use DepositState::{Booked, Lapsed, PendingApproval, Rejected};

impl Model {
    pub(super) fn deposit(&mut self, arrival: &Arrival) -> Told {
        let (order, caller) = (&arrival.order, &arrival.participant);
        let (key, minor_units) = ((caller.clone(), order.request_id.clone()), order.amount.minor_units());
        if let Some(arrived) = self.deposits.get(&key) {
            return match arrived.fingerprint == arrival.fingerprint {
                true => Ok(arrived.told(arrived.id != arrival.id)),
                false => Err(Declined::RequestIdReused),
            };
        }
        let to = holder(order.account).filter(|to| to.participant == caller);
        if to.ok_or(Declined::AccountNotFound)?.currency != order.amount.currency().code() {
            return Err(Declined::CurrencyMismatch("account"));
        }
        if self.closed.contains(&order.account) {
            return Err(Declined::DepositRefused(Refusal::PayeeAccountClosed));
        }
        let pending = self.deposits.values().filter(|one| one.is_pending() && one.participant == *caller);
        if pending.count() >= arrival.max_pending {
            return Err(Declined::TooManyPendingDeposits(arrival.max_pending));
        }
        let arrived = Arrived {
            id: arrival.id,
            participant: caller.clone(),
            account: order.account,
            amount: order.amount,
            fingerprint: arrival.fingerprint,
            settlement: arrival.settlement_account,
            by: arrival.actor.clone(),
            until: self.now() + arrival.lapses_after,
            state: PendingApproval,
            ended: None,
        };
        self.deposits.insert(key, arrived);
        Ok(Reply::Deposit(minor_units, PendingApproval, false))
    }

    pub(super) fn decide_deposit(&mut self, decide: &DecideDeposit) -> Told {
        let (now, closed) = (self.now(), &self.closed);
        let is_meant = |one: &&mut Arrived| one.id == decide.deposit && one.participant == decide.participant;
        let arrived = self.deposits.values_mut().find(is_meant).ok_or(Declined::DepositNotFound)?;
        if let Some((id, ruling)) = &arrived.ended {
            let is_same = match (ruling, &decide.ruling) {
                // Only a matching amount was ever approved.
                (Ruling::Approve { by, .. }, Ruling::Approve { by: other, .. }) => by == other,
                (ruling, other) => ruling == other,
            };
            return match is_same {
                true => Ok(arrived.told(*id != decide.id)),
                false => Err(Declined::DepositNotPending(arrived.state)),
            };
        }
        let is_late = arrived.until <= now;
        let state = match &decide.ruling {
            _ if is_late => Lapsed,
            Ruling::Lapse => return Ok(arrived.told(false)),
            Ruling::Reject { .. } => Rejected,
            Ruling::Approve { by, .. } if *by == arrived.by => return Err(Declined::SecondOperatorRequired),
            Ruling::Approve { amount, .. } if *amount != arrived.amount => {
                return Err(Declined::AmountDiffers);
            }
            Ruling::Approve { .. } if closed.contains(&arrived.account) => {
                return Err(Declined::DepositRefused(Refusal::PayeeAccountClosed));
            }
            Ruling::Approve { .. } => Booked,
        };
        let ruling = if is_late { Ruling::Lapse } else { decide.ruling.clone() };
        (arrived.state, arrived.ended) = (state, Some((decide.id, ruling)));
        match is_late && decide.ruling != Ruling::Lapse {
            true => Err(Declined::DepositNotPending(Lapsed)),
            false => Ok(arrived.told(false)),
        }
    }
}

impl Arrived {
    pub fn is_pending(&self) -> bool {
        self.state == PendingApproval
    }

    fn told(&self, before: bool) -> Reply {
        Reply::Deposit(self.amount.minor_units(), self.state, before)
    }
}
