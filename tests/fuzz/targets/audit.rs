//! The audit log's papers: a checkpoint, a key or a receipt that was changed shows nothing.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine, engine::general_purpose::STANDARD};
use common::audit::{
    merkle::{self, Hash},
    note::{self, PublicKey, Signer},
    receipt,
};
use common::id::PaymentId;
use harness::BenchError;
use serde_json::{Value, json};

use super::{chosen, demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const PAYMENT: &str = "pay_0193f2a05c7e7d3c9b1a2f3e4d5c6b7a";
const SIZE: u64 = 11;

/// A log of a few leaves, three of them of one payment.
struct Log {
    key: PublicKey,
    root: Hash,
    steps: Vec<Value>,
}

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|_| "no key")?;
    let key = STANDARD.encode(pair.to_pkcs8v1().map_err(|_| "no key")?.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    let signer = Signer::new("rialto", pem.as_bytes())?;
    let payment = PaymentId::parse(PAYMENT).ok_or("no id")?;
    let texts: Vec<String> = (0..SIZE).map(|leaf| text(leaf, payment)).collect();
    let hashes: Vec<Hash> = texts.iter().map(|text| merkle::leaf_hash(text.as_bytes())).collect();
    let root = root(&hashes).ok_or("no root")?;
    let checkpoint = signer.sign(SIZE, &root);
    let own: Vec<u64> = (0..SIZE).filter(|leaf| leaf % 4 == 2).collect();
    let steps = own.iter().map(|leaf| {
        let at = usize::try_from(*leaf)?;
        json(&texts[at], *leaf, &hashes)
    });
    let steps = steps.collect::<Result<Vec<_>, BenchError>>()?;
    let paper = json!({ "payment": PAYMENT, "steps": steps, "checkpoint": checkpoint });
    let receipt = paper.to_string();
    let answer = json!({ "receipt": paper }).to_string();
    let facts =
        own.iter().map(|leaf| serde_json::from_str(&text(*leaf, payment))).collect::<Result<_, _>>()?;
    let log = Log { key: signer.public_key(), root, steps: facts };
    let stranger = Signer::new("others", pem.as_bytes())?;
    // Without its first step, and with two in another order.
    let with = |steps: &[&Value]| {
        json!({ "payment": PAYMENT, "steps": steps, "checkpoint": checkpoint }).to_string()
    };
    let [first, second, third] = steps.as_slice() else { return Err("no three steps".into()) };
    let seeds = vec![
        chosen(2, with(&[second, third])),
        chosen(2, with(&[first, third, second])),
        chosen(2, with(&[])),
        chosen(0, &checkpoint),
        chosen(0, format!("{checkpoint}— witness AAAA\n")),
        chosen(0, stranger.sign(SIZE, &root)),
        chosen(1, log.key.to_string()),
        chosen(1, format!(" {}\n", log.key)),
        chosen(2, receipt),
        chosen(2, answer),
        chosen(3, &checkpoint),
    ];
    Ok(Target {
        seeds,
        words: words(&[
            "rialto",
            "\n",
            "— ",
            "+",
            "11",
            "12",
            "0",
            "=",
            "\"leaf\":",
            "\"steps\":[]",
            "\\n",
            "null",
            "{}",
            PAYMENT,
        ]),
        form: Form::Text,
        check: Box::new(move |input| check(&log, input)),
    })
}

/// What a leaf says: each fourth is a step of the payment.
fn text(leaf: u64, payment: PaymentId) -> String {
    let (owner, step) =
        if leaf % 4 == 2 { (payment.uuid(), leaf / 4 + 1) } else { (uuid::Uuid::from_u128(leaf.into()), 1) };
    json!({ "kind": "PAYMENT", "payment": owner, "step": step, "state": "SUBMITTED", "at": "2026-11-28T10:00:00Z" }).to_string()
}

/// The root of so many leaves, by its definition (RFC 9162, section 2.1.1).
fn root(hashes: &[Hash]) -> Option<Hash> {
    match hashes {
        [] => None,
        [one] => Some(*one),
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            Some(merkle::node_hash(&root(left)?, &root(right)?))
        }
    }
}

/// A step with its proof, by its definition (RFC 9162, section 2.1.3.1).
fn json(text: &str, leaf: u64, hashes: &[Hash]) -> Result<Value, BenchError> {
    fn path(at: usize, hashes: &[Hash], proof: &mut Vec<String>) -> Option<()> {
        if hashes.len() > 1 {
            let middle = hashes.len().next_power_of_two() / 2;
            let (left, right) = hashes.split_at(middle);
            let (other, inner, at) = if at < middle { (right, left, at) } else { (left, right, at - middle) };
            path(at, inner, proof)?;
            proof.push(STANDARD.encode(root(other)?));
        }
        Some(())
    }
    let mut proof = Vec::new();
    path(usize::try_from(leaf)?, hashes, &mut proof).ok_or("no proof")?;
    Ok(json!({ "text": text, "leaf": leaf.to_string(), "proof": proof }))
}

fn check(log: &Log, input: &[u8]) -> Checked {
    let Some((choice, text)) = input.split_first() else { return Ok("nothing".to_owned()) };
    let Ok(text) = std::str::from_utf8(text) else { return Ok("no text".to_owned()) };
    match choice % 4 {
        0 => match log.key.verify(text) {
            Ok(shown) => {
                demand(shown == (SIZE, log.root), "another size or root").map(|()| "checkpoint".to_owned())
            }
            Err(problem) => Ok(problem.to_owned()),
        },
        1 => match PublicKey::parse(text) {
            Ok(key) => {
                demand(key.to_string() == text.trim(), "written it is another key")?;
                Ok(format!("key {}", key == log.key))
            }
            Err(problem) => Ok(problem.to_owned()),
        },
        2 => match receipt::verify(text, &log.key) {
            Ok(shown) => {
                demand(
                    shown.payment.to_string() == PAYMENT && shown.size == SIZE,
                    "another payment or size",
                )?;
                demand(!shown.steps.is_empty() && log.steps.starts_with(&shown.steps), "other steps")?;
                demand(shown.to_string().lines().count() > shown.steps.len(), "it shows nothing")?;
                Ok(format!("receipt of {}", shown.steps.len()))
            }
            Err(problem) => Ok(problem.chars().filter(|c| !c.is_ascii_digit()).take(48).collect()),
        },
        _ => Ok(format!("{:?}", note::unverified(text).map(|(size, _)| size == SIZE))),
    }
}
