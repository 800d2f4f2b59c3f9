//! Giving back what was paid: at once on this ledger, by the bank's return otherwise.

use super::{Child, Declined, Ledger, Outcome, Refund, first_state, permitted};
use crate::domain::{
    account::Side,
    payment::{Kind, Operation, Payment, State, Terms},
};
use common::{
    id::PaymentId,
    money::Money,
    order::{Payee, PayeeAccount},
};

impl Ledger {
    pub(super) fn refund(&mut self, refund: &Refund) -> Result<Outcome, Declined> {
        if let Some(replayed) = self.replay(refund.id, &refund.request) {
            return replayed;
        }
        let paid = self.refundable(refund)?;
        let refunded = self.snapshot.refunded.get(&paid.id).copied().unwrap_or_default();
        let left = paid.amount.minor_units() - refunded;
        let amount = match refund.amount {
            Some(amount) if amount.currency() != paid.amount.currency() => {
                return Err(Declined::CurrencyMismatch("amount"));
            }
            Some(amount) => amount,
            None => Money::new(left, paid.amount.currency()),
        };
        if amount.minor_units() > left || left == 0 {
            return Err(Declined::RefundExceedsCaptured(left));
        }
        let bank = match &paid.bank_id {
            Some(_) => Some(refund.bank.as_ref().map_err(|none| Declined::NoRoute(none.clone()))?),
            None => None,
        };
        let account = |id| self.snapshot.accounts.get(id).ok_or(Declined::AccountNotFound);
        let (giver, taker) = (account(&paid.credit_account)?, account(&paid.payer_account)?);
        let checked = giver.check(Side::Debit, amount).and_then(|()| taker.check(Side::Credit, amount));
        let payee = Payee { name: taker.display_name.clone(), account: PayeeAccount::Ledger(taker.id) };
        let (state, reason) = first_state(checked, bank);
        let child = Child {
            id: refund.id,
            uetr: refund.uetr,
            request: &refund.request,
            kind: Kind::Refund,
            minor_units: amount.minor_units(),
        };
        let terms = Terms {
            payer_account: paid.credit_account,
            credit_account: paid.payer_account,
            payee,
            remittance_information: refund.remittance_information.clone(),
            ..child.of(&paid, self.now)
        };
        if state != State::Failed {
            self.add_refunded(paid.id, amount.minor_units());
        }
        Ok(self.begin(Payment::new(terms, state, reason), bank))
    }

    /// The payment to give back, if the caller may: on this ledger who received it, otherwise who paid it.
    fn refundable(&self, refund: &Refund) -> Result<Payment, Declined> {
        let (paid, _) = self.payment(refund.payment)?;
        let caller = &refund.request.participant;
        let received = self
            .snapshot
            .accounts
            .get(&paid.credit_account)
            .is_some_and(|account| account.participant == *caller);
        if paid.participant != *caller && !received {
            return Err(Declined::PaymentNotFound);
        }
        permitted(&paid, Operation::Refund)?;
        if !matches!(paid.kind, Kind::Payment | Kind::Capture) {
            return Err(Declined::NotPermitted(Operation::Refund, paid.state));
        }
        match paid.bank_id {
            None if !received => Err(Declined::RefundByPayeeOnly),
            None if self.is_houses(paid.payer_account) => Err(Declined::RefundOfIncoming),
            // Operators found it paid, and no bank was ever told of it: there is nothing to name to the bank.
            Some(_) if !self.snapshot.attempts.contains_key(&paid.id) => {
                Err(Declined::NotPermitted(Operation::Refund, paid.state))
            }
            _ => Ok(paid),
        }
    }

    /// Changes how much of a payment is refunded, refunds under way included.
    pub(super) fn add_refunded(&mut self, payment: PaymentId, minor_units: i64) {
        let Some((paid, _)) = self.snapshot.payments.get(&payment) else { return };
        let write = self.writes.refunded.entry(payment).or_insert((paid.amount.minor_units(), 0));
        write.1 += minor_units;
        *self.snapshot.refunded.entry(payment).or_default() += minor_units;
    }
}
