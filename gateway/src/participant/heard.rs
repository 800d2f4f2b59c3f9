//! What a cell's platform says of who may call: the API keys on record that work, and the participants that are disabled.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use common::verification_key::VerificationKey;
use proto::{
    convert,
    platform::{KnownApiKey, KnownCallers},
};

use crate::{
    caller::{Caller, Participant, Role},
    cell::Cell,
};

/// What a platform said last.
#[derive(Debug)]
pub struct Heard {
    cell: Cell,
    keys: HashMap<blake3::Hash, Key>,
    disabled: HashSet<String>,
}

#[derive(Debug)]
struct Key {
    caller: Arc<Caller>,
    expires_at: Option<SystemTime>,
}

impl Heard {
    /// Takes what a platform of this cell said.
    pub fn new(cell: Cell, wire: KnownCallers) -> Self {
        let keys = wire.api_keys.into_iter().filter_map(|key| read(cell, key)).collect();
        Self { cell, keys, disabled: wire.disabled_participants.into_iter().collect() }
    }

    /// Whose platform said it.
    pub fn cell(&self) -> Cell {
        self.cell
    }

    /// Whose key has this hash, if it works now.
    pub(super) fn caller(&self, hash: &blake3::Hash, now: SystemTime) -> Option<&Arc<Caller>> {
        let key = self.keys.get(hash)?;
        let works = key.expires_at.is_none_or(|end| now < end);
        works.then_some(&key.caller)
    }

    /// Whether no credential of the cell's participant of this name may be let in.
    pub(super) fn is_disabled(&self, participant: &str) -> bool {
        self.disabled.contains(participant)
    }
}

/// A key of which anything can't be read is left out: letting it in would be a guess.
fn read(cell: Cell, key: KnownApiKey) -> Option<(blake3::Hash, Key)> {
    let hash = blake3::Hash::from_slice(&key.hash).ok()?;
    let expires_at = match &key.expire_time {
        Some(end) => Some(convert::time(end)?),
        None => None,
    };
    let verification_key = match key.verification_key.as_slice() {
        [] => None,
        bytes => Some(VerificationKey::read(bytes).ok()?),
    };
    let roles = key.roles.iter().filter_map(|name| Role::named(name)).collect();
    let participant = Participant::new(cell, key.participant);
    let caller = Caller { participant, roles, credential: key.credential, verification_key };
    Some((hash, Key { caller: Arc::new(caller), expires_at }))
}
