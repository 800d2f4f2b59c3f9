//! Signed calls: each is carried out once, whichever gateways it comes through.

use common::{
    deadline::Deadline,
    fault::{Fault, Violation},
    verification_key::VerificationKey,
};
use proto::platform::Signature;

use super::Flow;

/// How long a nonce is, in characters, as the database has it too.
const NONCE_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

impl Flow {
    /// Claims a signature's nonce for good, before its command is carried out. Whatever comes of the command, who repeats it signs it
    /// anew: the same nonce is refused, and the request's id answers for it being the same.
    ///
    /// # Errors
    /// When it is no signature, was claimed before, or can't be claimed for certain: nothing is carried out then.
    pub async fn claim(&self, signature: &Signature, deadline: Deadline) -> Result<(), Fault> {
        if deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let invalid = |field: &str, what: &str| Fault::invalid(vec![Violation::new(field, what)]);
        let key = VerificationKey::read(&signature.verification_key)
            .map_err(|what| invalid("signature.verification_key", what))?;
        let is_printable = signature.nonce.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !is_printable || !NONCE_LENGTHS.contains(&signature.nonce.len()) {
            return Err(invalid("signature.nonce", "must have 16 to 128 printable ASCII characters"));
        }
        if self.store.claim_nonce(&key, &signature.nonce).await? {
            return Ok(());
        }
        let message = "this signature was used already, and counts once: sign the request anew, with a new nonce and the same request_id";
        Err(Fault::bad_signature("SIGNATURE_REPLAYED", message))
    }
}
