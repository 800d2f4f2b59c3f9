//! The keys in use: data keys, by their numbers, and the key of look-ups.

use std::{collections::BTreeMap, fmt, sync::Arc};

use prost::{
    Message,
    encoding::{decode_varint, encode_varint},
};
use uuid::Uuid;

use super::{
    Key,
    cipher::Cipher,
    contents::{OfAccount, OfBankMessage, OfPayment, OfReason, OfWebhook},
};

/// The number of the key of look-ups.
pub const LOOKUP_NUMBER: i16 = 0;
/// The number of the first data key.
pub const FIRST_NUMBER: i16 = 1;

/// Why an encrypted value says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDecrypted {
    /// There is no key, or not this one.
    #[error("encrypted under a data key that is not known here")]
    NoKey,
    /// It was changed, or belongs to another row.
    #[error("not what was encrypted for this row")]
    NotAuthentic,
}

/// All keys that a platform has: encrypts under the newest, decrypts under each. Without any it does neither.
#[derive(Clone, Default)]
pub struct Keyring {
    data_keys: BTreeMap<i16, Arc<DataKey>>,
    lookup: Option<LookupKey>,
}

/// One key for each column, so that none says of a value what another one would.
struct DataKey {
    payments: Cipher,
    reasons: Cipher,
    accounts: Cipher,
    webhooks: Cipher,
    bank_messages: Cipher,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("data_keys", &self.data_keys.keys()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Adds a key by its number: [`LOOKUP_NUMBER`], or that of a data key. Says whether it could.
    #[must_use]
    pub fn add(&mut self, number: i16, key: &Key) -> bool {
        if number == LOOKUP_NUMBER {
            self.lookup = Some(LookupKey::new(key));
            return true;
        }
        let payments = Cipher::new("rialto 2026-11-29 payments.personal", key);
        let accounts = Cipher::new("rialto 2026-11-29 accounts.personal", key);
        let reasons = Cipher::new("rialto 2026-11-29 payments.reason_message", key);
        let webhooks = Cipher::new("rialto 2026-11-29 webhook_endpoints.confidential", key);
        let bank_messages = Cipher::new("rialto 2026-11-29 bank_messages.body", key);
        let (Some(payments), Some(reasons), Some(accounts), Some(webhooks), Some(bank_messages)) =
            (payments, reasons, accounts, webhooks, bank_messages)
        else {
            return false;
        };
        let data_key = DataKey { payments, reasons, accounts, webhooks, bank_messages };
        self.data_keys.insert(number, data_key.into());
        true
    }

    /// Whether it has this key.
    pub fn has(&self, number: i16) -> bool {
        match number {
            LOOKUP_NUMBER => self.lookup.is_some(),
            number => self.data_keys.contains_key(&number),
        }
    }

    /// What look-ups and salts are made with; none without keys.
    pub fn lookup(&self) -> Option<&LookupKey> {
        self.lookup.as_ref()
    }

    /// Encrypts what a payment says of people; none without a data key.
    pub fn encrypt_payment(&self, id: Uuid, contents: &OfPayment) -> Option<Vec<u8>> {
        self.encrypt(|key| &key.payments, id, contents)
    }

    /// Decrypts what a payment says of people.
    ///
    /// # Errors
    /// See [`NotDecrypted`].
    pub fn decrypt_payment(&self, id: Uuid, encrypted: &[u8]) -> Result<OfPayment, NotDecrypted> {
        self.decrypt(|key| &key.payments, id, encrypted)
    }

    /// Encrypts why a payment is as it is; none without a data key.
    pub fn encrypt_reason(&self, id: Uuid, contents: &OfReason) -> Option<Vec<u8>> {
        self.encrypt(|key| &key.reasons, id, contents)
    }

    /// Decrypts why a payment is as it is.
    ///
    /// # Errors
    /// See [`NotDecrypted`].
    pub fn decrypt_reason(&self, id: Uuid, encrypted: &[u8]) -> Result<OfReason, NotDecrypted> {
        self.decrypt(|key| &key.reasons, id, encrypted)
    }

    /// Encrypts what an account says of people; none without a data key.
    pub fn encrypt_account(&self, id: Uuid, contents: &OfAccount) -> Option<Vec<u8>> {
        self.encrypt(|key| &key.accounts, id, contents)
    }

    /// Decrypts what an account says of people.
    ///
    /// # Errors
    /// See [`NotDecrypted`].
    pub fn decrypt_account(&self, id: Uuid, encrypted: &[u8]) -> Result<OfAccount, NotDecrypted> {
        self.decrypt(|key| &key.accounts, id, encrypted)
    }

    /// Encrypts what of an endpoint is its participant's alone; none without a data key.
    pub fn encrypt_webhook(&self, id: Uuid, contents: &OfWebhook) -> Option<Vec<u8>> {
        self.encrypt(|key| &key.webhooks, id, contents)
    }

    /// Decrypts what of an endpoint is its participant's alone.
    ///
    /// # Errors
    /// See [`NotDecrypted`].
    pub fn decrypt_webhook(&self, id: Uuid, encrypted: &[u8]) -> Result<OfWebhook, NotDecrypted> {
        self.decrypt(|key| &key.webhooks, id, encrypted)
    }

    /// Encrypts what a bank said; none without a data key.
    pub fn encrypt_bank_message(&self, id: Uuid, contents: &OfBankMessage) -> Option<Vec<u8>> {
        self.encrypt(|key| &key.bank_messages, id, contents)
    }

    /// Decrypts what a bank said.
    ///
    /// # Errors
    /// See [`NotDecrypted`].
    pub fn decrypt_bank_message(&self, id: Uuid, encrypted: &[u8]) -> Result<OfBankMessage, NotDecrypted> {
        self.decrypt(|key| &key.bank_messages, id, encrypted)
    }

    fn encrypt(&self, column: fn(&DataKey) -> &Cipher, id: Uuid, contents: &impl Message) -> Option<Vec<u8>> {
        let (number, key) = self.data_keys.last_key_value()?;
        let mut encrypted = Vec::new();
        encode_varint(u64::try_from(*number).ok()?, &mut encrypted);
        column(key).encrypt(id, contents.encode_to_vec(), &mut encrypted).ok()?;
        Some(encrypted)
    }

    fn decrypt<M: Message + Default>(
        &self,
        column: fn(&DataKey) -> &Cipher,
        id: Uuid,
        encrypted: &[u8],
    ) -> Result<M, NotDecrypted> {
        let (number, encrypted) = split(encrypted).ok_or(NotDecrypted::NoKey)?;
        let key = self.data_keys.get(&number).ok_or(NotDecrypted::NoKey)?;
        let plain = column(key).decrypt(id, encrypted).ok_or(NotDecrypted::NotAuthentic)?;
        M::decode(plain.as_slice()).map_err(|_| NotDecrypted::NotAuthentic)
    }
}

/// The number of the data key that a value says it is encrypted under; none if it says none.
pub fn number_of(encrypted: &[u8]) -> Option<i16> {
    split(encrypted).map(|(number, _)| number)
}

fn split(mut encrypted: &[u8]) -> Option<(i16, &[u8])> {
    let number = decode_varint(&mut encrypted).ok()?;
    Some((i16::try_from(number).ok()?, encrypted))
}

/// What equal things are found by that must not be read: hashes under this key, which is never replaced, since all that was hashed under it
/// would be found no more.
#[derive(Clone)]
pub struct LookupKey {
    iban: Key,
    fingerprint: Key,
    salt: Key,
    position: Key,
    url: Key,
}

impl fmt::Debug for LookupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookupKey(***)")
    }
}

impl LookupKey {
    fn new(key: &Key) -> Self {
        Self {
            iban: blake3::derive_key("rialto 2026-11-29 accounts.iban_hash", key),
            fingerprint: blake3::derive_key("rialto 2026-11-29 request_fingerprint", key),
            salt: blake3::derive_key("rialto 2026-11-29 salts of the audit log", key),
            position: blake3::derive_key("rialto 2026-11-29 positions in the log of events", key),
            url: blake3::derive_key("rialto 2026-11-29 webhook_endpoints.url_hash", key),
        }
    }

    /// By what the account with an IBAN (electronic form) is found: 128 bits of a hash that nobody without the key can compute.
    pub fn iban_hash(&self, iban: &str) -> Uuid {
        Uuid::from_bytes(half(&blake3::keyed_hash(&self.iban, iban.as_bytes())))
    }

    /// By what an endpoint with a URL is found.
    pub fn url_hash(&self, url: &str) -> Uuid {
        Uuid::from_bytes(half(&blake3::keyed_hash(&self.url, url.as_bytes())))
    }

    /// The key of [`crate::fingerprint`].
    pub fn fingerprint_key(&self) -> Key {
        self.fingerprint
    }

    /// The key of [`super::positions`].
    pub fn position_key(&self) -> Key {
        self.position
    }

    /// What keeps whoever has a payment's hash in the audit log from trying out what it says of people.
    pub fn salt(&self, payment: Uuid) -> [u8; 16] {
        half(&blake3::keyed_hash(&self.salt, payment.as_bytes()))
    }
}

fn half(hash: &blake3::Hash) -> [u8; 16] {
    std::array::from_fn(|at| hash.as_bytes()[at])
}

#[cfg(test)]
mod tests;
