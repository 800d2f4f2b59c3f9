//! The reasons that a bank may give, as ISO 20022 publishes them: ExternalStatusReason1Code of the external code sets,
//! 2025 edition.

use std::{collections::HashMap, sync::LazyLock};

#[derive(serde::Deserialize)]
struct CodeSet {
    #[serde(borrow)]
    codes: HashMap<&'static str, serde::de::IgnoredAny>,
}

/// With an unreadable list no reason would be known, and every rejection an unknown; a test reads the list.
static CODES: LazyLock<HashMap<&'static str, serde::de::IgnoredAny>> = LazyLock::new(|| {
    serde_json::from_str::<CodeSet>(include_str!("status_reason.json"))
        .map(|set| set.codes)
        .unwrap_or_default()
});

/// The payment that is asked about was never received.
pub(super) const NEVER_RECEIVED: &str = "AG09";

/// What was sent is a copy of something that the bank has already: a refusal of the copy, not of the payment.
pub(super) const DUPLICATE: [&str; 7] = ["AM05", "DU01", "DU02", "DU03", "DU04", "DU05", "DUPL"];

/// Whether the list has this reason.
pub(super) fn is_known(code: &str) -> bool {
    CODES.contains_key(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        assert_eq!(CODES.len(), 301);
        for code in ["AC04", "AM04", "TM01", NEVER_RECEIVED].into_iter().chain(DUPLICATE) {
            assert!(is_known(code), "{code}");
        }
        for code in ["", "ac04", "AC04 ", "ZZZZ"] {
            assert!(!is_known(code), "{code:?}");
        }
    }
}
