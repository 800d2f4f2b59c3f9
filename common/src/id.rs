//! Ids: UUIDv7 inside, prefixed outside (`pay_0193f2…`), one type for each kind of thing.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

use crate::clock::Clock;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, ordered by the clock's time.
            pub fn new(clock: &Clock) -> Self {
                Self::at(clock.now())
            }

            /// A new id of this time.
            pub fn at(time: SystemTime) -> Self {
                Self(uuid_v7(time))
            }

            /// Takes what the database holds.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// What the database holds.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Reads the outer form: the prefix and 32 small hexadecimal digits, not all zero.
            pub fn parse(text: &str) -> Option<Self> {
                parse_prefixed(text, $prefix).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

ids! {
    /// A payment, `pay_…`.
    PaymentId = "pay_";
    /// An account of the ledger, `acc_…`.
    AccountId = "acc_";
    /// A transfer between two accounts, `tra_…`.
    TransferId = "tra_";
    /// A deposit, `dep_…`.
    DepositId = "dep_";
    /// What was decided on a deposit, `dec_…`; nobody outside sees it.
    DecisionId = "dec_";
    /// Something that people should look at, `alm_…`.
    AlarmId = "alm_";
    /// What a person did that is on record for ever, `act_…`; nobody outside sees it.
    ActId = "act_";
    /// What is on record of an API key, `key_…`.
    ApiKeyId = "key_";
    /// What a bank said about a payment, `bmsg_…`; nobody outside sees it.
    BankMessageId = "bmsg_";
    /// A URL of a participant's that is told what happens, `we_…`.
    WebhookEndpointId = "we_";
}

/// A new UETR (ISO 20022 `UUIDv4Identifier`). Out of the process's own generator: a payment makes two, and the system is not asked for
/// each.
pub fn new_uetr() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}

fn uuid_v7(time: SystemTime) -> Uuid {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        &rand::random(),
    )
    .into_uuid()
}

fn parse_prefixed(text: &str, prefix: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(prefix)?;
    let small_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != 32 || !digits.bytes().all(small_hex) {
        return None;
    }
    Uuid::try_parse(digits).ok().filter(|uuid| !uuid.is_nil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_form_round_trips_and_nothing_else_parses() {
        let id = PaymentId::new(&Clock::system());
        assert_eq!(PaymentId::parse(&id.to_string()), Some(id));
        assert_eq!(AccountId::parse(&id.to_string()), None);
        for bad in [
            "".to_owned(),
            "pay_".to_owned(),
            "pay_00000000000000000000000000000000".to_owned(),
            id.to_string().to_uppercase(),
            format!("{id}0"),
            format!("pay_{}", id.uuid()),
            "x".repeat(10_240),
        ] {
            assert_eq!(PaymentId::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn later_ids_are_larger() {
        let clock = Clock::system();
        let first = TransferId::new(&clock);
        std::thread::sleep(std::time::Duration::from_millis(3));
        assert!(TransferId::new(&clock) > first);
    }
}
