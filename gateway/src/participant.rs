//! Who is calling: API keys (`rk_…`), of which only keyed hashes are kept.

mod api_key;
mod key_file;

use std::sync::{Arc, PoisonError, RwLock};

use tonic::metadata::MetadataMap;

pub use api_key::{KeyHasher, MIN_SECRET_BYTES, new_key};
pub use key_file::KeyFile;

use crate::caller::Caller;

/// The participants' API keys.
#[derive(Debug)]
pub struct Participants {
    hasher: KeyHasher,
    file: RwLock<Arc<KeyFile>>,
}

impl Participants {
    /// The participants whose keys the file holds, hashed by the hasher.
    pub fn new(hasher: KeyHasher, file: KeyFile) -> Self {
        Self { hasher, file: RwLock::new(Arc::new(file)) }
    }

    fn file(&self) -> Arc<KeyFile> {
        Arc::clone(&self.file.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again; a bad one changes nothing. Returns how many keys there are now.
    ///
    /// # Errors
    /// What is wrong with the file, all of it.
    pub fn reload(&self) -> Result<usize, String> {
        let file = self.file().read_again()?;
        let count = file.keys().len();
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
        Ok(count)
    }

    /// Who sent this metadata: exactly one `authorization: Bearer rk_…` whose key is known.
    pub fn identify(&self, metadata: &MetadataMap) -> Option<Arc<Caller>> {
        let mut values = metadata.get_all("authorization").iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let hash = self.hasher.hash(key)?;
        self.file().keys().get(&hash).cloned()
    }
}

#[cfg(test)]
mod tests {
    use common::settings::Secret;

    use super::*;
    use crate::caller::Role;

    fn hasher() -> KeyHasher {
        KeyHasher::new(&Secret::new("of the tests, and long enough for one")).expect("long")
    }

    fn participants(text: &str) -> Result<Participants, String> {
        let file = std::env::temp_dir().join(format!("rialto-keys-{}.toml", blake3::hash(text.as_bytes())));
        std::fs::write(&file, text).expect("write");
        Ok(Participants::new(hasher(), KeyFile::read(file)?))
    }

    fn metadata(values: &[&str]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("authorization", value.parse().expect("ascii"));
        }
        metadata
    }

    #[test]
    fn only_one_known_key_is_let_in() {
        let roles = ["payer-app".to_owned(), "operator".to_owned()];
        let (key, entry) = new_key(&hasher(), "shop", &roles).expect("key");
        let participants = participants(&entry).expect("good");
        let caller = participants.identify(&metadata(&[&format!("Bearer {key}")])).expect("known");
        assert_eq!(caller.participant, "shop");
        assert_eq!(caller.roles, [Role::PayerApp, Role::Operator]);
        assert!(entry.contains(&caller.credential));
        assert_eq!(caller.credential.len(), key_file::CREDENTIAL_DIGITS);
        let good = format!("Bearer {key}");
        for bad in [
            vec![],
            vec![""],
            vec![key.as_str()],
            vec!["Bearer rk_x"],
            vec![&good, &good],
            vec!["Basic rk_x"],
        ] {
            assert_eq!(participants.identify(&metadata(&bad)), None, "{bad:?}");
        }
        assert!(!entry.contains(&key[3..]));
    }

    #[test]
    fn everything_wrong_with_the_file_is_said_at_once() {
        let text = "[[key]]\nparticipant = \"X\"\nroles = []\nhash = \"md5:1\"\n";
        let problems = participants(text).expect_err("bad");
        for part in ["participant must", "roles must", "hash must", "key 1"] {
            assert!(problems.contains(part), "{part} in {problems}");
        }
        assert!(participants("[[key]]\nname = 1\n").expect_err("unknown key").contains("name"));
    }
}
