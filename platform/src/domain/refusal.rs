//! Why a payment fails: a stable reason for programs, the ISO 20022 reason for banks, a sentence for people.

use common::order::LimitSubject;

use super::limits::{Exceeded, Window};

/// Why the ledger refuses a payment. The payment is recorded as FAILED with this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The payer's account has less available than the amount.
    InsufficientFunds,
    /// The payer's account is closed.
    PayerAccountClosed,
    /// The payee's account on this ledger is closed.
    PayeeAccountClosed,
    /// An account's sums would exceed what the ledger can count.
    BalanceOverflow,
    /// Of a bank's credit transfer: no account here is the payee's.
    NoSuchPayee,
    /// Of a bank's credit transfer: the payee's account has another currency.
    PayeeCurrencyDiffers,
    /// Of a bank's credit transfer: it came too late, or never came.
    TooLate,
    /// The payer's account would exceed a limit.
    AccountLimit(Exceeded),
    /// The payer's participant would exceed a limit.
    ParticipantLimit(Exceeded),
}

impl Refusal {
    /// The reason as it is recorded.
    pub fn reason(self) -> Reason {
        match self {
            Self::InsufficientFunds => {
                Reason::new("INSUFFICIENT_FUNDS", "AM04", "the payer's account has too little available")
            }
            Self::PayerAccountClosed => {
                Reason::new("PAYER_ACCOUNT_CLOSED", "AC05", "the payer's account is closed")
            }
            Self::PayeeAccountClosed => {
                Reason::new("PAYEE_ACCOUNT_CLOSED", "AC07", "the payee's account is closed")
            }
            Self::BalanceOverflow => Reason::new(
                "BALANCE_OVERFLOW",
                "AM02",
                "an account's sums would exceed what the ledger can count",
            ),
            Self::NoSuchPayee => {
                Reason::new("PAYEE_ACCOUNT_NOT_FOUND", "AC01", "no account here is the payee's")
            }
            Self::PayeeCurrencyDiffers => {
                Reason::new("CURRENCY_MISMATCH", "AC09", "the payee's account has another currency")
            }
            Self::TooLate => Reason::new("TOO_LATE", "TM01", "it did not come while the bank might send it"),
            Self::AccountLimit(exceeded) => Reason::new(
                "ACCOUNT_LIMIT_EXCEEDED",
                iso_code(exceeded),
                &format!("the payer's account may not pay {}", what(exceeded)),
            ),
            Self::ParticipantLimit(exceeded) => Reason::new(
                "PARTICIPANT_LIMIT_EXCEEDED",
                iso_code(exceeded),
                &format!("the payer's participant may not pay {}", what(exceeded)),
            ),
        }
    }
}

impl Refusal {
    /// That a subject's limit would be exceeded.
    pub fn limit(subject: &LimitSubject, exceeded: Exceeded) -> Self {
        match subject {
            LimitSubject::Account(_) => Self::AccountLimit(exceeded),
            LimitSubject::Participant(..) => Self::ParticipantLimit(exceeded),
        }
    }
}

fn iso_code(exceeded: Exceeded) -> &'static str {
    match exceeded {
        Exceeded::Payment => "AM02",
        Exceeded::Sum(_) | Exceeded::Number(_) => "AM14",
    }
}

fn what(exceeded: Exceeded) -> &'static str {
    match exceeded {
        Exceeded::Payment => "as much at once",
        Exceeded::Sum(Window::Hour) => "as much in this hour",
        Exceeded::Sum(Window::Day) => "as much in this day (UTC)",
        Exceeded::Number(Window::Hour) => "as often in this hour",
        Exceeded::Number(Window::Day) => "as often in this day (UTC)",
    }
}

/// Why a payment is in its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Stable, for programs: SCREAMING_SNAKE.
    pub code: String,
    /// ISO 20022 ExternalStatusReason1Code; empty if none fits.
    pub iso_code: String,
    /// For people.
    pub message: String,
}

impl Reason {
    /// A reason from its parts.
    pub fn new(code: &str, iso_code: &str, message: &str) -> Self {
        Self { code: code.to_owned(), iso_code: iso_code.to_owned(), message: message.to_owned() }
    }
}
