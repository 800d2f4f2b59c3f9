//! The file of API keys: how the first operators get in, and what lets them in when nothing else does.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::{text, verification_key::VerificationKey};
use serde::Deserialize;

use super::api_key;
use crate::{
    caller::{Caller, Participant, Role},
    cell::Cell,
};

/// How much of a key's hash names it: enough to tell any two keys apart.
pub(super) const CREDENTIAL_DIGITS: usize = 16;

/// The callers of a file's keys, by the keys' hashes.
pub(super) type FileKeys = HashMap<blake3::Hash, Arc<Caller>>;

/// A file of keyed hashes of API keys.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    cells: usize,
    keys: FileKeys,
}

impl KeyFile {
    /// Reads the file, for a gateway that serves so many cells.
    ///
    /// # Errors
    /// What is wrong with it, all of it.
    pub fn read(path: PathBuf, cells: usize) -> Result<Self, String> {
        let keys = read(&path, cells)?;
        Ok(Self { path, cells, keys })
    }

    /// Reads the same file again.
    ///
    /// # Errors
    /// What is wrong with it, all of it.
    pub(super) fn read_again(&self) -> Result<Self, String> {
        Self::read(self.path.clone(), self.cells)
    }

    /// How many cells there are for it to name.
    pub(super) fn cells(&self) -> usize {
        self.cells
    }

    /// Whose the keys are.
    pub(super) fn keys(&self) -> &FileKeys {
        &self.keys
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    participant: String,
    #[serde(default)]
    cell: Cell,
    roles: Vec<Role>,
    hash: String,
    verification_key: Option<String>,
}

fn read(file: &Path, cells: usize) -> Result<FileKeys, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let parsed: Content = toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
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
        if entry.cell.place() >= cells {
            let complaint = "cell must be the number of one of the cells of --platform, which has";
            problem(&format!("{complaint} {cells} (with semicolons between them), got {}", entry.cell));
        }
        if entry.roles.is_empty() {
            problem("roles must name at least one role");
        }
        let verification_key = entry.verification_key.as_deref().map(VerificationKey::parse).transpose();
        if let Err(complaint) = verification_key {
            problem(&format!("verification_key {complaint}"));
        }
        let hash = match api_key::read_hash(&entry.hash) {
            Ok(hash) => hash,
            Err(complaint) => {
                problem(&complaint);
                continue;
            }
        };
        let credential = hash.to_hex().chars().take(CREDENTIAL_DIGITS).collect();
        let verification_key = verification_key.ok().flatten();
        let participant = Participant::new(entry.cell, entry.participant);
        let caller = Caller { participant, roles: entry.roles, credential, verification_key };
        if by_hash.insert(hash, Arc::new(caller)).is_some() {
            problem("the same hash stands twice");
        }
    }
    if problems.is_empty() { Ok(by_hash) } else { Err(problems.join("\n    ")) }
}
