//! What a caller may do.

use serde::Deserialize;

/// What a participant's credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Pays from its own accounts.
    PayerApp,
    /// Reads what it received, and gives it back.
    Merchant,
    /// Books deposits, and ends payments whose end only people can find out.
    Operator,
    /// Reads everything of its participant.
    Auditor,
}

/// Something that callers ask for and that not everyone may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make, capture and cancel payments.
    Pay,
    /// Give payments back.
    Refund,
    /// Open accounts.
    OpenAccount,
    /// Book deposits.
    Deposit,
    /// End payments whose end only people can find out.
    Resolve,
    /// Read alarms.
    ReadAlarms,
    /// Read what decides how fast and how safe the system is.
    ReadSettings,
    /// Read payments, accounts and entries.
    Read,
}

impl Role {
    /// Whether the role allows the action.
    pub fn may(self, action: Action) -> bool {
        match action {
            Action::Pay => self == Self::PayerApp,
            Action::Refund => matches!(self, Self::PayerApp | Self::Merchant),
            Action::OpenAccount => matches!(self, Self::PayerApp | Self::Merchant | Self::Operator),
            Action::Deposit | Action::Resolve | Action::ReadSettings => self == Self::Operator,
            Action::ReadAlarms => matches!(self, Self::Operator | Self::Auditor),
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
    /// Which credential it is, for four-eyes rules and the record: the beginning of its hash.
    pub credential: String,
}

impl Caller {
    /// Whether the caller may do this.
    pub fn may(&self, action: Action) -> bool {
        self.roles.iter().any(|role| role.may(action))
    }
}
