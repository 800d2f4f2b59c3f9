//! A caller's signatures, by another hand than the gateway's: RFC 9421 as a client writes it down.

use std::time::UNIX_EPOCH;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Message;
use tonic::metadata::MetadataMap;

use crate::BenchError;

/// A signing key, as its holder has it.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

/// What is signed of a call, before anybody changes it.
#[derive(Clone, Debug)]
pub struct Signing {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The content: the message, with what gRPC puts before it.
    pub content: Vec<u8>,
    /// What the signature covers.
    pub covered: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// What no other signature has.
    pub nonce: String,
    /// Whose it says that it is; the key's own if it is empty.
    pub key_id: String,
}

impl Signing {
    /// What a good client signs of a call, now.
    pub fn of(path: &str, message: &impl Message) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            content: framed(&message.encode_to_vec()),
            covered: ["@method", "@path", "content-digest"].map(str::to_owned).to_vec(),
            created: i64::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()).unwrap_or_default(),
            nonce: uuid::Uuid::new_v4().to_string(),
            key_id: String::new(),
        }
    }
}

/// A message with the five bytes that gRPC puts before it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self, BenchError> {
        let key = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| "no randomness")?;
        Ok(Self(Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_ref()).map_err(|_| "no key")?))
    }

    /// Its public half, the `verification_key` of an API key.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// The metadata that signs a call.
    ///
    /// # Errors
    /// When something of it can't be sent.
    pub fn sign(&self, signing: &Signing) -> Result<MetadataMap, BenchError> {
        let sum = format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, &signing.content)));
        let key_id = match signing.key_id.as_str() {
            "" => STANDARD.encode(self.public()),
            other => other.to_owned(),
        };
        let names: Vec<String> = signing.covered.iter().map(|name| format!("\"{name}\"")).collect();
        let terms = format!(
            "({});created={};nonce=\"{}\";keyid=\"{key_id}\"",
            names.join(" "),
            signing.created,
            signing.nonce
        );
        let mut base = String::new();
        for name in &signing.covered {
            let value = match name.as_str() {
                "@method" => signing.method,
                "@path" => &signing.path,
                "content-digest" => &sum,
                _ => "",
            };
            base += &format!("\"{name}\": {value}\n");
        }
        base += &format!("\"@signature-params\": {terms}");
        let mut metadata = MetadataMap::new();
        metadata.insert("content-digest", sum.parse()?);
        metadata.insert("signature-input", format!("call={terms}").parse()?);
        let signature = STANDARD.encode(self.0.sign(base.as_bytes()));
        metadata.insert("signature", format!("call=:{signature}:").parse()?);
        Ok(metadata)
    }
}
