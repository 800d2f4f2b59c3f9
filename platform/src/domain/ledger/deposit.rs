//! Booking money that arrived.

use super::{Arrival, Declined, Deposit, Ledger, Outcome};
use crate::domain::{
    account::Side,
    transfer::{Cause, Transfer},
};

impl Ledger {
    pub(super) fn deposit(&mut self, arrival: &Arrival) -> Result<Outcome, Declined> {
        let order = &arrival.order;
        let key = (arrival.participant.clone(), order.request_id.clone());
        if let Some(earlier) = self.snapshot.deposit_requests.get(&key) {
            return match earlier.fingerprint == arrival.fingerprint {
                true => Ok(Outcome::Deposit(Box::new(earlier.clone()), earlier.id != arrival.id)),
                false => Err(Declined::RequestIdReused),
            };
        }
        let account = self.own_account(order.account, &arrival.participant)?;
        if account.currency != order.amount.currency() {
            return Err(Declined::CurrencyMismatch("account"));
        }
        let settlement =
            self.snapshot.accounts.get(&arrival.settlement_account).ok_or(Declined::AccountNotFound)?;
        settlement
            .check(Side::Debit, order.amount)
            .and_then(|()| account.check(Side::Credit, order.amount))
            .map_err(Declined::DepositRefused)?;
        let deposit = Deposit {
            id: arrival.id,
            participant: arrival.participant.clone(),
            order: order.clone(),
            fingerprint: arrival.fingerprint,
            created_at: self.now,
        };
        self.book(Transfer {
            cause: Cause::Deposit(deposit.id),
            debit: arrival.settlement_account,
            credit: order.account,
            credit_is_house: false,
            amount: order.amount,
            at: self.now,
        });
        self.writes.deposits.push(deposit.clone());
        self.snapshot.deposit_requests.insert(key, deposit.clone());
        Ok(Outcome::Deposit(Box::new(deposit), false))
    }
}
