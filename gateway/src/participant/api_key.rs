//! API keys (`rk_…`): made here, and kept everywhere as keyed hashes only.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{settings::Secret, text, verification_key::VerificationKey};

use crate::{caller::Participant, cell::Cell};

/// How an API key begins.
const PREFIX: &str = "rk_";
/// How many random bytes it has.
const KEY_BYTES: usize = 32;
/// No key is longer.
const MAX_LENGTH: usize = 64;
/// How the hash of one begins in the file.
const HASH_PREFIX: &str = "blake3-keyed:";
/// What the secret is used for; another use of the same secret would have another key.
const CONTEXT: &str = "rialto 2026-11-28 hashes of API keys";
/// How long the secret is at least, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// Hashes API keys under a secret of the installation: whoever reads hashes can't test keys against them, and whoever
/// can write hashes can't let a key of their own in.
#[derive(Clone)]
pub struct KeyHasher([u8; blake3::KEY_LEN]);

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher(***)")
    }
}

impl KeyHasher {
    /// A hasher under this secret.
    ///
    /// # Errors
    /// When the secret is shorter than [`MIN_SECRET_BYTES`].
    pub fn new(secret: &Secret) -> Result<Self, String> {
        if secret.expose().len() < MIN_SECRET_BYTES {
            return Err(format!(
                "must have at least {MIN_SECRET_BYTES} bytes: make one with `openssl rand -base64 48`"
            ));
        }
        Ok(Self(blake3::derive_key(CONTEXT, secret.expose().as_bytes())))
    }

    /// The hash of a key; none of what can't be one.
    pub fn hash(&self, key: &str) -> Option<blake3::Hash> {
        let is_one = key.starts_with(PREFIX) && key.len() <= MAX_LENGTH;
        is_one.then(|| blake3::keyed_hash(&self.0, key.as_bytes()))
    }

    /// A new key and its hash.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn make(&self) -> Result<(String, blake3::Hash), String> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no randomness: {error}"))?;
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let hash = blake3::keyed_hash(&self.0, key.as_bytes());
        Ok((key, hash))
    }
}

/// Reads a hash as the file has it.
///
/// # Errors
/// What it must be.
pub(super) fn read_hash(text: &str) -> Result<blake3::Hash, String> {
    let digits = text.strip_prefix(HASH_PREFIX).unwrap_or_default();
    let hash = blake3::Hash::from_hex(digits).ok().filter(|hash| *hash.to_hex() == *digits);
    hash.ok_or_else(|| {
        format!("hash must be {HASH_PREFIX} and 64 small hexadecimal digits, as `gateway new-key` prints it")
    })
}

/// A new API key, and the entry of the key file that lets it in; with a verification key its calls must be signed.
///
/// # Errors
/// When the name is no participant's or the system has no randomness.
pub fn new_key(
    hasher: &KeyHasher,
    participant: &Participant,
    roles: &[String],
    verification_key: Option<&VerificationKey>,
) -> Result<(String, String), String> {
    let Participant { cell, name } = participant;
    text::participant(name).map_err(|complaint| format!("--participant {complaint}"))?;
    let (key, hash) = hasher.make()?;
    let roles: Vec<String> = roles.iter().map(|role| format!("{role:?}")).collect();
    let signed = verification_key.map(|key| format!("verification_key = \"{key}\"\n")).unwrap_or_default();
    // A gateway of the version before, which knows no cells, reads what is for the first.
    let cell = if *cell == Cell::default() { String::new() } else { format!("cell = {cell}\n") };
    let entry = format!(
        "[[key]]\nparticipant = \"{name}\"\n{cell}roles = [{}]\nhash = \"{HASH_PREFIX}{}\"\n{signed}",
        roles.join(", "),
        hash.to_hex()
    );
    Ok((key, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_needs_the_secret_and_a_secret_needs_length() {
        let hasher = |secret: &str| KeyHasher::new(&Secret::new(secret));
        let (one, other) = (hasher(&"a".repeat(32)).expect("good"), hasher(&"b".repeat(32)).expect("good"));
        let (key, hash) = one.make().expect("randomness");
        assert_eq!(one.hash(&key), Some(hash));
        assert_ne!(other.hash(&key), Some(hash));
        assert_ne!(hash, blake3::hash(key.as_bytes()));
        assert_ne!(one.make().expect("randomness").0, key);
        for bad in ["", "rk", "sk_x", &format!("rk_{}", "A".repeat(62))] {
            assert_eq!(one.hash(bad), None, "{bad}");
        }
        assert!(hasher(&"a".repeat(31)).is_err());
        assert!(!format!("{one:?}").contains("97"));
    }

    #[test]
    fn a_hash_in_the_file_says_what_it_is() {
        let digits = "0".repeat(64);
        assert!(read_hash(&format!("blake3-keyed:{digits}")).is_ok());
        for bad in [digits.clone(), format!("blake3:{digits}"), format!("blake3-keyed:{}", "A".repeat(64))] {
            assert!(read_hash(&bad).is_err(), "{bad}");
        }
    }
}
