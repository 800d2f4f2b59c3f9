//! Fingerprints: what tells a repeat of a request from a reuse of its id.

use prost::Message;

use crate::domain::payment::Fingerprint;

/// The fingerprint of a request that only one operation has.
pub fn fingerprint(request: &impl Message) -> Fingerprint {
    half(blake3::hash(&request.encode_to_vec()))
}

/// The fingerprint of a request to an operation: another one's may have the same bytes.
pub fn fingerprint_of(operation: &str, request: &impl Message) -> Fingerprint {
    let mut hasher = blake3::Hasher::new_derive_key(operation);
    hasher.update(&request.encode_to_vec());
    half(hasher.finalize())
}

/// 128 bits tell requests of one caller apart.
fn half(hash: blake3::Hash) -> Fingerprint {
    std::array::from_fn(|at| hash.as_bytes()[at])
}
