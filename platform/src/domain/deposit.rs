//! Deposits: money that arrived, which one operator proposes to book and another one approves.

use std::time::SystemTime;

use common::{
    id::{AccountId, DecisionId, DepositId},
    order::DepositOrder,
};

use super::payment::Fingerprint;

/// Money that arrived, as an operator proposed to book it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Which one.
    pub id: DepositId,
    /// Whose it is.
    pub participant: String,
    /// What arrived.
    pub order: DepositOrder,
    /// A hash of the order's normal form.
    pub fingerprint: Fingerprint,
    /// The bank's settlement account in the deposit's currency.
    pub settlement_account: AccountId,
    /// Which operator proposed it.
    pub proposed_by: String,
    /// When it was proposed.
    pub created_at: SystemTime,
    /// From when on nobody may approve it any more.
    pub expires_at: SystemTime,
    /// What was decided on it, which never changes; nothing yet if absent.
    pub decision: Option<Decision>,
}

/// What was decided on a deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which one.
    pub id: DecisionId,
    /// What.
    pub verdict: Verdict,
    /// When.
    pub at: SystemTime,
}

/// How a deposit ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is booked.
    Booked {
        /// Which operator approved it.
        by: String,
    },
    /// It is not booked.
    Rejected {
        /// Which operator says so.
        by: String,
        /// Why, for people.
        reason: String,
    },
    /// Nobody decided on it in time.
    Lapsed,
}

/// Where a deposit is in its life; all but the first are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepositState {
    /// Proposed; nothing is booked.
    PendingApproval,
    /// Approved by another operator, and booked.
    Booked,
    /// Rejected by an operator.
    Rejected,
    /// Nobody decided on it in time.
    Lapsed,
}

impl DepositState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::PendingApproval, Self::Booked, Self::Rejected, Self::Lapsed];

    /// The state's name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::Booked => "BOOKED",
            Self::Rejected => "REJECTED",
            Self::Lapsed => "LAPSED",
        }
    }
}

impl Deposit {
    /// Where it is in its life.
    pub fn state(&self) -> DepositState {
        self.decision.as_ref().map_or(DepositState::PendingApproval, |decision| decision.verdict.state())
    }
}

impl Verdict {
    /// The state that it leads to.
    pub fn state(&self) -> DepositState {
        match self {
            Self::Booked { .. } => DepositState::Booked,
            Self::Rejected { .. } => DepositState::Rejected,
            Self::Lapsed => DepositState::Lapsed,
        }
    }

    /// Which operator decided; nobody if it lapsed.
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::Booked { by } | Self::Rejected { by, .. } => Some(by),
            Self::Lapsed => None,
        }
    }

    /// Why it was rejected.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Rejected { reason, .. } => Some(reason),
            Self::Booked { .. } | Self::Lapsed => None,
        }
    }
}
