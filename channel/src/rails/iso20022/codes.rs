//! The reasons that a bank may give, as ISO 20022 publishes them in its external code sets, 2025 edition.

use std::{collections::HashMap, sync::LazyLock};

use serde::de::IgnoredAny;

/// One external code set.
pub(super) struct CodeList(LazyLock<HashMap<&'static str, IgnoredAny>>);

/// ExternalStatusReason1Code: why a payment is refused (pacs.002).
pub(super) static STATUS_REASONS: CodeList =
    CodeList(LazyLock::new(|| codes(include_str!("status_reason.json"))));

/// ExternalPaymentCancellationRejection1Code: why a payment is not given back (camt.029).
pub(super) static CANCELLATION_REJECTIONS: CodeList =
    CodeList(LazyLock::new(|| codes(include_str!("cancellation_rejection.json"))));

/// What is asked about was never received.
pub(super) const NEVER_RECEIVED: &str = "AG09";

/// What was sent is a copy of something that the bank has already: a refusal of the copy, not of the payment.
pub(super) const DUPLICATE: [&str; 7] = ["AM05", "DU01", "DU02", "DU03", "DU04", "DU05", "DUPL"];

/// The payment was given back already, perhaps for the first copy of this very request.
pub(super) const ALREADY_RETURNED: &str = "ARDT";

impl CodeList {
    /// Whether the list has this code.
    pub(super) fn has(&self, code: &str) -> bool {
        self.0.contains_key(code)
    }
}

/// With an unreadable list no reason would be known, and every rejection an unknown; a test reads the lists.
fn codes(json: &'static str) -> HashMap<&'static str, IgnoredAny> {
    #[derive(serde::Deserialize)]
    struct CodeSet {
        #[serde(borrow)]
        codes: HashMap<&'static str, IgnoredAny>,
    }
    serde_json::from_str::<CodeSet>(json).map(|set| set.codes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_read() {
        assert_eq!(STATUS_REASONS.0.len(), 301);
        for code in ["AC04", "AM04", "TM01", NEVER_RECEIVED].into_iter().chain(DUPLICATE) {
            assert!(STATUS_REASONS.has(code), "{code}");
        }
        assert_eq!(CANCELLATION_REJECTIONS.0.len(), 26);
        for code in ["CUST", "NOAS", "LEGL", ALREADY_RETURNED] {
            assert!(CANCELLATION_REJECTIONS.has(code), "{code}");
        }
        for code in ["", "ac04", "AC04 ", "ZZZZ"] {
            assert!(!STATUS_REASONS.has(code) && !CANCELLATION_REJECTIONS.has(code), "{code:?}");
        }
        assert!(!CANCELLATION_REJECTIONS.has("TM01"));
    }
}
