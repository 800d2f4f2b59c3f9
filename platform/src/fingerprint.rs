//! Fingerprints: what tells a repeat of a request from a reuse of its id.

use std::fmt;

use prost::Message;

use crate::{domain::payment::Fingerprint, encryption::Key};

/// Makes fingerprints. Under a key, so that whoever has the database can't try out which names and accounts a request had.
#[derive(Clone)]
pub struct Fingerprints {
    key: Key,
}

impl fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprints(***)")
    }
}

impl Fingerprints {
    /// Fingerprints under a key that all platforms of a database share, for ever.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    /// The fingerprint of a request that only one operation has.
    pub fn of(&self, request: &impl Message) -> Fingerprint {
        self.half("", request)
    }

    /// The fingerprint of a request to an operation: another one's may have the same bytes.
    pub fn of_operation(&self, operation: &str, request: &impl Message) -> Fingerprint {
        self.half(operation, request)
    }

    /// 128 bits tell requests of one caller apart.
    fn half(&self, operation: &str, request: &impl Message) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // The operation's length first: no other operation with another request hashes the same bytes.
        hasher.update(&operation.len().to_le_bytes()).update(operation.as_bytes());
        let hash = hasher.update(&request.encode_to_vec()).finalize();
        std::array::from_fn(|at| hash.as_bytes()[at])
    }
}

#[cfg(test)]
mod tests {
    use proto::payments::CancelPaymentRequest;

    use super::*;

    #[test]
    fn who_lacks_the_key_cannot_try_out_what_was_asked() {
        let request = CancelPaymentRequest { payment: "pay_1".to_owned() };
        let (ours, theirs) = (Fingerprints::new([1; 32]), Fingerprints::new([2; 32]));
        assert_eq!(ours.of(&request), Fingerprints::new([1; 32]).of(&request));
        assert_ne!(ours.of(&request), theirs.of(&request));
        assert_ne!(ours.of(&request), ours.of_operation("cancel", &request));
        assert!(!format!("{ours:?}").contains('1'));
    }
}
