//! Key-encryption keys: those that wrap data keys. They stand in a file, which platforms read again when it changes.

use std::fmt;

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD};
use uuid::Uuid;

use super::{Key, cipher::Cipher};

/// The most keys that a file may hold: one in use, and those that it replaces.
const MAX_KEYS: usize = 16;

/// The keys of a file: the first wraps, each unwraps what it wrapped.
pub struct WrappingKeys(Vec<WrappingKey>);

struct WrappingKey {
    id: String,
    cipher: Cipher,
}

impl fmt::Debug for WrappingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// A data key as the database keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The data key, encrypted.
    pub bytes: Vec<u8>,
    /// Which key-encryption key it is wrapped by: 64 bits of a hash of it.
    pub by: String,
}

impl WrappingKeys {
    /// Reads keys: each a line of base64, 32 bytes.
    ///
    /// # Errors
    /// What is wrong, without showing any of it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        const FORM: &str = "expected 32 bytes in base64, as `platform new-data-key` makes them";
        let text = std::str::from_utf8(text).map_err(|_| format!("line 1: {FORM}"))?;
        let mut keys: Vec<WrappingKey> = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let complain = |what: &str| format!("line {}: {what}", number + 1);
            let bytes = STANDARD.decode(line.trim()).map_err(|_| complain(FORM))?;
            let key = Key::try_from(bytes)
                .map_err(|bytes| complain(&format!("{FORM}; this one has {}", bytes.len())))?;
            let key = WrappingKey::new(&key).ok_or_else(|| complain("this key can't be used"))?;
            if keys.iter().any(|before| before.id == key.id) {
                return Err(complain("the key of a line before"));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err("holds no key: `platform new-data-key` makes one".to_owned()),
            1..=MAX_KEYS => Ok(Self(keys)),
            _ => Err(format!("holds more than {MAX_KEYS} keys")),
        }
    }

    /// A new file's text; none if the system gives no randomness.
    pub fn new_file() -> Option<String> {
        Some(format!("{}\n", STANDARD.encode(new_key()?)))
    }

    /// The ids of its keys, the one that wraps first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// Wraps a data key, of this number; none if the library fails.
    pub fn wrap(&self, number: i16, key: &Key) -> Option<Wrapped> {
        let first = self.0.first()?;
        let mut bytes = Vec::new();
        first.cipher.encrypt(place(number), key.to_vec(), &mut bytes).ok()?;
        Some(Wrapped { bytes, by: first.id.clone() })
    }

    /// Unwraps the data key of this number; none if no key of the file wrapped it so.
    pub fn unwrap(&self, number: i16, wrapped: &Wrapped) -> Option<Key> {
        let key = self.0.iter().find(|key| key.id == wrapped.by)?;
        key.cipher.decrypt(place(number), &wrapped.bytes)?.try_into().ok()
    }

    /// Whether it was wrapped by another key than the first.
    pub fn is_outdated(&self, wrapped: &Wrapped) -> bool {
        self.0.first().is_some_and(|first| first.id != wrapped.by)
    }
}

impl WrappingKey {
    fn new(key: &Key) -> Option<Self> {
        let hash = blake3::derive_key("rialto 2026-11-29 id of a key-encryption key", key);
        let id = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id, cipher: Cipher::new("rialto 2026-11-29 data_keys.wrapped", key)? })
    }
}

/// A data key has a number in place of an id, which is encrypted with it once: the same key to the same bytes, whoever wraps it.
fn place(number: i16) -> Uuid {
    Uuid::from_u128(u128::from(number.unsigned_abs()))
}

/// A new random key; none if the system gives no randomness.
pub fn new_key() -> Option<Key> {
    let mut key = [0; 32];
    rand::fill(&mut key).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(count: usize) -> String {
        (0..count).map(|_| WrappingKeys::new_file().unwrap()).collect()
    }

    #[test]
    fn the_first_key_wraps_and_each_unwraps_what_it_wrapped() {
        let (old, new) = (file(1), file(1));
        let before = WrappingKeys::parse(old.as_bytes()).unwrap();
        let wrapped = before.wrap(3, &[7; 32]).unwrap();
        assert_eq!(before.unwrap(3, &wrapped), Some([7; 32]));
        assert_eq!(before.unwrap(4, &wrapped), None, "a key has its number");
        let both = WrappingKeys::parse(format!("{new}{old}").as_bytes()).unwrap();
        assert!(both.is_outdated(&wrapped) && !before.is_outdated(&wrapped));
        let again = both.wrap(3, &both.unwrap(3, &wrapped).unwrap()).unwrap();
        let after = WrappingKeys::parse(new.as_bytes()).unwrap();
        assert_eq!(after.unwrap(3, &again), Some([7; 32]));
        assert_eq!(after.unwrap(3, &wrapped), None);
        let forged = Wrapped { by: again.by.clone(), ..wrapped };
        assert_eq!(after.unwrap(3, &forged), None);
    }

    #[test]
    fn a_file_of_anything_but_keys_is_refused_without_showing_it() {
        let one = file(1);
        let many = file(MAX_KEYS + 1);
        let short = STANDARD.encode([7; 31]);
        for (text, complaint) in [
            ("", "holds no key"),
            ("\n\n", "holds no key"),
            ("hush", "line 1: expected 32 bytes in base64"),
            (short.as_str(), "this one has 31"),
            (&format!("{one}hush!\n"), "line 2"),
            (&format!("{one}{one}"), "line 2: the key of a line before"),
            (many.as_str(), "more than 16"),
        ] {
            let problem = WrappingKeys::parse(text.as_bytes()).expect_err(text);
            assert!(problem.contains(complaint), "{problem}");
            assert!(!problem.contains("hush") && !problem.contains(&short) && !problem.contains(one.trim()));
        }
        assert!(WrappingKeys::parse(&[0xff, 0xfe]).is_err());
        assert!(WrappingKeys::parse(format!("\n  {one}\r\n").as_bytes()).is_ok());
    }
}
