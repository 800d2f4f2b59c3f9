//! Who is calling: API keys (`rk_…`), of which only keyed hashes are kept, and tokens of an identity provider. Some keys stand in
//! a file, which lets operators in when nothing else does; the others are on record in a ledger's database, and its platform
//! says which of them work, and which participants are let in at all.
//!
//! A credential also says in which cell its participant is: a key on record the one whose platforms tell it, and keys of the file and tokens
//! by the cell's number.

mod api_key;
mod heard;
mod key_file;
mod key_set;
mod key_source;
mod token;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use common::{clock::Clock, fault::Fault};
use proto::platform::KnownCallers;
use tonic::metadata::MetadataMap;

pub use api_key::{KeyHasher, MIN_SECRET_BYTES, new_key};
pub use heard::Heard;
pub use key_file::KeyFile;
pub use key_source::KeySource;
pub use token::Tokens;

use crate::{caller::Caller, cell::Cell};

/// How long what the platform saw counts: with a second between its looks and one for the way, a revoked key is refused
/// after 5 s, even by a gateway that hears nothing.
const COUNTS_FOR: Duration = Duration::from_secs(4);

/// The participants' credentials.
#[derive(Debug)]
pub struct Participants {
    hasher: KeyHasher,
    house: String,
    clock: Clock,
    tokens: Option<Arc<Tokens>>,
    known: RwLock<Arc<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    file: Arc<KeyFile>,
    /// One for each cell, in their order.
    words: Vec<Word>,
}

/// What the platforms of a cell said last of who may call.
#[derive(Clone, Debug)]
struct Word {
    heard: Arc<Heard>,
    /// Until when it counts; nothing was said if there is none.
    counts_until: Option<Instant>,
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLetIn {
    /// The credential is none that works. The reason is for the log, never for the caller.
    Unknown(&'static str),
    /// The credential is a token whose key the identity provider did not have when it was last asked.
    KeyNotKnown,
    /// Whether the credential works is not known at present.
    NotSure,
}

impl From<NotLetIn> for Fault {
    fn from(not_let_in: NotLetIn) -> Self {
        match not_let_in {
            NotLetIn::Unknown(reason) => {
                tracing::debug!(reason, "a caller is not let in");
                Fault::unauthenticated()
            }
            NotLetIn::KeyNotKnown => Self::from(NotLetIn::Unknown("the token's key is not the provider's")),
            NotLetIn::NotSure => Fault::unavailable(
                "IDENTITY_UNAVAILABLE",
                "whether this credential works is not known at present; nothing was begun: send the same request again",
            ),
        }
    }
}

impl Participants {
    /// The participants whose keys the file holds or the platforms of its cells will name, hashed by the hasher; the operators of each
    /// cell's `house` administer the others there.
    pub fn new(
        hasher: KeyHasher,
        file: KeyFile,
        tokens: Option<Arc<Tokens>>,
        house: String,
        clock: Clock,
    ) -> Self {
        let silence =
            |cell| Word { heard: Arc::new(Heard::new(cell, KnownCallers::default())), counts_until: None };
        let words = Cell::all().take(file.cells()).map(silence).collect();
        let known = Known { file: Arc::new(file), words };
        Self { hasher, house, clock, tokens, known: RwLock::new(Arc::new(known)) }
    }

    /// What hashes their API keys.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Whether the caller's participant is the one whose operators administer the others of its cell.
    pub fn is_house(&self, caller: &Caller) -> bool {
        caller.participant.name == self.house
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut known));
    }

    /// What verifies tokens, if anything does.
    pub fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.tokens.as_ref()
    }

    /// Reads the file again, and then the identity provider's keys; what is bad changes nothing. Returns how many keys of the
    /// file there are now.
    ///
    /// # Errors
    /// What is wrong with the file, all of it.
    pub async fn reload(&self) -> Result<usize, String> {
        let count = self.reload_file();
        if let Some(tokens) = &self.tokens {
            tokens.reload().await;
        }
        count
    }

    fn reload_file(&self) -> Result<usize, String> {
        let file = self.known().file.read_again()?;
        let count = file.keys().len();
        self.change(|known| known.file = Arc::new(file));
        Ok(count)
    }

    /// Takes what a platform saw so long ago of who may call. Of what several platforms of a cell say, the newest counts: another one's may
    /// be of a time when a key was not yet revoked.
    pub fn hear(&self, heard: &Arc<Heard>, age: Duration) {
        let Some(counts_until) = COUNTS_FOR.checked_sub(age).map(|rest| Instant::now() + rest) else {
            return;
        };
        self.change(|known| {
            if let Some(word) = known.words.get_mut(heard.cell().place())
                && word.counts_until.is_none_or(|until| until <= counts_until)
            {
                *word = Word { heard: Arc::clone(heard), counts_until: Some(counts_until) };
            }
        });
    }

    /// Whether any platform of each cell has said who may call.
    pub fn have_heard(&self) -> bool {
        self.known().words.iter().all(|word| word.counts_until.is_some())
    }

    /// Who sent this metadata: exactly one `authorization: Bearer …` with an API key that works or a valid token. A token that was
    /// not seen before is verified only if `may_try` says that it may be.
    ///
    /// # Errors
    /// When nobody known did, or it can't be told at present.
    pub async fn identify(
        &self,
        metadata: &MetadataMap,
        may_try: impl Fn() -> bool,
    ) -> Result<Arc<Caller>, NotLetIn> {
        match (self.find(metadata, may_try), &self.tokens) {
            (Err(NotLetIn::KeyNotKnown), Some(tokens)) => {
                // In a place of its own: it is rare, and would be carried along with every call.
                if Box::pin(tokens.look_for_new_key()).await {
                    return self.identify_at_once(metadata);
                }
                Err(NotLetIn::KeyNotKnown)
            }
            (identified, _) => identified,
        }
    }

    /// As [`Participants::identify`], without asking the identity provider whether it has a new key.
    ///
    /// # Errors
    /// When nobody known did, or it can't be told at present.
    pub fn identify_at_once(&self, metadata: &MetadataMap) -> Result<Arc<Caller>, NotLetIn> {
        self.find(metadata, || true)
    }

    fn find(&self, metadata: &MetadataMap, may_try: impl Fn() -> bool) -> Result<Arc<Caller>, NotLetIn> {
        let mut values = metadata.get_all("authorization").iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(NotLetIn::Unknown("not exactly one authorization"));
        };
        let value = value.to_str().unwrap_or_default().split_once(' ');
        let bearer = value.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, credential) = bearer.ok_or(NotLetIn::Unknown("no bearer"))?;
        let known = self.known();
        let caller = match (self.hasher.hash(credential), &self.tokens) {
            (Some(hash), _) => self.caller_by_key(&known, &hash)?,
            (None, Some(tokens)) => {
                let caller = match tokens.remembered(credential, self.clock.now()) {
                    Some(caller) => caller,
                    None if may_try() => tokens.verify(credential)?,
                    None => return Err(NotLetIn::Unknown("too many came from there that nobody knows")),
                };
                // Whether its participant is disabled must be known.
                if !known.word(&caller)?.counts() {
                    return Err(NotLetIn::NotSure);
                }
                caller
            }
            (None, None) => return Err(NotLetIn::Unknown("no API key")),
        };
        if known.word(&caller)?.heard.is_disabled(&caller.participant.name) {
            return Err(NotLetIn::Unknown("the participant is disabled"));
        }
        Ok(caller)
    }

    fn caller_by_key(&self, known: &Known, hash: &blake3::Hash) -> Result<Arc<Caller>, NotLetIn> {
        if let Some(caller) = known.file.keys().get(hash) {
            return Ok(Arc::clone(caller));
        }
        let now = self.clock.now();
        let mut counting = known.words.iter().filter(|word| word.counts());
        match counting.find_map(|word| word.heard.caller(hash, now)) {
            Some(caller) => Ok(Arc::clone(caller)),
            None if known.words.iter().all(Word::counts) => Err(NotLetIn::Unknown("no API key that works")),
            // It may be one of a cell that is silent.
            None => Err(NotLetIn::NotSure),
        }
    }
}

impl Known {
    /// What was said in the caller's own cell.
    fn word(&self, caller: &Caller) -> Result<&Word, NotLetIn> {
        let word = self.words.get(caller.participant.cell.place());
        word.ok_or(NotLetIn::Unknown("the cell is none of this gateway's"))
    }
}

impl Word {
    /// Whether it still counts.
    fn counts(&self) -> bool {
        self.counts_until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests;
