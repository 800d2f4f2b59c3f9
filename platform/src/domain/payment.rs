//! A payment and its life.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use common::{
    id::{AccountId, PaymentId, TransferId},
    money::Money,
    order::{Payee, Uetr},
};

use super::refusal::Reason;

/// Where a payment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The money is held and the instruction is on record; the bank has not answered yet.
    Submitted,
    /// The bank may have the instruction and nothing is certain; the hold stays.
    Unknown,
    /// The payee is credited. Final.
    Succeeded,
    /// Nothing was paid and nothing is held. Final.
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Submitted, Self::Unknown, Self::Succeeded, Self::Failed];

    /// The state's name, as it is recorded.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Unknown => "UNKNOWN",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    /// The state that has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a payment in this state never changes again.
    pub fn is_final(self) -> bool {
        TRANSITIONS.iter().all(|(from, _)| *from != self)
    }

    /// Whether a payment may go from this state to `to`.
    pub fn may_become(self, to: Self) -> bool {
        TRANSITIONS.contains(&(self, to))
    }
}

/// Every change of state that there is. The database has the same table (migration 1, `payments_only_legal_changes`).
pub const TRANSITIONS: [(State, State); 5] = [
    (State::Submitted, State::Unknown),
    (State::Submitted, State::Succeeded),
    (State::Submitted, State::Failed),
    (State::Unknown, State::Succeeded),
    (State::Unknown, State::Failed),
];

/// A payment as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Which one.
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
    /// Where it is in its life.
    pub state: State,
    /// Why it is FAILED or UNKNOWN.
    pub reason: Option<Reason>,
    /// Counts the states.
    pub sequence: i32,
    /// When it came to be.
    pub created_at: SystemTime,
    /// When its state last changed.
    pub updated_at: SystemTime,
}

/// A hash of a request's normal form.
pub type Fingerprint = [u8; 32];

impl Payment {
    /// Its first transfer, which has its own number: the hold, or on this ledger the posting.
    pub fn first_transfer(&self) -> TransferId {
        TransferId::from_uuid(self.id.uuid())
    }
}

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
}

/// Work on a payment that is under way: who holds the lease may speak with the bank about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Grows with every holder; a write with an older token is refused.
    pub token: i64,
    /// How often it was taken.
    pub tries: i32,
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
}

/// What is known of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The bank says that the payee is credited.
    Accepted {
        /// The bank's message that says so.
        bank_message_id: String,
    },
    /// The bank refused for good.
    Rejected {
        /// Why, as an ISO 20022 reason.
        iso_code: String,
        /// Why, in the bank's words.
        text: String,
        /// The bank's message that says so.
        bank_message_id: String,
    },
    /// No byte of the attempt ever left, and none will.
    NeverSent {
        /// Why, for people.
        detail: String,
    },
    /// The bank never received the attempt, and refuses it from now on.
    NeverReceived,
    /// Nothing is certain.
    Inconclusive {
        /// Why, for programs.
        reason: String,
        /// Why, for people.
        detail: String,
        /// When to go on, from now.
        resume_after: Duration,
    },
}

impl Evidence {
    /// The state that the evidence shows, and why.
    pub fn verdict(&self) -> (State, Option<Reason>) {
        match self {
            Self::Accepted { .. } => (State::Succeeded, None),
            Self::Rejected { iso_code, text, .. } => {
                let message = if text.is_empty() { "the payee's bank refused the payment" } else { text };
                (State::Failed, Some(Reason::new("REJECTED_BY_BANK", iso_code, message)))
            }
            Self::NeverSent { detail } => {
                (State::Failed, Some(Reason::new("BANK_UNREACHABLE", "AB08", detail)))
            }
            Self::NeverReceived => {
                let message = "the payee's bank never received the payment and no longer takes it";
                (State::Failed, Some(Reason::new("NEVER_RECEIVED_BY_BANK", "AG09", message)))
            }
            Self::Inconclusive { reason, detail, .. } => {
                (State::Unknown, Some(Reason::new(reason, "", detail)))
            }
        }
    }

    /// The bank's message that says so; empty if there is none.
    pub fn bank_message_id(&self) -> &str {
        match self {
            Self::Accepted { bank_message_id } | Self::Rejected { bank_message_id, .. } => bank_message_id,
            Self::NeverSent { .. } | Self::NeverReceived | Self::Inconclusive { .. } => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_have_no_way_out() {
        let final_states: Vec<_> = State::ALL.into_iter().filter(|state| state.is_final()).collect();
        assert_eq!(final_states, [State::Succeeded, State::Failed]);
        for state in State::ALL {
            assert!(!state.may_become(state), "{state:?}");
        }
    }
}
