//! A payment and its life.

mod attempt;
mod evidence;
mod state;

use std::{collections::BTreeMap, ops::Deref, sync::Arc, time::SystemTime};

use common::{
    id::{AccountId, PaymentId},
    money::Money,
    order::{Payee, Uetr},
};

pub use attempt::{Attempt, Lease, MAX_FRUITLESS, Original, Submission, Work};
pub use evidence::Evidence;
pub use state::{Operation, Permit, State, TRANSITIONS};

use super::{
    limits::{Counted, Use},
    refusal::Reason,
};

/// A payment as it stands. What was asked for reads as its own fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// What was asked for.
    pub terms: Arc<Terms>,
    /// Where it is in its life.
    pub state: State,
    /// Of an authorization, and only of one: what became of its amount.
    pub authorization: Option<Authorization>,
    /// Why it is in its state, where that needs saying.
    pub reason: Option<Reason>,
    /// Counts the states.
    pub sequence: i32,
    /// Whether its work is in the queue. Until then, who wrote it as submitted holds its first lease.
    pub is_queued: bool,
    /// When its state last changed.
    pub updated_at: SystemTime,
}

/// What was asked for. Never changes, so that all who work on the payment share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which payment.
    pub id: PaymentId,
    /// Whose it is.
    pub participant: String,
    /// The caller's id of the request that made it.
    pub request_id: String,
    /// A hash of the request's normal form: tells a repeat from a reuse.
    pub fingerprint: Fingerprint,
    /// The account that pays.
    pub payer_account: AccountId,
    /// The account of this ledger that is credited: the payee's, or the settlement account of the payee's bank.
    pub credit_account: AccountId,
    /// What it is.
    pub kind: Kind,
    /// The payment that it captures, refunds or takes back.
    pub original: Option<PaymentId>,
    /// Who is paid, and where.
    pub payee: Payee,
    /// How much.
    pub amount: Money,
    /// What the payee reads; empty if nothing.
    pub remittance_information: String,
    /// The reference that travels to the payee.
    pub end_to_end_id: String,
    /// The caller's labels.
    pub metadata: BTreeMap<String, String>,
    /// The bank that is instructed; none for a payment on this ledger.
    pub bank_id: Option<String>,
    /// The payment's unique reference at the bank.
    pub uetr: Uetr,
    /// When it came to be.
    pub created_at: SystemTime,
    /// In which of its payer's limits it is counted.
    pub counted: Counted,
}

impl Deref for Payment {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

/// A hash of a request's normal form.
pub type Fingerprint = [u8; 16];

impl Payment {
    /// A payment that comes to be.
    pub fn new(terms: Terms, state: State, reason: Option<Reason>) -> Self {
        let updated_at = terms.created_at;
        let terms = Arc::new(terms);
        Self { terms, state, authorization: None, reason, sequence: 1, is_queued: false, updated_at }
    }

    /// What it holds on both of its accounts, in minor units: that follows from its state.
    pub fn held(&self) -> i64 {
        match (&self.authorization, self.state) {
            (Some(sums), _) => sums.held,
            (None, State::Held | State::Submitted | State::Unknown | State::Investigate) => {
                self.amount.minor_units()
            }
            (None, _) => 0,
        }
    }

    /// What it has moved from one of its accounts to the other, in minor units; an authorization's captures move for it.
    pub fn paid(&self) -> i64 {
        let has_paid = self.state == State::Succeeded && self.kind != Kind::Authorization;
        if has_paid { self.amount.minor_units() } else { 0 }
    }

    /// What it uses of its payer's limits: nothing once it has ended unpaid. An authorization uses what its captures have or may still
    /// have; they use nothing of their own.
    pub fn uses(&self) -> Use {
        if matches!(self.state, State::Failed | State::Cancelled | State::Expired) {
            return Use::default();
        }
        let minor_units = match (self.kind, &self.authorization) {
            (Kind::Payment, _) => self.amount.minor_units(),
            (Kind::Authorization, Some(sums)) => sums.held + sums.capturing + sums.captured,
            _ => return Use::default(),
        };
        Use { minor_units, payments: 1 }
    }

    /// Whether it credits one of the house's accounts.
    pub fn credits_house(&self) -> bool {
        self.bank_id.is_some() && self.kind != Kind::Refund
    }
}

/// The reference that travels to the payee when the payer names none.
pub fn own_end_to_end_id(payment: PaymentId) -> String {
    payment.uuid().simple().to_string()
}

/// What a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pays at once.
    Payment,
    /// Holds money that captures pay.
    Authorization,
    /// Pays (part of) an authorization.
    Capture,
    /// Gives (part of) a payment or capture back.
    Refund,
    /// Takes back what a bank paid although the payment is recorded as FAILED.
    Return,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Payment, Self::Authorization, Self::Capture, Self::Refund, Self::Return];

    /// The kind's name, as it is recorded.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "PAYMENT",
            Self::Authorization => "AUTHORIZATION",
            Self::Capture => "CAPTURE",
            Self::Refund => "REFUND",
            Self::Return => "RETURN",
        }
    }

    /// The kind that has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether its bank is asked to give back what it was paid, rather than paid.
    pub fn is_taken_back(self) -> bool {
        matches!(self, Self::Refund | Self::Return)
    }
}

/// What became of an authorization's amount, in minor units. Held, capturing and captured never exceed the amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Still held, and free to be captured.
    pub held: i64,
    /// Held by captures under way.
    pub capturing: i64,
    /// Captured.
    pub captured: i64,
    /// Set once no more may be captured: how it ends if nothing was.
    pub closing: Option<State>,
    /// When what is held is released.
    pub expires_at: SystemTime,
}

impl Authorization {
    /// The state that follows from the sums.
    pub fn state(&self) -> State {
        match (self.held + self.capturing, self.captured, self.closing) {
            (0, 0, Some(closing)) => closing,
            (0, 0, None) => State::Cancelled,
            (0, _, _) => State::Succeeded,
            _ => State::Authorized,
        }
    }
}
