//! Attempts to instruct a bank, and the work of carrying them out.

use std::time::{Duration, SystemTime};

use common::{id::PaymentId, money::Money, order::Uetr};

use super::Payment;

/// The last attempt that a payment may have: MsgId has room for two digits.
const LAST_ATTEMPT: i32 = 99;

/// One instruction to a bank, on record before any byte leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counts a payment's attempts. A new one is made only after a binding negative.
    pub number: i32,
    /// When the bank's clock for it started.
    pub accept_time: SystemTime,
    /// The bank refuses it after this time.
    pub valid_until: SystemTime,
}

impl Attempt {
    /// The attempt's message id at the bank (MsgId), the same on every re-send: at most 35 characters.
    pub fn message_id(&self, payment: PaymentId) -> String {
        format!("{}-{}", payment.uuid().simple(), self.number)
    }

    /// Which payment and which of its attempts a message id names.
    pub fn named_by(message_id: &str) -> Option<(PaymentId, i32)> {
        let (payment, number) = message_id.split_once('-')?;
        let payment = PaymentId::parse(&format!("pay_{payment}"))?;
        let number = number.parse().ok().filter(|number| (1..=LAST_ATTEMPT).contains(number))?;
        Some((payment, number))
    }

    /// Whether another attempt may follow.
    pub fn may_be_followed(&self) -> bool {
        self.number < LAST_ATTEMPT
    }

    /// The attempt after `earlier`, made now, which the bank takes for `valid_for`.
    pub fn after(earlier: Option<&Self>, now: SystemTime, valid_for: Duration) -> Self {
        let number = earlier.map_or(1, |earlier| earlier.number + 1);
        Self { number, accept_time: now, valid_until: now + valid_for }
    }
}

/// Work on a payment that is under way: who holds the lease may speak with the bank about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Grows with every holder; a write with an older token is refused.
    pub token: i64,
    /// How often it was taken.
    pub tries: i32,
    /// How often it was taken since the last holder that came to an end with it.
    pub fruitless: i32,
}

/// How often work may be taken and never come to an end before it is quarantined: tried once in a long while only.
pub const MAX_FRUITLESS: i32 = 5;

impl Lease {
    /// The lease that the writer of a payment holds.
    pub const FIRST: Self = Self { token: 1, tries: 1, fruitless: 0 };
}

/// What the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Make an attempt, and send it: the payment is held and waits for its bank.
    Send,
    /// Ask the bank what became of the newest attempt.
    Enquire,
    /// Release what nobody captured.
    Expire,
}

impl Work {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Send, Self::Enquire, Self::Expire];

    /// The kind's name, as it is recorded.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "SEND",
            Self::Enquire => "ENQUIRE",
            Self::Expire => "EXPIRE",
        }
    }
}

/// An attempt together with all that its instruction to the bank says, and the lease of whoever may send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The payment.
    pub payment: Payment,
    /// The attempt.
    pub attempt: Attempt,
    /// The lease.
    pub lease: Lease,
    /// The holder's name of the account that pays.
    pub debtor_name: String,
    /// The IBAN of the account that pays, if it has one.
    pub debtor_iban: Option<String>,
    /// Of a refund or return: the credit transfer that is to be given back.
    pub original: Option<Original>,
}

/// A credit transfer that was executed, as the bank knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Its MsgId.
    pub message_id: String,
    /// Its UETR.
    pub uetr: Uetr,
    /// Its EndToEndId.
    pub end_to_end_id: String,
    /// Its amount.
    pub amount: Money,
    /// Its AccptncDtTm.
    pub accept_time: SystemTime,
}

impl Original {
    /// A payment's attempt.
    pub fn new(payment: &Payment, attempt: &Attempt) -> Self {
        Self {
            message_id: attempt.message_id(payment.id),
            uetr: payment.uetr,
            end_to_end_id: payment.end_to_end_id.clone(),
            amount: payment.amount,
            accept_time: attempt.accept_time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_names_its_attempt_and_fits_into_max35text() {
        let payment = PaymentId::new(&common::clock::Clock::system());
        let attempt =
            Attempt { number: 99, accept_time: SystemTime::UNIX_EPOCH, valid_until: SystemTime::UNIX_EPOCH };
        let message_id = attempt.message_id(payment);
        assert_eq!(message_id.len(), 35);
        assert_eq!(Attempt::named_by(&message_id), Some((payment, 99)));
        for bad in
            ["", "-1", "x-1", &message_id[..32], &format!("{}0", message_id), &message_id.to_uppercase()]
        {
            assert_eq!(Attempt::named_by(bad), None, "{bad}");
        }
        assert!(!attempt.may_be_followed());
    }
}
