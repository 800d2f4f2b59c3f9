//! Tests of who is let in.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::settings::Secret;
use proto::platform::{KnownApiKey, KnownCallers};

use super::*;
use crate::caller::{Participant, Role};

fn hasher() -> KeyHasher {
    KeyHasher::new(&Secret::new("of the tests, and long enough for one")).expect("long")
}

fn participants(cells: usize, text: &str) -> Result<Participants, String> {
    let file = std::env::temp_dir().join(format!("rialto-keys-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&file, text).expect("write");
    let keys = KeyFile::read(file.clone(), cells);
    std::fs::remove_file(&file).expect("removed");
    let keys = keys?;
    Ok(Participants::new(hasher(), keys, None, "house".to_owned(), Clock::system()))
}

/// The cell of this number.
fn cell(number: u32) -> Cell {
    Cell::try_from(number).expect("a cell")
}

/// A new key of this participant, and its entry in the file.
fn key_of(cell: Cell, participant: &str) -> (MetadataMap, String) {
    let participant = Participant::new(cell, participant);
    let (key, entry) = new_key(&hasher(), &participant, &["operator".to_owned()], None).expect("key");
    (metadata(&[&format!("Bearer {key}")]), entry)
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
    let shop = Participant::new(cell(1), "shop");
    let (key, entry) = new_key(&hasher(), &shop, &roles, None).expect("key");
    let participants = participants(1, &entry).expect("good");
    let caller = participants.identify_at_once(&metadata(&[&format!("Bearer {key}")])).expect("known");
    assert_eq!(caller.participant, shop);
    assert_eq!(caller.roles, [Role::PayerApp, Role::Operator]);
    assert!(entry.contains(&caller.credential));
    assert_eq!(caller.credential.len(), key_file::CREDENTIAL_DIGITS);
    let good = format!("Bearer {key}");
    for bad in
        [vec![], vec![""], vec![key.as_str()], vec!["Bearer rk_x"], vec![&good, &good], vec!["Basic rk_x"]]
    {
        let refused = participants.identify_at_once(&metadata(&bad));
        assert!(matches!(refused, Err(NotLetIn::Unknown(_) | NotLetIn::NotSure)), "{bad:?}");
    }
    assert!(!entry.contains(&key[3..]));
}

/// Participants with one key in the file (`shop`), another on record (`desk`, until `end`), and a clock.
fn on_record(end: Option<Duration>) -> (Participants, [MetadataMap; 2], KnownCallers, Clock) {
    let now = std::time::UNIX_EPOCH + Duration::from_secs(1_000);
    let clock = Clock::manual(now);
    let (in_file, entry) = key_of(cell(1), "shop");
    let participants = Participants { clock: clock.clone(), ..participants(1, &entry).expect("good") };
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
    (participants, [in_file, metadata(&[&format!("Bearer {key}")])], known, clock)
}

fn said(known: KnownCallers) -> Arc<Heard> {
    said_in(cell(1), known)
}

fn said_in(cell: Cell, known: KnownCallers) -> Arc<Heard> {
    Arc::new(Heard::new(cell, known))
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
    assert_eq!(name, Ok(Participant::new(cell(1), "desk")));
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
        participants.identify_at_once(&in_file).is_ok() && participants.identify_at_once(&on_record).is_ok()
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
    let problems = participants(1, text).expect_err("bad");
    for part in ["participant must", "roles must", "hash must", "key 1"] {
        assert!(problems.contains(part), "{part} in {problems}");
    }
    assert!(participants(1, "[[key]]\nname = 1\n").expect_err("unknown key").contains("name"));
}

/// Participants of two cells, each with a key on record (`desk`), and what the cells' platforms say.
fn of_two_cells(file: &str) -> (Participants, [MetadataMap; 2], [KnownCallers; 2]) {
    let participants = participants(2, file).expect("good");
    let [(_, [_, first], one, _), (_, [_, second], two, _)] = [on_record(None), on_record(None)];
    (participants, [first, second], [one, two])
}

/// The cell whose participant a credential is of.
fn cell_of(participants: &Participants, credential: &MetadataMap) -> Result<Cell, NotLetIn> {
    participants.identify_at_once(credential).map(|caller| caller.participant.cell)
}

#[tokio::test]
async fn a_key_is_of_the_cell_whose_platforms_tell_it() {
    let (participants, [first, second], [one, two]) = of_two_cells(&key_of(cell(1), "shop").1);
    participants.hear(&said_in(cell(1), one), NOW);
    participants.hear(&said_in(cell(2), two), NOW);
    assert_eq!(cell_of(&participants, &first), Ok(cell(1)));
    assert_eq!(cell_of(&participants, &second), Ok(cell(2)));
    participants.hear(&said_in(cell(2), KnownCallers::default()), NOW);
    assert!(matches!(cell_of(&participants, &second), Err(NotLetIn::Unknown(_))), "revoked");
    assert_eq!(cell_of(&participants, &first), Ok(cell(1)), "the other cell's word is none of its own");
    // Nobody asks what a cell says that this gateway does not serve.
    participants.hear(&said_in(cell(3), KnownCallers::default()), NOW);
}

#[tokio::test]
async fn a_silent_cell_leaves_open_whose_a_key_is_and_disturbs_nobody_else() {
    let (of_file, entry) = key_of(cell(1), "shop");
    let (participants, [first, second], [one, two]) = of_two_cells(&entry);
    let (heard, other) = (said_in(cell(1), one), said_in(cell(2), two));
    participants.hear(&heard, NOW);
    assert!(!participants.have_heard(), "not of the second cell");
    assert_eq!(cell_of(&participants, &first), Ok(cell(1)));
    assert_eq!(cell_of(&participants, &second), Err(NotLetIn::NotSure), "the second cell has not spoken yet");
    participants.hear(&other, Duration::from_millis(3_500));
    assert!(participants.have_heard());
    let (stranger, _) = key_of(cell(1), "stranger");
    assert!(matches!(cell_of(&participants, &stranger), Err(NotLetIn::Unknown(_))), "no cell's");
    tokio::time::sleep(Duration::from_millis(510)).await;
    // The second cell's word is over.
    assert_eq!(cell_of(&participants, &second), Err(NotLetIn::NotSure));
    assert_eq!(cell_of(&participants, &stranger), Err(NotLetIn::NotSure), "it may be the silent cell's");
    assert_eq!(cell_of(&participants, &first), Ok(cell(1)));
    assert_eq!(cell_of(&participants, &of_file), Ok(cell(1)));
    participants.hear(&other, NOW);
    assert_eq!(cell_of(&participants, &second), Ok(cell(2)));
    assert!(matches!(cell_of(&participants, &stranger), Err(NotLetIn::Unknown(_))));
}

#[tokio::test]
async fn a_participant_is_disabled_in_its_own_cell_alone() {
    let keys = [key_of(cell(1), "shop"), key_of(cell(2), "shop")];
    let (participants, on_record, [one, two]) = of_two_cells(&(keys[0].1.clone() + &keys[1].1));
    participants.hear(&said_in(cell(1), one), NOW);
    let disabled_participants = vec!["shop".to_owned(), "desk".to_owned()];
    participants.hear(&said_in(cell(2), KnownCallers { disabled_participants, ..two }), NOW);
    for (first, second) in [(&on_record[0], &on_record[1]), (&keys[0].0, &keys[1].0)] {
        assert_eq!(cell_of(&participants, first), Ok(cell(1)));
        assert!(matches!(cell_of(&participants, second), Err(NotLetIn::Unknown(_))));
    }
}

/// What verifies tokens, and a maker of them: from the claims that follow the others.
fn tokens() -> (Tokens, impl Fn(&str) -> MetadataMap) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let file = std::env::temp_dir().join(format!("rialto-jwks-{}.json", uuid::Uuid::new_v4()));
    let point = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{point}"}}]}}"#);
    std::fs::write(&file, jwks).expect("write");
    let tokens = Tokens::new("issuer".to_owned(), "us".to_owned(), KeySource::File(file.clone()));
    std::fs::remove_file(&file).expect("removed");
    let make = move |more: &str| {
        let claims = format!(
            r#"{{"iss":"issuer","aud":"us","sub":"ada","exp":4102444800,"rialto_participant":"shop","rialto_roles":["auditor"]{more}}}"#
        );
        let parts = [r#"{"alg":"EdDSA","kid":"k"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(parts.join(".").as_bytes()).as_ref());
        metadata(&[&format!("Bearer {}.{signature}", parts.join("."))])
    };
    (tokens.expect("good"), make)
}

#[tokio::test]
async fn a_token_says_its_cell_and_is_judged_by_that_cells_word() {
    let (tokens, token) = tokens();
    let known = participants(2, &key_of(cell(1), "shop").1).expect("good");
    let known = Participants { tokens: Some(Arc::new(tokens)), ..known };
    let [none, first, second] = ["", r#","rialto_cell":1"#, r#","rialto_cell":2"#].map(&token);
    known.hear(&said_in(cell(1), KnownCallers::default()), NOW);
    for credential in [&none, &first] {
        assert_eq!(cell_of(&known, credential), Ok(cell(1)));
    }
    assert_eq!(cell_of(&known, &second), Err(NotLetIn::NotSure), "its cell is silent");
    for bad in ["0", "3", "4294967297", "-1", "1.0", "null", "\"2\""] {
        let refused = cell_of(&known, &token(&format!(r#","rialto_cell":{bad}"#)));
        assert!(matches!(refused, Err(NotLetIn::Unknown(_))), "{bad}: {refused:?}");
    }
    let disabled_participants = vec!["shop".to_owned()];
    known.hear(&said_in(cell(1), KnownCallers { disabled_participants, ..Default::default() }), NOW);
    known.hear(&said_in(cell(2), KnownCallers::default()), NOW);
    assert_eq!(cell_of(&known, &second), Ok(cell(2)), "it is disabled elsewhere");
    assert!(matches!(cell_of(&known, &first), Err(NotLetIn::Unknown(_))));
}

#[test]
fn a_key_of_the_file_says_its_cell_and_none_that_there_is_not() {
    let [(first, one), (second, two)] = [1, 2].map(|number| key_of(cell(number), "house"));
    assert!(!one.contains("cell") && two.contains("cell = 2\n"), "{one}{two}");
    let known = participants(2, &format!("{one}{two}")).expect("good");
    for (credential, number) in [(first, 1), (second, 2)] {
        let caller = known.identify_at_once(&credential).expect("known");
        assert_eq!(caller.participant, Participant::new(cell(number), "house"));
        assert!(known.is_house(&caller), "each cell has its own");
    }
    let problem = participants(1, &format!("{one}{two}")).expect_err("there is one cell");
    assert!(problem.contains("key 2: cell must") && problem.contains("has 1 (") && problem.contains("got 2"));
    for bad in ["0", "-1", "1.0", "\"1\"", "4294967296"] {
        let problem = participants(2, &two.replace("cell = 2", &format!("cell = {bad}"))).expect_err(bad);
        assert!(problem.contains("line 3") && problem.contains("cell"), "{problem}");
    }
}

#[tokio::test]
async fn a_file_that_is_read_again_is_held_to_the_same_cells() {
    let file = std::env::temp_dir().join(format!("rialto-keys-{}.toml", uuid::Uuid::new_v4()));
    let [(first, one), (_, two), (_, three)] = [1, 2, 3].map(|number| key_of(cell(number), "shop"));
    std::fs::write(&file, &one).expect("write");
    let keys = KeyFile::read(file.clone(), 2).expect("good");
    let participants = Participants::new(hasher(), keys, None, "house".to_owned(), Clock::system());
    std::fs::write(&file, &three).expect("write");
    let problem = participants.reload().await.expect_err("there is no third cell");
    assert!(problem.contains("key 1: cell must") && problem.contains(&*file.to_string_lossy()), "{problem}");
    assert_eq!(cell_of(&participants, &first), Ok(cell(1)), "the old keys stay");
    std::fs::write(&file, &two).expect("write");
    assert_eq!(participants.reload().await, Ok(1));
    std::fs::remove_file(&file).expect("removed");
}
