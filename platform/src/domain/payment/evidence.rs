//! What is known of an attempt, and what it shows.

use std::time::Duration;

use super::State;
use crate::domain::refusal::Reason;

/// What is known of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The bank says that it did what it was asked.
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
        /// Whether the payment waits for its bank, and how long before the next attempt.
        next_attempt_after: Option<Duration>,
    },
    /// The bank never received the attempt, and refuses it from now on.
    NeverReceived {
        /// Whether the payment waits for its bank, and how long before the next attempt.
        next_attempt_after: Option<Duration>,
    },
    /// Nothing is certain.
    Inconclusive {
        /// Why, for programs.
        reason: String,
        /// Why, for people.
        detail: String,
        /// When to go on, from now.
        resume_after: Duration,
    },
    /// What the bank says does not fit together.
    Contradictory {
        /// Why, for programs.
        reason: String,
        /// Why, for people.
        detail: String,
    },
    /// Two operators found out.
    Resolved {
        /// Whether the payee is credited.
        succeeded: bool,
        /// Where the evidence is found.
        evidence_reference: String,
    },
}

impl Evidence {
    /// The state that the evidence shows, and why.
    pub fn verdict(&self) -> (State, Option<Reason>) {
        let held =
            || (State::Held, Some(Reason::new("BANK_OFFLINE", "", "waits until its bank can be reached")));
        match self {
            Self::Accepted { .. } | Self::Resolved { succeeded: true, .. } => (State::Succeeded, None),
            Self::Rejected { iso_code, text, .. } => {
                let message = if text.is_empty() { "the payee's bank refused the payment" } else { text };
                (State::Failed, Some(Reason::new("REJECTED_BY_BANK", iso_code, message)))
            }
            Self::NeverSent { next_attempt_after: Some(_), .. }
            | Self::NeverReceived { next_attempt_after: Some(_) } => held(),
            Self::NeverSent { detail, next_attempt_after: None } => {
                (State::Failed, Some(Reason::new("BANK_UNREACHABLE", "AB08", detail)))
            }
            Self::NeverReceived { next_attempt_after: None } => {
                let message = "the payee's bank never received the payment and no longer takes it";
                (State::Failed, Some(Reason::new("NEVER_RECEIVED_BY_BANK", "AG09", message)))
            }
            Self::Inconclusive { reason, detail, .. } => {
                (State::Unknown, Some(Reason::new(reason, "", detail)))
            }
            Self::Contradictory { reason, detail } => {
                (State::Investigate, Some(Reason::new(reason, "", detail)))
            }
            Self::Resolved { succeeded: false, .. } => {
                let message = "operators found that the payee was not credited";
                (State::Failed, Some(Reason::new("RESOLVED_AS_FAILED", "", message)))
            }
        }
    }

    /// The message that says so: the bank's, or the reference of what operators found; empty if there is none.
    pub fn source(&self) -> &str {
        match self {
            Self::Accepted { bank_message_id } | Self::Rejected { bank_message_id, .. } => bank_message_id,
            Self::Resolved { evidence_reference, .. } => evidence_reference,
            Self::NeverSent { .. }
            | Self::NeverReceived { .. }
            | Self::Inconclusive { .. }
            | Self::Contradictory { .. } => "",
        }
    }

    /// Whether it is the bank's own word on what became of the payment: it counts whoever brings it.
    pub fn is_the_banks_verdict(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Rejected { .. })
    }
}
