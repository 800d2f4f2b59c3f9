//! The life of an authorization: captured, cancelled, expired; and what a capture that ends does to it.
//!
//! What a capture takes, the authorization holds no more, by the same commit; a capture that fails gives its part back the
//! same way.

use super::{Cancel, Capture, Child, Declined, Expire, Ledger, Outcome, first_state, permitted};
use crate::domain::{
    account::Side,
    payment::{Authorization, Kind, Lease, Operation, Payment, Permit, State, Work},
};
use common::planted;

impl Ledger {
    pub(super) fn capture(&mut self, capture: &Capture) -> Result<Outcome, Declined> {
        if let Some(replayed) = self.replay(capture.id, &capture.request) {
            return replayed;
        }
        let (payment, lease) = self.own_payment(capture.payment, &capture.request.participant)?;
        let refused = || Declined::NotPermitted(Operation::Capture, payment.state);
        permitted(&payment, Operation::Capture)?;
        let mut sums = payment.authorization.ok_or_else(refused)?;
        if sums.closing.is_some() || self.now >= sums.expires_at {
            return Err(refused());
        }
        let amount = match capture.amount {
            Some(amount) if amount.currency() != payment.amount.currency() => {
                return Err(Declined::CurrencyMismatch("amount"));
            }
            Some(amount) => amount.minor_units(),
            None => sums.held,
        };
        if (amount > sums.held || amount == 0) && !planted::is("X9") {
            return Err(Declined::CaptureExceedsAuthorized(sums.held));
        }
        let bank = match &payment.bank_id {
            Some(_) => Some(capture.bank.as_ref().map_err(|none| Declined::NoRoute(none.clone()))?),
            None => None,
        };
        let creditor =
            self.snapshot.accounts.get(&payment.credit_account).ok_or(Declined::PayeeAccountNotFound)?;
        // What the authorization holds is on both accounts already, so that only a closed account can refuse.
        let checked = if creditor.closed { creditor.check(Side::Credit, payment.amount) } else { Ok(()) };
        let (state, reason) = first_state(checked, bank);
        let child = Child {
            id: capture.id,
            uetr: capture.uetr,
            request: &capture.request,
            kind: Kind::Capture,
            minor_units: amount,
        };
        let child = Payment::new(child.of(&payment, self.now), state, reason);
        if state != State::Failed {
            sums.held -= amount;
            match state {
                State::Succeeded => sums.captured += amount,
                _ => sums.capturing += amount,
            }
            self.settle_authorization(&payment, lease, sums);
        }
        Ok(self.begin(child, bank))
    }

    pub(super) fn cancel(&mut self, cancel: &Cancel) -> Result<Outcome, Declined> {
        let (payment, lease) = self.own_payment(cancel.payment, &cancel.participant)?;
        // One of which something was captured has ended as SUCCEEDED, and a repeat must not be refused for that.
        let was_cancelled = payment.authorization.is_some_and(|sums| sums.closing == Some(State::Cancelled));
        if was_cancelled || permitted(&payment, Operation::Cancel)? == Permit::Done {
            return Ok(Outcome::Payment(Box::new(payment)));
        }
        if let Some(sums) = payment.authorization {
            let closed = self.close(&payment, lease, sums, State::Cancelled);
            return Ok(Outcome::Payment(Box::new(closed)));
        }
        self.leave_queue(payment.id, lease);
        let cancelled = self.step(&payment, State::Cancelled, None, "");
        self.end_of_child(&cancelled);
        Ok(Outcome::Payment(Box::new(cancelled)))
    }

    pub(super) fn expire(&mut self, expire: &Expire) -> Result<Outcome, Declined> {
        let (payment, lease) = self.payment(expire.payment)?;
        if permitted(&payment, Operation::Expire)? == Permit::Done {
            return Ok(Outcome::Payment(Box::new(payment)));
        }
        let sums = payment.authorization.ok_or(Declined::NotPermitted(Operation::Expire, payment.state))?;
        if lease.is_none_or(|lease| lease.token != expire.token) {
            return Err(Declined::LeaseLost);
        }
        if let Ok(early) = sums.expires_at.duration_since(self.now)
            && !early.is_zero()
        {
            self.postpone(&payment, expire.token, Work::Expire, early);
            return Ok(Outcome::Payment(Box::new(payment)));
        }
        let closed = self.close(&payment, lease, sums, State::Expired);
        Ok(Outcome::Payment(Box::new(closed)))
    }

    /// Releases what no capture has, for good.
    fn close(
        &mut self,
        payment: &Payment,
        lease: Option<Lease>,
        mut sums: Authorization,
        closing: State,
    ) -> Payment {
        if sums.closing.is_some() {
            return payment.clone();
        }
        sums.held = 0;
        sums.closing = Some(closing);
        self.settle_authorization(payment, lease, sums)
    }

    /// Takes note of a capture or refund that has ended, where it belongs.
    pub(super) fn end_of_child(&mut self, child: &Payment) {
        let Some(original) = child.original else { return };
        let amount = child.amount.minor_units();
        let succeeded = child.state == State::Succeeded;
        match child.kind {
            Kind::Refund if !succeeded => self.add_refunded(original, -amount),
            Kind::Capture => {
                let Ok((payment, lease)) = self.payment(original) else { return };
                let Some(mut sums) = payment.authorization else { return };
                sums.capturing -= amount;
                if succeeded {
                    sums.captured += amount;
                } else if sums.closing.is_none() {
                    sums.held += amount;
                }
                self.settle_authorization(&payment, lease, sums);
            }
            Kind::Payment | Kind::Authorization | Kind::Refund | Kind::Return => {}
        }
    }

    /// Writes an authorization's sums, and the state that follows from them.
    fn settle_authorization(
        &mut self,
        payment: &Payment,
        lease: Option<Lease>,
        sums: Authorization,
    ) -> Payment {
        let state = sums.state();
        if state.is_final() || sums.closing.is_some() {
            self.leave_queue(payment.id, lease);
        }
        let next = Payment { authorization: Some(sums), state, reason: None, ..payment.clone() };
        self.step_to(payment, next, None, "")
    }
}
