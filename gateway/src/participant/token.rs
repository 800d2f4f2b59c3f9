//! Tokens of an OpenID Connect identity provider (JWT, RFC 7519), verified by its keys.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use common::text;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    NotLetIn,
    key_set::{KeySet, LEEWAY_S},
    key_source::KeySource,
};
use crate::{
    caller::{Caller, Participant, Role},
    cell::Cell,
};

/// No token is longer.
const MAX_LENGTH: usize = 4 << 10;
/// How often the provider's keys are read anew.
const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// How long to wait before they are read again, however many tokens name a key that is not among them.
const MIN_PAUSE: Duration = Duration::from_secs(30);
/// How long keys count while the provider can't be asked.
const KEYS_COUNT_FOR: Duration = Duration::from_secs(86_400);

/// Valid tokens that are remembered, of some 300 bytes each.
const MAX_REMEMBERED: usize = 10_000;

/// Verifies tokens.
#[derive(Debug)]
pub struct Tokens {
    issuer: String,
    audience: String,
    source: KeySource,
    keys: RwLock<Option<Keys>>,
    /// When the keys were last asked for. Held while they are, so that nobody else asks meanwhile.
    asked: Mutex<Option<Instant>>,
}

#[derive(Clone, Debug)]
struct Keys {
    set: Arc<KeySet>,
    read_at: Instant,
    /// Tokens that these keys have verified, by their hashes: a signature costs as much as many calls.
    verified: Arc<std::sync::Mutex<HashMap<blake3::Hash, Verified>>>,
}

#[derive(Clone, Debug)]
struct Verified {
    caller: Arc<Caller>,
    ends_at_s: u64,
}

impl Keys {
    fn new(set: KeySet) -> Self {
        Self { set: Arc::new(set), read_at: Instant::now(), verified: Arc::default() }
    }
}

/// What a token says, besides what its verification is about.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    rialto_participant: String,
    #[serde(default)]
    rialto_cell: Cell,
    rialto_roles: Vec<Role>,
    /// Verified as any number; what is not a whole one is not remembered.
    exp: serde_json::Value,
}

impl Tokens {
    /// Verifies tokens from `issuer` for `audience` with keys from `source`. A file must be good at once; a URL is first asked
    /// by [`Tokens::keep_fresh`].
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(issuer: String, audience: String, source: KeySource) -> Result<Self, String> {
        let keys = match &source {
            KeySource::File(path) => {
                let document = std::fs::read(path);
                let document =
                    document.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                let set = KeySet::read(&document, &issuer, &audience)
                    .map_err(|problem| format!("{}: {problem}", path.display()))?;
                Some(Keys::new(set))
            }
            KeySource::Url(..) => None,
        };
        Ok(Self { issuer, audience, source, keys: RwLock::new(keys), asked: Mutex::default() })
    }

    /// Reads the keys now and every few minutes, sooner when they could not be had, as long as the process lives.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            let is_read = self.read_again(Duration::ZERO).await;
            tokio::time::sleep(if is_read { REFRESH_EVERY } else { MIN_PAUSE }).await;
        }
    }

    /// Reads the keys again, unless that was done less than `pause` ago. Whether it was done now, or by somebody else while
    /// this waited; bad keys change nothing.
    async fn read_again(&self, pause: Duration) -> bool {
        let began = Instant::now();
        let mut asked = self.asked.lock().await;
        if let Some(last) = *asked
            && last.elapsed() < pause
        {
            return last >= began;
        }
        let document = self.source.read().await;
        *asked = Some(Instant::now());
        let set = document.and_then(|document| KeySet::read(&document, &self.issuer, &self.audience));
        match set {
            Ok(set) => {
                tracing::info!(keys = set.len(), "the identity provider's keys are read");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Keys::new(set));
                true
            }
            Err(problem) => {
                tracing::error!(problem, "the identity provider's keys can't be had; those from before stay");
                false
            }
        }
    }

    /// Reads the keys again since a token names one that is not among them, if that is allowed now.
    pub(super) async fn look_for_new_key(&self) -> bool {
        self.read_again(MIN_PAUSE).await
    }

    /// Reads the keys again, since somebody says that they have changed.
    pub(super) async fn reload(&self) {
        self.read_again(Duration::ZERO).await;
    }

    fn keys(&self) -> Option<Keys> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        keys.filter(|keys| keys.read_at.elapsed() < KEYS_COUNT_FOR)
    }

    /// Who a token says is calling that was verified before by the keys that there are, and has not ended.
    pub(super) fn remembered(&self, token: &str, now: SystemTime) -> Option<Arc<Caller>> {
        let keys = self.keys().filter(|_| token.len() <= MAX_LENGTH)?;
        let now_s = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let verified = keys.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = verified.get(&blake3::hash(token.as_bytes()))?;
        (now_s < verified.ends_at_s).then(|| Arc::clone(&verified.caller))
    }

    /// Who the token says is calling.
    ///
    /// # Errors
    /// When it is not valid, or there are no keys to tell by.
    pub(super) fn verify(&self, token: &str) -> Result<Arc<Caller>, NotLetIn> {
        if token.len() > MAX_LENGTH {
            return Err(NotLetIn::Unknown("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| NotLetIn::Unknown("no token"))?;
        let keys = self.keys().ok_or(NotLetIn::NotSure)?;
        let kid = header.kid.ok_or(NotLetIn::Unknown("the token names no key"))?;
        let key = keys.set.get(&kid).ok_or(NotLetIn::KeyNotKnown)?;
        let verified = jsonwebtoken::decode::<Claims>(token, &key.key, &key.validation);
        let claims = verified.map_err(|error| NotLetIn::Unknown(why(&error)))?.claims;
        let ends_at_s = claims.exp.as_u64().map(|exp_s| exp_s.saturating_add(LEEWAY_S));
        let caller = Arc::new(self.caller(claims)?);
        if let Some(ends_at_s) = ends_at_s {
            let mut verified = keys.verified.lock().unwrap_or_else(PoisonError::into_inner);
            if verified.len() >= MAX_REMEMBERED {
                verified.clear();
            }
            verified
                .insert(blake3::hash(token.as_bytes()), Verified { caller: Arc::clone(&caller), ends_at_s });
        }
        Ok(caller)
    }

    fn caller(&self, claims: Claims) -> Result<Caller, NotLetIn> {
        let is_sound = claims.iss == self.issuer
            && (1..=255).contains(&claims.sub.len())
            && !claims.rialto_roles.is_empty()
            && text::participant(&claims.rialto_participant).is_ok();
        if !is_sound {
            return Err(NotLetIn::Unknown("the token's claims name no participant, role or subject"));
        }
        let credential = credential(&claims.iss, &claims.sub);
        Ok(Caller {
            participant: Participant::new(claims.rialto_cell, claims.rialto_participant),
            roles: claims.rialto_roles,
            credential,
            verification_key: None,
        })
    }
}

/// What names a person in the record and in four-eyes rules, whatever token they hold.
fn credential(issuer: &str, subject: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("rialto 2026-11-28 issuer and subject of a token");
    hasher.update(&issuer.len().to_le_bytes()).update(issuer.as_bytes()).update(subject.as_bytes());
    let digits: String = hasher.finalize().to_hex().chars().take(32).collect();
    format!("jwt_{digits}")
}

/// The reason for the log.
fn why(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidAlgorithm => "the token's algorithm is not its key's",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is from somebody else",
        ErrorKind::InvalidAudience => "the token is for somebody else",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a claim",
        _ => "the token is malformed",
    }
}
