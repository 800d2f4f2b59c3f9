//! What callers ask for.

use std::time::Duration;

use common::{
    id::{AccountId, PaymentId},
    money::Money,
    order::{Capture as Mode, PayeeAccount},
    text::HOUSE,
};

use super::{Known, Model, Told, holder, reply::Reply};
use crate::domain::{
    ledger::{BankRoute, Cancel, Capture, Declined, Expire, NoRoute, Pay, Refund, Request},
    payment::{Kind, Operation, State},
    refusal::Refusal,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Route<'a> = Option<&'a BankRoute>;

impl Model {
    pub(super) fn pay(&mut self, pay: &Pay) -> Told {
        if let Some(told) = self.asked_before(pay.id, &pay.request) {
            return told;
        }
        let (order, caller) = (&pay.order, &pay.request.participant);
        let payer = holder(order.payer_account).filter(|payer| payer.participant == caller);
        let payer = payer.ok_or(Declined::AccountNotFound)?;
        let expires_at = match order.capture {
            Mode::Automatic => None,
            Mode::Manual(None) => Some(self.now() + 7 * DAY),
            Mode::Manual(Some(at)) if at < self.now() + MINUTE || at > self.now() + 30 * DAY => {
                return Err(Declined::ExpireTimeOutOfRange);
            }
            Mode::Manual(Some(at)) => Some(at),
        };
        if payer.currency != order.amount.currency().code() {
            return Err(Declined::CurrencyMismatch("payer_account"));
        }
        let (credit, bank) = payee(pay)?;
        if holder(credit).is_none_or(|payee| payee.currency != order.amount.currency().code()) {
            return Err(Declined::CurrencyMismatch("payee"));
        }
        let minor_units = order.amount.minor_units();
        let most = self
            .limits_of(pay)
            .iter()
            .filter_map(|subject| self.limits[subject].unsigned_payment_minor_units)
            .min();
        if most.is_some_and(|most| minor_units > most && !pay.is_signed) {
            return Err(Declined::SignatureRequired);
        }
        let refusal = self.refusal(order.payer_account, credit, minor_units).or_else(|| self.exceeded(pay));
        if pay.validate_only {
            return Ok(Reply::Validated(refusal.map(|refusal| refusal.reason().code).unwrap_or_default()));
        }
        let known = Known {
            id: pay.id,
            participant: caller.clone(),
            fingerprint: pay.request.fingerprint,
            kind: if expires_at.is_some() { Kind::Authorization } else { Kind::Payment },
            original: None,
            payer: order.payer_account,
            credit,
            minor_units,
            is_at_bank: bank.is_some(),
            reason: String::new(),
            token: 1,
            attempts: 0,
            said: State::Succeeded,
            closing: None,
            expires_at,
            made_at_s: self.now_s,
            counted: self.limits_of(pay),
        };
        Ok(self.begin(known, &pay.request, bank, refusal))
    }

    pub(super) fn capture(&mut self, capture: &Capture) -> Told {
        if let Some(told) = self.asked_before(capture.id, &capture.request) {
            return told;
        }
        let paid = self.own(capture.payment, &capture.request.participant)?.clone();
        let state = self.state(&paid);
        let is_over = paid.closing.is_some() || paid.expires_at.is_some_and(|at| at <= self.now());
        if state != State::Authorized || is_over {
            return Err(Declined::NotPermitted(Operation::Capture, state));
        }
        let held = self.held(&paid);
        let minor_units = part(capture.amount, held)?;
        if minor_units == 0 || minor_units > held {
            return Err(Declined::CaptureExceedsAuthorized(held));
        }
        let bank = route(&paid, &capture.bank)?;
        let refusal = self.closed.contains(&paid.credit).then_some(Refusal::PayeeAccountClosed);
        let child =
            Known { kind: Kind::Capture, minor_units, ..child_of(&paid, capture.id, &capture.request) };
        Ok(self.begin(child, &capture.request, bank, refusal))
    }

    pub(super) fn refund(&mut self, refund: &Refund) -> Told {
        if let Some(told) = self.asked_before(refund.id, &refund.request) {
            return told;
        }
        let paid = self.known(refund.payment)?.clone();
        let caller = refund.request.participant.as_str();
        let is_payees = holder(paid.credit).is_some_and(|payee| payee.participant == caller);
        if paid.participant != caller && !is_payees {
            return Err(Declined::PaymentNotFound);
        }
        let state = self.state(&paid);
        if state != State::Succeeded || !matches!(paid.kind, Kind::Payment | Kind::Capture) {
            return Err(Declined::NotPermitted(Operation::Refund, state));
        }
        if !paid.is_at_bank && !is_payees {
            return Err(Declined::RefundByPayeeOnly);
        }
        if paid.is_at_bank && paid.attempts == 0 {
            return Err(Declined::NotPermitted(Operation::Refund, state));
        }
        let left = paid.minor_units - self.refunded(paid.id);
        let minor_units = part(refund.amount, left)?;
        if minor_units == 0 || minor_units > left {
            return Err(Declined::RefundExceedsCaptured(left));
        }
        let bank = route(&paid, &refund.bank)?;
        let refusal = self.refusal(paid.credit, paid.payer, minor_units);
        let child = Known {
            kind: Kind::Refund,
            payer: paid.credit,
            credit: paid.payer,
            minor_units,
            ..child_of(&paid, refund.id, &refund.request)
        };
        Ok(self.begin(child, &refund.request, bank, refusal))
    }

    pub(super) fn cancel(&mut self, cancel: &Cancel) -> Told {
        let known = self.own(cancel.payment, &cancel.participant)?;
        match self.state(known) {
            // Repeating it changes nothing.
            _ if known.closing == Some(State::Cancelled) => {}
            State::Held => self.set(cancel.payment, State::Cancelled, ""),
            State::Authorized => self.close(cancel.payment, State::Cancelled),
            State::Cancelled => {}
            state => return Err(Declined::NotPermitted(Operation::Cancel, state)),
        }
        Ok(Reply::Payment(self.view(cancel.payment)))
    }

    pub(super) fn expire(&mut self, expire: &Expire) -> Told {
        let known = self.known(expire.payment)?;
        let is_time = known.expires_at.is_some_and(|at| at <= self.now());
        match self.state(known) {
            State::Authorized if known.closing.is_some() || known.token != expire.token => {
                return Err(Declined::LeaseLost);
            }
            State::Authorized if is_time => self.close(expire.payment, State::Expired),
            State::Authorized | State::Succeeded | State::Failed | State::Cancelled | State::Expired => {}
            state => return Err(Declined::NotPermitted(Operation::Expire, state)),
        }
        Ok(Reply::Payment(self.view(expire.payment)))
    }

    /// What an earlier request with the same id is answered with.
    fn asked_before(&self, id: PaymentId, request: &Request) -> Option<Told> {
        let earlier = &self.payments[self.requests.get(&request.key())?];
        Some(match earlier.fingerprint == request.fingerprint {
            false => Err(Declined::RequestIdReused),
            true if earlier.id == id => Ok(Reply::Payment(self.view(id))),
            true => Ok(Reply::Replayed(self.view(earlier.id))),
        })
    }

    /// Why the ledger refuses to move money from one account to another.
    fn refusal(&self, payer: AccountId, payee: AccountId, minor_units: i64) -> Option<Refusal> {
        let is_houses = holder(payer).is_some_and(|payer| payer.participant == HOUSE);
        if self.closed.contains(&payer) {
            Some(Refusal::PayerAccountClosed)
        } else if !is_houses && self.free(payer) < minor_units {
            Some(Refusal::InsufficientFunds)
        } else {
            self.closed.contains(&payee).then_some(Refusal::PayeeAccountClosed)
        }
    }

    fn begin(
        &mut self,
        mut known: Known,
        request: &Request,
        bank: Route<'_>,
        refusal: Option<Refusal>,
    ) -> Reply {
        let id = known.id;
        (known.said, known.reason) = match (refusal, bank) {
            (Some(refusal), _) => (State::Failed, refusal.reason().code),
            (None, _) if known.kind == Kind::Authorization => (State::Authorized, String::new()),
            (None, None) => (State::Succeeded, String::new()),
            (None, Some(bank)) if bank.waits => (State::Held, "BANK_OFFLINE".to_owned()),
            (None, Some(_)) => (State::Submitted, String::new()),
        };
        let is_sent = known.said == State::Submitted;
        self.requests.insert(request.key(), id);
        self.payments.insert(id, known);
        if is_sent { self.put_on_record(id) } else { Reply::Payment(self.view(id)) }
    }

    fn close(&mut self, payment: PaymentId, closing: State) {
        let known = self.payments.get_mut(&payment).expect("a known payment");
        known.closing = known.closing.or(Some(closing));
    }
}

/// The account that is credited, and the bank if it is one's settlement account.
fn payee(pay: &Pay) -> Result<(AccountId, Route<'_>), Declined> {
    use super::super::world::{ACCOUNTS, account};
    let on_us = match &pay.order.payee.account {
        PayeeAccount::Ledger(account) => Some(*account),
        PayeeAccount::Iban(iban, _) => {
            let found = ACCOUNTS.iter().find(|holder| holder.iban == Some(iban.as_str()));
            found.map(|holder| account(holder.number))
        }
        PayeeAccount::Number(..) => None,
    };
    match on_us {
        Some(to) if to == pay.order.payer_account => Err(Declined::PaysItself),
        Some(to) if holder(to).is_none_or(|to| to.participant == HOUSE) => {
            Err(Declined::PayeeAccountNotFound)
        }
        Some(to) => Ok((to, None)),
        None => {
            let bank = pay.bank.as_ref().map_err(|none| Declined::NoRoute(none.clone()))?;
            Ok((bank.settlement_account, Some(bank)))
        }
    }
}

/// The bank that a capture or refund has to be told to, as the payment had.
fn route<'a>(paid: &Known, bank: &'a Result<BankRoute, NoRoute>) -> Result<Route<'a>, Declined> {
    match (paid.is_at_bank, bank) {
        (false, _) => Ok(None),
        (true, Ok(bank)) => Ok(Some(bank)),
        (true, Err(none)) => Err(Declined::NoRoute(none.clone())),
    }
}

/// How much is asked for: all that is left if it is not said.
fn part(amount: Option<Money>, left: i64) -> Result<i64, Declined> {
    match amount {
        None => Ok(left),
        Some(amount) if amount.currency().code() == "EUR" => Ok(amount.minor_units()),
        Some(_) => Err(Declined::CurrencyMismatch("amount")),
    }
}

fn child_of(paid: &Known, id: PaymentId, request: &Request) -> Known {
    Known {
        id,
        participant: request.participant.clone(),
        fingerprint: request.fingerprint,
        original: Some(paid.id),
        token: 1,
        attempts: 0,
        closing: None,
        expires_at: None,
        ..paid.clone()
    }
}
