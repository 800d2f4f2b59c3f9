//! The one way to encrypt here.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use uuid::Uuid;

use super::Key;

/// Encrypts for one purpose: AES-256-GCM-SIV under a key of its own, with the row's id as nonce and as what is authenticated besides.
///
/// An id is encrypted under twice only if what it says is changed. With GCM-SIV that tells whether it says the same as before, and nothing else
/// (RFC 8452, section 9), so that no nonce is stored.
pub(super) struct Cipher(LessSafeKey);

impl Cipher {
    /// Encrypts under what `key` makes for `purpose`, which nothing else may have. None if the library takes no such keys.
    pub(super) fn new(purpose: &str, key: &Key) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, &blake3::derive_key(purpose, key)).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// Adds what `plain` is encrypted to to `encrypted`.
    pub(super) fn encrypt(
        &self,
        id: Uuid,
        mut plain: Vec<u8>,
        encrypted: &mut Vec<u8>,
    ) -> Result<(), Unspecified> {
        self.0.seal_in_place_append_tag(nonce(id), Aad::from(id.as_bytes()), &mut plain)?;
        encrypted.append(&mut plain);
        Ok(())
    }

    /// What was encrypted; none if it was not encrypted so.
    pub(super) fn decrypt(&self, id: Uuid, encrypted: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = encrypted.to_vec();
        let length = self.0.open_in_place(nonce(id), Aad::from(id.as_bytes()), &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

/// The random part of an id and the end of its time.
fn nonce(id: Uuid) -> Nonce {
    const SKIPPED: usize = 16 - NONCE_LEN;
    Nonce::assume_unique_for_key(std::array::from_fn(|at| id.as_bytes()[at + SKIPPED]))
}
