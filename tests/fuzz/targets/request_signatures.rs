//! Signatures over calls: only the very call that was signed is believed, with exactly the signature's headers.

use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine, engine::general_purpose::STANDARD};
use common::verification_key::VerificationKey;
use gateway::signature::{CONTENT_DIGEST, Content, INPUT, SIGNATURE, Signer, verify};
use harness::BenchError;
use hyper::{
    Uri,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const PATHS: [&str; 2] = ["/rialto.payments.v1.PaymentService/CreatePayment", "/a"];
const CONTENTS: [&str; 2] = ["\0\0\0\0\u{4}body", ""];
const NONCE: &str = "4fd3ad5e-6b3f-4a63";
const CREATED: i64 = 1_800_000_000;
/// Between the headers, one a line, the path and the content.
const SEPARATOR: &[u8] = b"\n\n";

/// A call as a signature has it: its headers, its path and its content.
type Call = (HeaderMap, String, Vec<u8>);

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let (mut seeds, mut signed) = (Vec::new(), Vec::new());
    let mut key = None;
    // The same keys each time, so that inputs can be tried again; the second one is another's.
    for number in 1..=2_u8 {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).map_err(|_| "no key")?;
        let pem = STANDARD.encode(pair.to_pkcs8v1().map_err(|_| "no key")?.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
        let signer = Signer::new(pem.as_bytes())?;
        for (path, content) in PATHS.into_iter().zip(CONTENTS) {
            // The last one is too old.
            for created in [CREATED, CREATED - 301] {
                let headers = signer.sign(path, content.as_bytes(), created, NONCE)?;
                seeds.push(written(&headers, path, content));
                seeds.push(written(&[&headers[..], &headers[1..2]].concat(), path, content));
                seeds.push(written(&headers[1..], path, content));
                if number == 1 && created == CREATED {
                    let headers = HeaderMap::from_iter(headers);
                    signed.push((headers, path.to_owned(), content.as_bytes().to_vec()));
                }
            }
        }
        key.get_or_insert(*signer.verification_key());
    }
    let key = key.ok_or("no key")?;
    Ok(Target {
        seeds,
        words: words(&[
            "\"@method\"",
            "\"@path\"",
            "\"@authority\"",
            "\"content-digest\"",
            ";sf",
            ";created=1800000000",
            ";expires=1",
            ";nonce=\"0000000000000000\"",
            ", b=()",
            "sha-256=:",
            "sha-512=:AAAA:",
            "sig=",
            ":",
            "(",
            ")",
            "\n",
            " ",
            "\t",
        ]),
        form: Form::Text,
        check: Box::new(move |input| check(&key, &signed, input)),
    })
}

fn written(headers: &[(HeaderName, HeaderValue)], path: &str, content: &str) -> Vec<u8> {
    let lines =
        headers.iter().map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
    let lines: Vec<Vec<u8>> = lines.collect();
    [&lines.join(&b'\n')[..], SEPARATOR, path.as_bytes(), SEPARATOR, content.as_bytes()].concat()
}

fn check(key: &VerificationKey, signed: &[Call], input: &[u8]) -> Checked {
    let (headers, rest) = split(input, SEPARATOR);
    let (path, content) = split(rest, SEPARATOR);
    let mut map = HeaderMap::new();
    for line in headers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let (name, value) = split(line, b": ");
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
            return Ok("no header".to_owned());
        };
        map.append(name, value);
    }
    let Ok(uri) = Uri::try_from(path) else { return Ok("no path".to_owned()) };
    let call = Content::new(&uri, content);
    let now = UNIX_EPOCH + Duration::from_secs(CREATED.unsigned_abs());
    let outcome = verify(&map, &call, key, now);
    let is_signed = signed.iter().any(|(headers, of, was)| {
        let is_same = |name| map.get_all(name).iter().eq(headers.get_all(name).iter());
        [CONTENT_DIGEST, INPUT, SIGNATURE].iter().all(is_same) && call.path == *of && content == was
    });
    demand(outcome.is_ok() == is_signed, &format!("signed: {is_signed}, found: {outcome:?}"))?;
    Ok(format!("{outcome:?} {}", map.len().min(4)))
}

/// What stands before a separator, and what behind.
fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = bytes.windows(separator.len()).position(|window| window == separator).unwrap_or(bytes.len());
    (bytes.get(..at).unwrap_or_default(), bytes.get(at + separator.len()..).unwrap_or_default())
}
