//! Who is calling: API keys (`rk_…`), of which only keyed hashes are kept, and tokens of an identity provider. Some keys stand in
//! a file, which lets operators in when nothing else does; the others are on record in the ledger's database, and the platform
//! says which of them work, and which participants are let in at all.

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
use tonic::metadata::MetadataMap;

pub use api_key::{KeyHasher, MIN_SECRET_BYTES, new_key};
pub use heard::Heard;
pub use key_file::KeyFile;
pub use key_source::KeySource;
pub use token::Tokens;

use crate::caller::Caller;

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
    heard: Arc<Heard>,
    /// Until when what was heard counts; nothing was heard if there is none.
    heard_counts_until: Option<Instant>,
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
    /// The participants whose keys the file holds or the platform will name, hashed by the hasher; the operators of `house`
    /// administer the others.
    pub fn new(
        hasher: KeyHasher,
        file: KeyFile,
        tokens: Option<Arc<Tokens>>,
        house: String,
        clock: Clock,
    ) -> Self {
        let known = Known { file: Arc::new(file), heard: Arc::default(), heard_counts_until: None };
        Self { hasher, house, clock, tokens, known: RwLock::new(Arc::new(known)) }
    }

    /// What hashes their API keys.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Whether the caller's participant is the one whose operators administer the others.
    pub fn is_house(&self, caller: &Caller) -> bool {
        caller.participant == self.house
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

    /// Takes what a platform saw so long ago of who may call. Of what several platforms say, the newest counts: another one's may be of a
    /// time when a key was not yet revoked.
    pub fn hear(&self, heard: &Arc<Heard>, age: Duration) {
        let Some(counts_until) = COUNTS_FOR.checked_sub(age).map(|rest| Instant::now() + rest) else {
            return;
        };
        self.change(|known| {
            if known.heard_counts_until.is_none_or(|until| until <= counts_until) {
                known.heard_counts_until = Some(counts_until);
                known.heard = Arc::clone(heard);
            }
        });
    }

    /// Whether any platform has said who may call.
    pub fn have_heard(&self) -> bool {
        self.known().heard_counts_until.is_some()
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
                known.heard_counts()?;
                caller
            }
            (None, None) => return Err(NotLetIn::Unknown("no API key")),
        };
        if known.heard.is_disabled(&caller.participant) {
            return Err(NotLetIn::Unknown("the participant is disabled"));
        }
        Ok(caller)
    }

    fn caller_by_key(&self, known: &Known, hash: &blake3::Hash) -> Result<Arc<Caller>, NotLetIn> {
        if let Some(caller) = known.file.keys().get(hash) {
            return Ok(Arc::clone(caller));
        }
        known.heard_counts()?;
        let caller = known.heard.caller(hash, self.clock.now());
        caller.cloned().ok_or(NotLetIn::Unknown("no API key that works"))
    }
}

impl Known {
    /// Whether what was heard still counts.
    fn heard_counts(&self) -> Result<(), NotLetIn> {
        let counts = self.heard_counts_until.is_some_and(|until| Instant::now() < until);
        if counts { Ok(()) } else { Err(NotLetIn::NotSure) }
    }
}

#[cfg(test)]
mod tests {
    use common::settings::Secret;
    use proto::platform::{KnownApiKey, KnownCallers};

    use super::*;
    use crate::caller::Role;

    fn hasher() -> KeyHasher {
        KeyHasher::new(&Secret::new("of the tests, and long enough for one")).expect("long")
    }

    fn participants(text: &str) -> Result<Participants, String> {
        let file = std::env::temp_dir().join(format!("rialto-keys-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&file, text).expect("write");
        let keys = KeyFile::read(file.clone());
        std::fs::remove_file(&file).expect("removed");
        let keys = keys?;
        Ok(Participants::new(hasher(), keys, None, "house".to_owned(), Clock::system()))
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
        let (key, entry) = new_key(&hasher(), "shop", &roles, None).expect("key");
        let participants = participants(&entry).expect("good");
        let caller = participants.identify_at_once(&metadata(&[&format!("Bearer {key}")])).expect("known");
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
            let refused = participants.identify_at_once(&metadata(&bad));
            assert!(matches!(refused, Err(NotLetIn::Unknown(_) | NotLetIn::NotSure)), "{bad:?}");
        }
        assert!(!entry.contains(&key[3..]));
    }

    /// Participants with one key in the file (`shop`), another on record (`desk`, until `end`), and a clock.
    fn on_record(end: Option<Duration>) -> (Participants, [MetadataMap; 2], KnownCallers, Clock) {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(1_000);
        let clock = Clock::manual(now);
        let (in_file, entry) = new_key(&hasher(), "shop", &["operator".to_owned()], None).expect("key");
        let participants = Participants { clock: clock.clone(), ..participants(&entry).expect("good") };
        let (key, hash) = hasher().make().expect("randomness");
        let known = KnownCallers {
            api_keys: vec![KnownApiKey {
                hash: hash.as_bytes().to_vec(),
                participant: "desk".to_owned(),
                roles: vec!["auditor".to_owned()],
                credential: "key_1".to_owned(),
                expire_time: end.map(|end| (now + end).into()),
                verification_key: Vec::new(),
            }],
            disabled_participants: Vec::new(),
        };
        let bearer = |key: String| metadata(&[&format!("Bearer {key}")]);
        (participants, [bearer(in_file), bearer(key)], known, clock)
    }

    fn said(known: KnownCallers) -> Arc<Heard> {
        Arc::new(Heard::new(known))
    }

    const NOW: Duration = Duration::ZERO;

    #[tokio::test]
    async fn keys_on_record_count_as_long_as_the_platform_is_heard() {
        let (participants, [in_file, on_record], known, _) = on_record(None);
        assert_eq!(participants.identify_at_once(&on_record), Err(NotLetIn::NotSure), "nothing was heard");
        let heard = said(known);
        // A word that was long on its way counts for less; then the platform is silent.
        participants.hear(&heard, Duration::from_secs(3));
        let name = participants.identify_at_once(&on_record).map(|caller| caller.participant.clone());
        assert_eq!(name, Ok("desk".to_owned()));
        tokio::time::sleep(Duration::from_millis(1_010)).await;
        assert_eq!(participants.identify_at_once(&on_record), Err(NotLetIn::NotSure), "4 s without a word");
        assert!(participants.identify_at_once(&in_file).is_ok(), "the file's keys need nobody");
        participants.hear(&heard, Duration::from_secs(4));
        assert_eq!(participants.identify_at_once(&on_record), Err(NotLetIn::NotSure));
        participants.hear(&heard, NOW);
        assert!(participants.identify_at_once(&on_record).is_ok());
        participants.hear(&said(KnownCallers::default()), NOW);
        assert!(matches!(participants.identify_at_once(&on_record), Err(NotLetIn::Unknown(_))), "revoked");
    }

    #[tokio::test]
    async fn of_several_platforms_the_one_that_looked_last_counts() {
        let (participants, [_, on_record], known, _) = on_record(None);
        let (before, after) = (said(known), said(KnownCallers::default()));
        participants.hear(&before, NOW);
        participants.hear(&after, NOW);
        // Another platform hangs, and saw the key before it was revoked.
        participants.hear(&before, Duration::from_secs(2));
        assert!(matches!(participants.identify_at_once(&on_record), Err(NotLetIn::Unknown(_))), "revoked");
        // A word that is old makes nothing end that a newer one says.
        participants.hear(&before, NOW);
        participants.hear(&after, Duration::from_secs(4));
        assert!(participants.identify_at_once(&on_record).is_ok());
    }

    #[tokio::test]
    async fn a_disabled_participant_is_not_let_in_by_any_key() {
        let (participants, [in_file, on_record], known, _) = on_record(None);
        participants.hear(&said(known.clone()), NOW);
        assert!(
            participants.identify_at_once(&in_file).is_ok()
                && participants.identify_at_once(&on_record).is_ok()
        );
        let disabled_participants = vec!["shop".to_owned(), "desk".to_owned()];
        participants.hear(&said(KnownCallers { disabled_participants, ..known }), NOW);
        for metadata in [in_file, on_record] {
            assert!(matches!(participants.identify_at_once(&metadata), Err(NotLetIn::Unknown(_))));
        }
    }

    #[tokio::test]
    async fn a_key_ends_by_this_clock_too() {
        let (participants, [_, on_record], known, clock) = on_record(Some(Duration::from_secs(10)));
        participants.hear(&said(known), NOW);
        assert!(participants.identify_at_once(&on_record).is_ok());
        clock.advance(Duration::from_secs(10));
        assert!(matches!(participants.identify_at_once(&on_record), Err(NotLetIn::Unknown(_))));
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
