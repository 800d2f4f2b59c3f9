//! Encryption: what tells of people is encrypted before it goes to the database, so that whoever reads its files or backups reads none of it.
//!
//! Envelope encryption. Data keys, which the platform makes, encrypt rows; they stand in the database, wrapped by key-encryption keys, which
//! only the platforms' hosts have ([`wrapping`]). A value ([`Keyring`]) is the number of its data key, then what it says ([`contents`]), encrypted
//! with AES-256-GCM-SIV (RFC 8452) under a key of its column. The row's id is authenticated with it and makes the nonce, so that nothing but
//! the tag is stored more, and a value holds in no other row and no other column.

mod cipher;
pub mod contents;
mod keyring;
mod packed;
pub mod positions;
pub mod wrapping;

pub use keyring::{FIRST_NUMBER, Keyring, LOOKUP_NUMBER, LookupKey, NotDecrypted, number_of};

/// A key of 256 bits.
pub type Key = [u8; 32];
