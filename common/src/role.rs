//! What a participant's credential is for.

use clap::ValueEnum;
use serde::Deserialize;

/// What a participant's credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Pays from its own accounts.
    PayerApp,
    /// Reads what it received, and gives it back.
    Merchant,
    /// Proposes, approves and rejects deposits, manages API keys, and ends payments whose end only people can find out.
    Operator,
    /// Reads everything of its participant.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::PayerApp, Self::Merchant, Self::Operator, Self::Auditor];

    /// Its name, as settings, key files, tokens and requests have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PayerApp => "payer-app",
            Self::Merchant => "merchant",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_name_everywhere() {
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
            assert_eq!(Role::from_str(role.name(), false), Ok(role));
            let read: Role = serde_json::from_value(role.name().into()).expect("a role");
            assert_eq!(read, role);
        }
        assert_eq!(Role::named("king"), None);
    }
}
