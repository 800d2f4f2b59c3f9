//! Credentials: only a key or token that was given out lets anybody in, whole, once, as whom it was given to, and in that one's cell.

use std::{fs, sync::Arc, time::Duration};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{clock::Clock, settings::Secret};
use gateway::{
    caller::Participant,
    cell::Cell,
    participant::{Heard, KeyFile, KeyHasher, KeySource, Participants, Tokens},
};
use harness::BenchError;
use proto::platform::{KnownApiKey, KnownCallers};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use super::{demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const KEY: &str = "rk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const RECORDED: &str = "rk_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
const DISABLED: &str = "rk_QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";
const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "rialto";

/// What is let in, and as whom.
type Known = Vec<(String, Participant)>;

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let folder = super::Folder::new("credentials")?;
    let hasher = KeyHasher::new(&Secret::new("a secret of the fuzzers that is long enough"))?;
    let hash = |key: &str| hasher.hash(key).ok_or("no key");
    let entry = |participant: &str, key: &str| -> Result<String, BenchError> {
        Ok(format!(
            "[[key]]\nparticipant = \"{participant}\"\nroles = [\"payer-app\"]\nhash = \"blake3-keyed:{}\"\n",
            hash(key)?.to_hex()
        ))
    };
    let file = folder.path().join("keys.toml");
    fs::write(&file, entry("shop", KEY)? + &entry("gone", DISABLED)?)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|_| "no key")?;
    let jwks = folder.path().join("jwks.json");
    let point = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    fs::write(
        &jwks,
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","x":"{point}"}}]}}"#),
    )?;
    let tokens = Tokens::new(ISSUER.to_owned(), AUDIENCE.to_owned(), KeySource::File(jwks))?;
    let participants = Participants::new(
        hasher.clone(),
        KeyFile::read(file, 2)?,
        Some(Arc::new(tokens)),
        "house".to_owned(),
        Clock::system(),
    );
    let [first, second] = [1, 2].map(|number| Cell::try_from(number).unwrap_or_default());
    let recorded = Heard::new(
        second,
        KnownCallers {
            api_keys: vec![KnownApiKey {
                hash: hash(RECORDED)?.as_bytes().to_vec(),
                participant: "cafe".to_owned(),
                roles: vec!["merchant".to_owned()],
                credential: "c".to_owned(),
                expire_time: None,
                verification_key: Vec::new(),
            }],
            disabled_participants: Vec::new(),
        },
    );
    let disabled = KnownCallers { disabled_participants: vec!["gone".to_owned()], api_keys: Vec::new() };
    let heard = [Heard::new(first, disabled), recorded].map(Arc::new);
    let good = token(&pair, "EdDSA", ISSUER, AUDIENCE, 4_102_444_800, "depot", 1);
    let in_second = token(&pair, "EdDSA", ISSUER, AUDIENCE, 4_102_444_800, "depot", 2);
    let known: Known = vec![
        (KEY.to_owned(), Participant::new(first, "shop")),
        (RECORDED.to_owned(), Participant::new(second, "cafe")),
        (good.clone(), Participant::new(first, "depot")),
        (in_second, Participant::new(second, "depot")),
    ];
    let mut seeds: Vec<Vec<u8>> =
        known.iter().map(|(credential, _)| format!("Bearer {credential}").into_bytes()).collect();
    seeds.extend(
        [
            DISABLED.to_owned(),
            token(&pair, "none", ISSUER, AUDIENCE, 4_102_444_800, "depot", 1),
            token(&pair, "HS256", ISSUER, AUDIENCE, 4_102_444_800, "depot", 1),
            token(&pair, "EdDSA", "https://id.other", AUDIENCE, 4_102_444_800, "depot", 1),
            token(&pair, "EdDSA", ISSUER, "others", 4_102_444_800, "depot", 1),
            token(&pair, "EdDSA", ISSUER, AUDIENCE, 1_000_000_000, "depot", 1),
            token(&pair, "EdDSA", ISSUER, AUDIENCE, 4_102_444_800, "Depot", 1),
            token(&pair, "EdDSA", ISSUER, AUDIENCE, 4_102_444_800, "gone", 1),
            token(&pair, "EdDSA", ISSUER, AUDIENCE, 4_102_444_800, "depot", 0),
            token(&pair, "EdDSA", ISSUER, AUDIENCE, 4_102_444_800, "depot", 3),
        ]
        .map(|credential| format!("Bearer {credential}").into_bytes()),
    );
    seeds.push(format!("bearer {KEY}\nBearer {good}").into_bytes());
    Ok(Target {
        seeds,
        words: words(&["Bearer ", "Basic ", "bearer ", "rk_", "\n", ".", "=", " ", "eyJ"]),
        form: Form::Text,
        check: Box::new(move |input| {
            let _folder = &folder;
            heard.iter().for_each(|heard| participants.hear(heard, Duration::ZERO));
            check(&participants, &known, input)
        }),
    })
}

/// A token, signed whatever it says.
fn token(
    pair: &Ed25519KeyPair,
    alg: &str,
    issuer: &str,
    audience: &str,
    ends: u64,
    participant: &str,
    cell: u32,
) -> String {
    let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","kid":"k","typ":"JWT"}}"#));
    let claims = URL_SAFE_NO_PAD.encode(format!(
        r#"{{"iss":"{issuer}","aud":"{audience}","sub":"ada","exp":{ends},"rialto_participant":"{participant}","rialto_cell":{cell},"rialto_roles":["merchant"]}}"#
    ));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(format!("{head}.{claims}").as_bytes()).as_ref());
    format!("{head}.{claims}.{signature}")
}

fn check(participants: &Participants, known: &Known, input: &[u8]) -> Checked {
    let mut metadata = MetadataMap::new();
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    for line in &lines {
        let Ok(value) = AsciiMetadataValue::try_from(*line) else { return Ok("no header".to_owned()) };
        metadata.append("authorization", value);
    }
    let expected = match lines.as_slice() {
        [line] => std::str::from_utf8(line).ok().and_then(|line| {
            let (scheme, credential) = line.split_once(' ')?;
            let known = known.iter().find(|(known, _)| known == credential)?;
            scheme.eq_ignore_ascii_case("bearer").then_some(&known.1)
        }),
        _ => None,
    };
    let found = participants.identify_at_once(&metadata);
    let participant = found.as_ref().ok().map(|caller| &caller.participant);
    demand(participant == expected, &format!("let in as {participant:?}, known as {expected:?}"))?;
    Ok(match found {
        Ok(caller) => format!("{:?} {:?}", caller.participant, caller.roles),
        Err(reason) => format!("{reason:?}"),
    })
}
