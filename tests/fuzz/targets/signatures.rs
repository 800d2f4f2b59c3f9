//! Signatures over messages: only the very body that was signed is believed, with exactly one signature.

use std::fs;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use channel::rails::iso20022::jws::{HEADER, Signer, Verifier};
use harness::BenchError;
use hyper::header::{HeaderMap, HeaderValue};

use super::{demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const BODIES: [&str; 2] = ["<Document>1</Document>", ""];
/// Between the signatures, one a line, and the body.
const SEPARATOR: &[u8] = b"\n\n";

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let folder = super::Folder::new("jws")?;
    let mut known = String::new();
    let mut seeds = Vec::new();
    let mut signatures = Vec::new();
    // The same keys each time, so that inputs can be tried again; the last one is nobody's.
    for number in 1..=3_u8 {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).map_err(|_| "no key")?;
        let file = folder.path().join(format!("{number}.key"));
        let key = STANDARD.encode(pair.to_pkcs8v1().map_err(|_| "no key")?.as_ref());
        fs::write(&file, format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"))?;
        let signer = Signer::new(file)?;
        if number < 3 {
            let public =
                [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", pair.public_key().as_ref()].concat();
            known.push_str(&format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                STANDARD.encode(public)
            ));
        }
        for body in BODIES {
            let signature = signer.sign(body.as_bytes()).ok_or("no signature")?;
            seeds.push([signature.as_bytes(), SEPARATOR, body.as_bytes()].concat());
            // The same twice, and over a little more: what must not be believed, and is nearest to it.
            let line = signature.as_bytes();
            seeds.push([line, b"\n", line, SEPARATOR, body.as_bytes()].concat());
            seeds.push([line, SEPARATOR, body.as_bytes(), b" "].concat());
            if number < 3 {
                signatures.push((signature.as_bytes().to_vec(), body));
            }
        }
    }
    let file = folder.path().join("public.pem");
    fs::write(&file, known)?;
    let verifier = Verifier::new(file)?;
    // Heads that say something else, with a signature that was good.
    let tail = signatures
        .first()
        .and_then(|(signature, _)| signature.rsplit(|byte| *byte == b'.').next())
        .unwrap_or_default();
    for head in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256","kid":"x","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"EdDSA","kid":"x","b64":true}"#,
    ] {
        let head = URL_SAFE_NO_PAD.encode(head);
        seeds.push([head.as_bytes(), b"..", tail, SEPARATOR, BODIES[0].as_bytes()].concat());
    }
    Ok(Target {
        seeds,
        words: words(&["..", ".", "=", "\n", "eyJ", "ImI2NCI6dHJ1ZQ"]),
        form: Form::Text,
        check: Box::new(move |input| {
            let _folder = &folder;
            check(&verifier, &signatures, input)
        }),
    })
}

fn check(verifier: &Verifier, signatures: &[(Vec<u8>, &str)], input: &[u8]) -> Checked {
    let at = input.windows(SEPARATOR.len()).position(|window| window == SEPARATOR).unwrap_or(input.len());
    let (heads, body) = (&input[..at], input.get(at + SEPARATOR.len()..).unwrap_or_default());
    let lines: Vec<&[u8]> = heads.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let values: Result<Vec<HeaderValue>, _> =
        lines.iter().map(|line| HeaderValue::from_bytes(line)).collect();
    let Ok(values) = values else { return Ok("no header".to_owned()) };
    let head: HeaderMap = values.into_iter().map(|value| (HEADER, value)).collect();
    let is_signed =
        signatures.iter().any(|(signature, of)| lines == [signature.as_slice()] && of.as_bytes() == body);
    let outcome = verifier.check(&head, body);
    demand(outcome.is_ok() == is_signed, &format!("signed: {is_signed}, found: {outcome:?}"))?;
    Ok(format!("{outcome:?} {}", lines.len().min(3)))
}
