//! What a caller may do.

use serde::Deserialize;

/// What a participant's credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Pays from its own accounts.
    PayerApp,
    /// Reads what it received.
    Merchant,
    /// Books deposits.
    Operator,
    /// Reads everything of its participant.
    Auditor,
}

/// Something that callers ask for and that not everyone may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make payments.
    Pay,
    /// Open accounts.
    OpenAccount,
    /// Book deposits.
    Deposit,
    /// Read payments, accounts and entries.
    Read,
}

impl Role {
    /// Whether the role allows the action.
    pub fn may(self, action: Action) -> bool {
        match action {
            Action::Pay => self == Self::PayerApp,
            Action::OpenAccount => matches!(self, Self::PayerApp | Self::Merchant | Self::Operator),
            Action::Deposit => self == Self::Operator,
            Action::Read => true,
        }
    }
}

/// Who is calling, as the credential says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The participant.
    pub participant: String,
    /// What the credential is for.
    pub roles: Vec<Role>,
}

impl Caller {
    /// Whether the caller may do this.
    pub fn may(&self, action: Action) -> bool {
        self.roles.iter().any(|role| role.may(action))
    }
}
