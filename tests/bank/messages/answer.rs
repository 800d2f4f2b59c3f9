//! What the bank says of a payment or of a return request, in one of the three messages that it can say it with.

use super::amount::Amount;
use super::camt029::Resolution;
use super::pacs002::Report;
use super::pacs004::PaymentReturn;
use super::reason::Reason;
use super::stamp::Stamp;
use super::{References, camt029, pacs002, pacs004};

/// What begins every message of the bank.
#[derive(Debug)]
pub struct Header {
    /// The bank's own message id.
    pub message_id: String,
    /// When the message is made.
    pub created_at: Stamp,
}

/// An answer, not written yet.
#[derive(Debug, Clone)]
pub enum Answer {
    /// pacs.002: the status of a payment, or that a request was never received.
    Report(Report),
    /// pacs.004: the amount is given back.
    Return(PaymentReturn),
    /// camt.029: it is not given back, or not yet.
    Resolution(Resolution),
}

impl Answer {
    /// The XML document.
    pub fn to_xml(&self, header: &Header) -> String {
        match self {
            Self::Report(report) => report.to_xml(header),
            Self::Return(payment_return) => payment_return.to_xml(header),
            Self::Resolution(resolution) => resolution.to_xml(header),
        }
    }

    /// The message's name.
    pub fn message(&self) -> &'static str {
        match self {
            Self::Report(_) => pacs002::MESSAGE,
            Self::Return(_) => pacs004::MESSAGE,
            Self::Resolution(_) => camt029::MESSAGE,
        }
    }

    /// What the answer is about, as the answer names it.
    pub fn original(&self) -> &References {
        match self {
            Self::Report(report) => &report.original,
            Self::Return(payment_return) => &payment_return.original,
            Self::Resolution(resolution) => &resolution.original,
        }
    }

    /// Makes the answer name something else.
    pub fn rename(&mut self, original: References) {
        match self {
            Self::Report(report) => report.original = original,
            Self::Return(payment_return) => payment_return.original = original,
            Self::Resolution(resolution) => resolution.original = original,
        }
    }

    /// The id of the return request that it answers, where it carries one.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Report(_) => None,
            Self::Return(payment_return) => Some(&payment_return.request_id),
            Self::Resolution(resolution) => Some(&resolution.request_id),
        }
    }

    /// Its status: `TxSts` of a pacs.002, `Conf` of a camt.029; none for a pacs.004, which is one.
    pub fn status(&self) -> Option<&str> {
        match self {
            Self::Report(report) => Some(&report.status),
            Self::Return(_) => None,
            Self::Resolution(resolution) => Some(resolution.status.as_str()),
        }
    }

    /// Its reason's code, where it has one.
    pub fn code(&self) -> Option<&str> {
        let reason: Option<&Reason> = match self {
            Self::Report(report) => report.reason.as_ref(),
            Self::Return(_) => None,
            Self::Resolution(resolution) => resolution.reason.as_ref(),
        };
        reason.and_then(|reason| reason.code.as_deref())
    }

    /// The amount that it tells: credited by a pacs.002, returned by a pacs.004.
    pub fn amount(&self) -> Option<Amount> {
        match self {
            Self::Report(report) => report.amount,
            Self::Return(payment_return) => Some(payment_return.amount),
            Self::Resolution(_) => None,
        }
    }
}
