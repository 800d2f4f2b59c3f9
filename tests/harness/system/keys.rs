//! The participants' API keys.

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::audit::note::Signer;

use common::settings::Secret;
use gateway::{caller::Participant, cell::Cell, participant::KeyHasher};

use super::{HOUSE, KEY_FILE, PARTICIPANTS, SPARE, System};
use crate::{BenchError, client::Client};

/// The secret under which the bench's gateways hash API keys.
pub const API_KEY_SECRET: &str = "the bench's secret, which nobody else uses";

/// A new API key, and the entry of the bench's key file that lets it in.
///
/// # Errors
/// When the name is no participant's or the system has no randomness.
pub fn new_key(participant: &str, roles: &[&str]) -> Result<(String, String), BenchError> {
    let hasher = KeyHasher::new(&Secret::new(API_KEY_SECRET))?;
    let participant = Participant::new(Cell::default(), participant);
    let roles: Vec<String> = roles.iter().map(|&role| role.to_owned()).collect();
    Ok(gateway::participant::new_key(&hasher, &participant, &roles, None)?)
}

/// The key that checkpoints of the audit log are signed with, made if there is none, and its public half.
pub(super) fn audit_key(folder: &Path) -> Result<(PathBuf, String), BenchError> {
    let (file, public) = (folder.join("audit.key"), folder.join("audit.public"));
    if !file.is_file() {
        let key = Signer::new_key().ok_or("the system gives no randomness")?;
        fs::write(&public, Signer::new("rialto", key.as_bytes())?.public_key().to_string())?;
        fs::write(&file, key)?;
    }
    Ok((file, fs::read_to_string(public)?))
}

impl System {
    /// An API key of the participant of this number in [`PARTICIPANTS`].
    pub fn credential(&self, participant: usize) -> &str {
        self.keys.get(participant).map(String::as_str).unwrap_or_default()
    }

    /// The API key of another operator of the first participant.
    pub fn second_operator(&self) -> &str {
        self.credential(PARTICIPANTS.len())
    }

    /// The API key of an operator of the house.
    pub fn house_operator(&self) -> &str {
        self.credential(PARTICIPANTS.len() + 1)
    }

    /// The API key of the operator of [`SPARE`].
    pub fn spare_operator(&self) -> &str {
        self.credential(PARTICIPANTS.len() + 2)
    }

    /// The API keys of a participant's two operators, or its own and none if it has no operators.
    pub fn operators(&self, participant: usize) -> [&str; 2] {
        let second = match participant {
            0 => self.second_operator(),
            1 => self.credential(PARTICIPANTS.len() + 3),
            _ => "",
        };
        [self.credential(participant), second]
    }

    /// A caller with an API key of this participant and a connection of its own, whose deposits another operator approves.
    ///
    /// # Errors
    /// When the gateway's CA can't be read.
    pub fn client(&self, participant: usize) -> Result<Client, BenchError> {
        let [key, approver] = self.operators(participant);
        Client::new(&self.gateway()?, key)?.approved_by(approver)
    }
}

/// Makes the participants' API keys, one more for a second operator of each shop, one for the house's operator and one for a
/// participant that may be done away with; or reads those of an earlier start.
pub(super) fn made(folder: &Path) -> Result<Vec<String>, BenchError> {
    let secrets = folder.join("api-keys.secret");
    if let Ok(text) = fs::read_to_string(&secrets) {
        return Ok(text.lines().map(str::to_owned).collect());
    }
    let (mut entries, mut keys) = (String::new(), Vec::new());
    let one_each = PARTICIPANTS.map(|participant| match participant {
        "demo-audit" => (participant, &["auditor"][..]),
        _ => (participant, &["payer-app", "merchant", "operator"][..]),
    });
    let operators =
        [PARTICIPANTS[0], HOUSE, SPARE, PARTICIPANTS[1]].map(|participant| (participant, &["operator"][..]));
    for (participant, roles) in one_each.into_iter().chain(operators) {
        let (key, entry) = new_key(participant, roles)?;
        entries.push_str(&entry);
        keys.push(key);
    }
    fs::write(folder.join(KEY_FILE), entries)?;
    fs::write(secrets, keys.join("\n"))?;
    Ok(keys)
}
