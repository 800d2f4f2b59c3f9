//! Who calls, and what they may do.

pub use common::role::Role;
use common::verification_key::VerificationKey;

use crate::cell::Cell;

/// Something that callers ask for and that not everyone may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make, capture and cancel payments.
    Pay,
    /// Give payments back.
    Refund,
    /// Open accounts.
    OpenAccount,
    /// Propose deposits, approve and reject them.
    Deposit,
    /// Set what an account may pay.
    LimitAccounts,
    /// Read deposits, and who decided what on them.
    ReadDeposits,
    /// End payments whose end only people can find out.
    Resolve,
    /// Read alarms, banks, the trial balance and payments' stories.
    ReadOperations,
    /// Read what decides how fast and how safe the system is.
    ReadSettings,
    /// Read payments, accounts and entries.
    Read,
    /// Make and end API keys.
    ManageKeys,
    /// Read what is on record of API keys.
    ReadKeys,
    /// Make, change, replay and end webhooks.
    ManageWebhooks,
    /// Read where webhooks are posted to, and what came of it.
    ReadWebhooks,
    /// Create, list, disable, enable and limit participants.
    ManageParticipants,
}

impl Action {
    /// Whether anything may be other than before when it is done.
    pub fn changes(self) -> bool {
        match self {
            Self::Pay | Self::Refund | Self::OpenAccount | Self::Deposit | Self::LimitAccounts => true,
            Self::Resolve | Self::ManageKeys | Self::ManageParticipants | Self::ManageWebhooks => true,
            Self::Read | Self::ReadDeposits | Self::ReadOperations | Self::ReadSettings | Self::ReadKeys => {
                false
            }
            Self::ReadWebhooks => false,
        }
    }

    /// Whether a role allows it. What only the house may do takes its participant as well ([`Caller::may`]).
    fn is_allowed_to(self, role: Role) -> bool {
        use Role::{Auditor, Merchant, Operator, PayerApp};
        match self {
            Self::Pay => role == PayerApp,
            Self::Refund => matches!(role, PayerApp | Merchant),
            Self::OpenAccount => matches!(role, PayerApp | Merchant | Operator),
            Self::Deposit | Self::LimitAccounts | Self::Resolve | Self::ReadSettings => role == Operator,
            Self::ManageKeys | Self::ManageParticipants | Self::ManageWebhooks => role == Operator,
            Self::ReadOperations | Self::ReadKeys | Self::ReadDeposits | Self::ReadWebhooks => {
                matches!(role, Operator | Auditor)
            }
            Self::Read => true,
        }
    }
}

/// A participant, in the one cell that it is in: one of the same name in another cell is somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Participant {
    /// The cell.
    pub cell: Cell,
    /// What it is called there.
    pub name: String,
}

impl Participant {
    /// The participant of this name in a cell.
    pub fn new(cell: Cell, name: impl Into<String>) -> Self {
        Self { cell, name: name.into() }
    }
}

/// Who is calling, as the credential says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The participant.
    pub participant: Participant,
    /// What the credential is for.
    pub roles: Vec<Role>,
    /// Which credential it is, for four-eyes rules and the record.
    pub credential: String,
    /// What the calls are verified with that are signed; those that change something must be, if there is one.
    pub verification_key: Option<VerificationKey>,
}

impl Caller {
    /// Whether the caller may do this; `is_house` says that its participant administers the others.
    pub fn may(&self, action: Action, is_house: bool) -> bool {
        let is_allowed = self.roles.iter().any(|role| action.is_allowed_to(*role));
        is_allowed && (is_house || action != Action::ManageParticipants)
    }
}
