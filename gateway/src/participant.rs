//! Who is calling: API keys (`rk_…`), of which only hashes are kept.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::text;
use serde::Deserialize;
use tonic::metadata::MetadataMap;

use crate::caller::{Caller, Role};

/// How an API key begins.
const PREFIX: &str = "rk_";
/// How the hash of one begins in the file.
const HASH_PREFIX: &str = "blake3:";
/// How many random bytes it has.
const KEY_BYTES: usize = 32;

/// How much of a key's hash names it: enough to tell any two keys apart.
const CREDENTIAL_DIGITS: usize = 16;

/// The participants' API keys.
#[derive(Debug)]
pub struct Participants {
    file: PathBuf,
    by_hash: RwLock<Arc<HashMap<blake3::Hash, Arc<Caller>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    participant: String,
    roles: Vec<Role>,
    hash: String,
}

impl Participants {
    /// Reads the file of hashed API keys.
    ///
    /// # Errors
    /// What is wrong with the file, all of it.
    pub fn read(file: PathBuf) -> Result<Self, String> {
        let by_hash = RwLock::new(Arc::new(read(&file)?));
        Ok(Self { file, by_hash })
    }

    /// Reads the file again; a bad one changes nothing. Returns how many keys there are now.
    ///
    /// # Errors
    /// What is wrong with the file, all of it.
    pub fn reload(&self) -> Result<usize, String> {
        let keys = read(&self.file)?;
        let count = keys.len();
        *self.by_hash.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(count)
    }

    /// Who sent this metadata: exactly one `authorization: Bearer rk_…` whose key is known.
    pub fn identify(&self, metadata: &MetadataMap) -> Option<Arc<Caller>> {
        let mut values = metadata.get_all("authorization").iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") || !key.starts_with(PREFIX) || key.len() > 64 {
            return None;
        }
        let by_hash = Arc::clone(&self.by_hash.read().unwrap_or_else(PoisonError::into_inner));
        by_hash.get(&blake3::hash(key.as_bytes())).cloned()
    }
}

fn read(file: &PathBuf) -> Result<HashMap<blake3::Hash, Arc<Caller>>, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let parsed: KeyFile = toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    let mut by_hash = HashMap::new();
    let mut problems = Vec::new();
    if parsed.key.is_empty() {
        problems.push(format!("{name}: holds no key, so nobody could call"));
    }
    for (number, entry) in parsed.key.into_iter().enumerate() {
        let mut problem = |what: &str| problems.push(format!("{name}: key {}: {what}", number + 1));
        if let Err(complaint) = text::participant(&entry.participant) {
            problem(&format!("participant {complaint}"));
        }
        if entry.roles.is_empty() {
            problem("roles must name at least one role");
        }
        let digits = entry.hash.strip_prefix(HASH_PREFIX).unwrap_or_default();
        let hash = blake3::Hash::from_hex(digits).ok().filter(|hash| *hash.to_hex() == *digits);
        let Some(hash) = hash else {
            problem("hash must be blake3: and 64 small hexadecimal digits, as `gateway new-key` prints it");
            continue;
        };
        let credential = digits.chars().take(CREDENTIAL_DIGITS).collect();
        let caller = Caller { participant: entry.participant, roles: entry.roles, credential };
        if by_hash.insert(hash, Arc::new(caller)).is_some() {
            problem("the same hash stands twice");
        }
    }
    if problems.is_empty() { Ok(by_hash) } else { Err(problems.join("\n    ")) }
}

/// A new API key, and the entry of the key file that lets it in.
///
/// # Errors
/// When the name is no participant's or the system has no randomness.
pub fn new_key(participant: &str, roles: &[String]) -> Result<(String, String), String> {
    text::participant(participant).map_err(|complaint| format!("--participant {complaint}"))?;
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no randomness: {error}"))?;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let roles: Vec<String> = roles.iter().map(|role| format!("{role:?}")).collect();
    let entry = format!(
        "[[key]]\nparticipant = \"{participant}\"\nroles = [{}]\nhash = \"{HASH_PREFIX}{}\"\n",
        roles.join(", "),
        blake3::hash(key.as_bytes()).to_hex()
    );
    Ok((key, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn participants(text: &str) -> Result<Participants, String> {
        let file = std::env::temp_dir().join(format!("rialto-keys-{}.toml", blake3::hash(text.as_bytes())));
        std::fs::write(&file, text).expect("write");
        Participants::read(file)
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
        let (key, entry) = new_key("shop", &["payer-app".to_owned(), "operator".to_owned()]).expect("key");
        let participants = participants(&entry).expect("good");
        let caller = participants.identify(&metadata(&[&format!("Bearer {key}")])).expect("known");
        assert_eq!(caller.participant, "shop");
        assert_eq!(caller.roles, [Role::PayerApp, Role::Operator]);
        assert!(entry.contains(&caller.credential) && caller.credential.len() == CREDENTIAL_DIGITS);
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
