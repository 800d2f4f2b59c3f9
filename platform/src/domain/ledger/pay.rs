//! Making a payment: pay at once, or hold for captures.

use std::time::Duration;

use common::{
    id::AccountId,
    order::{self, LimitSubject},
};

use super::{BankRoute, Declined, Incoming, Ledger, Outcome, Pay, first_state};
use crate::domain::{
    account::{Account, Side},
    limits::{Counted, Limits, payer_limits},
    payment::{Authorization, Kind, Payment, State, Terms, own_end_to_end_id},
    refusal::{Reason, Refusal},
};

/// How long an authorization stays when its request does not say.
const DEFAULT_AUTHORIZATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long an authorization may stay.
const AUTHORIZATIONS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 60 * 60);

/// Where a payment's money goes.
enum Route<'a> {
    OnUs(AccountId),
    Bank(&'a BankRoute),
}

impl Ledger {
    pub(super) fn pay(&mut self, pay: &Pay) -> Result<Outcome, Declined> {
        if let Some(replayed) = self.replay(pay.id, &pay.request) {
            return replayed;
        }
        let payer = self.own_account(pay.order.payer_account, &pay.request.participant)?;
        let amount = pay.order.amount;
        if let order::Capture::Manual(Some(expires_at)) = pay.order.capture
            && !expires_at.duration_since(self.now).is_ok_and(|left| AUTHORIZATIONS.contains(&left))
        {
            return Err(Declined::ExpireTimeOutOfRange);
        }
        if payer.currency != amount.currency() {
            return Err(Declined::CurrencyMismatch("payer_account"));
        }
        let (creditor, bank, may_be_credited) = match (self.creditor(pay), &pay.incoming) {
            (Ok((creditor, bank)), None) => (creditor, bank, Ok(())),
            (Err(declined), None) => return Err(declined),
            (found, Some(incoming)) => {
                let (creditor, checked) =
                    self.credited_by_bank(found.map(|(creditor, _)| creditor), incoming)?;
                (creditor, None, checked)
            }
        };
        // Nothing is made, so that the same request can be signed.
        if !pay.is_signed && self.limits(pay).any(|(_, limits)| limits.needs_signature(amount)) {
            return Err(Declined::SignatureRequired);
        }
        let checked = may_be_credited
            .and_then(|()| payer.check(Side::Debit, amount))
            .and_then(|()| creditor.check(Side::Credit, amount))
            .and_then(|()| self.check_limits(pay));
        if pay.validate_only {
            return Ok(Outcome::Validated(checked));
        }
        let (state, reason) = match (checked, pay.order.capture) {
            (Ok(()), order::Capture::Manual(_)) => (State::Authorized, None),
            _ => first_state(checked, bank),
        };
        let payment = self.new_payment(pay, creditor.id, bank, state, reason);
        Ok(self.begin(payment, bank))
    }

    /// The account that is credited, and the bank whose settlement account it is, if it is one.
    fn creditor<'a>(&self, pay: &'a Pay) -> Result<(&Account, Option<&'a BankRoute>), Declined> {
        let (account, bank) = match self.route(pay)? {
            Route::OnUs(account) => (account, None),
            Route::Bank(bank) => (bank.settlement_account, Some(bank)),
        };
        let creditor = self.snapshot.accounts.get(&account).ok_or(Declined::PayeeAccountNotFound)?;
        match creditor.currency == pay.order.amount.currency() {
            true => Ok((creditor, bank)),
            false => Err(Declined::CurrencyMismatch("payee")),
        }
    }

    /// The account that a bank's credit transfer credits, or stands for the one that it would, and whether it may. The bank is told of
    /// each refusal, so that each is on record.
    fn credited_by_bank<'a>(
        &'a self,
        found: Result<&'a Account, Declined>,
        incoming: &Incoming,
    ) -> Result<(&'a Account, Result<(), Refusal>), Declined> {
        let stand_in = self.snapshot.accounts.get(&incoming.suspense_account);
        let stand_in = stand_in.ok_or(Declined::AccountNotFound)?;
        Ok(match found {
            _ if incoming.is_too_late => (stand_in, Err(Refusal::TooLate)),
            Ok(creditor) => (creditor, Ok(())),
            Err(Declined::CurrencyMismatch(_)) => (stand_in, Err(Refusal::PayeeCurrencyDiffers)),
            Err(_) => (stand_in, Err(Refusal::NoSuchPayee)),
        })
    }

    /// Whether an account is the house's own.
    pub(super) fn is_houses(&self, account: AccountId) -> bool {
        self.snapshot.accounts.get(&account).is_some_and(|found| found.may_overdraw)
    }

    /// Whose limits a payment is counted in, if they have any.
    fn limited(pay: &Pay) -> [LimitSubject; 2] {
        payer_limits(&pay.request.participant, pay.order.payer_account, pay.order.amount.currency())
    }

    /// The limits that hold for a payment.
    fn limits(&self, pay: &Pay) -> impl Iterator<Item = (LimitSubject, &Limits)> {
        let subjects = (!self.snapshot.limits.is_empty()).then(|| Self::limited(pay));
        let all = subjects.into_iter().flatten();
        all.filter_map(|subject| self.snapshot.limits.get(&subject).map(|limits| (subject, limits)))
    }

    fn check_limits(&self, pay: &Pay) -> Result<(), Refusal> {
        for (subject, limits) in self.limits(pay) {
            let checked = limits.check(pay.order.amount, self.now);
            checked.map_err(|exceeded| Refusal::limit(&subject, exceeded))?;
        }
        Ok(())
    }

    fn route<'a>(&self, pay: &'a Pay) -> Result<Route<'a>, Declined> {
        use order::PayeeAccount;
        let on_us = match &pay.order.payee.account {
            PayeeAccount::Ledger(account) => Some(*account),
            PayeeAccount::Iban(iban, _) => self.snapshot.accounts_by_iban.get(iban.as_str()).copied(),
            PayeeAccount::Number(..) => None,
        };
        match on_us {
            Some(account) if account == pay.order.payer_account => Err(Declined::PaysItself),
            // A settlement account is nobody's payee.
            Some(account) if self.is_houses(account) => Err(Declined::PayeeAccountNotFound),
            Some(account) => Ok(Route::OnUs(account)),
            None => pay.bank.as_ref().map(Route::Bank).map_err(|none| Declined::NoRoute(none.clone())),
        }
    }

    fn counted(&self, pay: &Pay) -> Counted {
        if self.snapshot.limits.is_empty() {
            return Counted::default();
        }
        let [account, participant] =
            Self::limited(pay).map(|subject| self.snapshot.limits.contains_key(&subject));
        Counted { account, participant }
    }

    fn new_payment(
        &self,
        pay: &Pay,
        credit_account: AccountId,
        bank: Option<&BankRoute>,
        state: State,
        reason: Option<Reason>,
    ) -> Payment {
        let order = &pay.order;
        let (kind, authorization) = match order.capture {
            order::Capture::Automatic => (Kind::Payment, None),
            order::Capture::Manual(expires_at) => {
                let held = if state == State::Authorized { order.amount.minor_units() } else { 0 };
                let expires_at = expires_at.unwrap_or(self.now + DEFAULT_AUTHORIZATION);
                let sums = Authorization { held, capturing: 0, captured: 0, closing: None, expires_at };
                (Kind::Authorization, Some(sums))
            }
        };
        let terms = Terms {
            id: pay.id,
            participant: pay.request.participant.clone(),
            request_id: order.request_id.clone(),
            fingerprint: pay.request.fingerprint,
            payer_account: order.payer_account,
            credit_account,
            kind,
            original: None,
            payee: order.payee.clone(),
            amount: order.amount,
            remittance_information: order.remittance_information.clone(),
            end_to_end_id: order.end_to_end_id.clone().unwrap_or_else(|| own_end_to_end_id(pay.id)),
            metadata: order.metadata.clone(),
            bank_id: bank.map(|bank| bank.bank_id.clone()),
            uetr: pay.uetr,
            created_at: self.now,
            counted: self.counted(pay),
        };
        Payment { authorization, ..Payment::new(terms, state, reason) }
    }
}
