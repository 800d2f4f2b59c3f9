//! Signatures of the simulated bank: a detached JWS over the body (`docs/bank-profile.md`). It signs with Ed25519.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where a signature stands.
pub const SIGNATURE: &str = "x-jws-signature";
/// How long an Ed25519 public key is in DER; the other kind that there is, P-256, is longer.
const ED25519_DER_BYTES: usize = 44;

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrongSignature {
    /// There is none.
    Missing,
    /// It is over something else.
    OtherBody,
    /// It is by another key, under the name of the bank's.
    OtherKey,
    /// It says that there need be none.
    AlgNone,
    /// It is a hash that everybody can make who knows the public key.
    Hs256,
    /// It stands twice.
    Twice,
}

/// What a bank signs with, and by what it believes others.
#[derive(Debug, Default)]
pub struct Signatures {
    own: Option<Ed25519KeyPair>,
    theirs: Option<SubjectPublicKeyInfoDer<'static>>,
}

impl Signatures {
    /// Reads the files (PEM): a private key, and the public key of whoever sends messages.
    pub fn load(own: Option<&Path>, theirs: Option<&Path>) -> Result<Self, String> {
        let own = own.map(|file| {
            let complain = |what: String| format!("{}: {what}", file.display());
            let key = PrivatePkcs8KeyDer::from_pem_file(file).map_err(|error| complain(error.to_string()))?;
            Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|error| complain(error.to_string()))
        });
        let theirs = theirs.map(|file| {
            SubjectPublicKeyInfoDer::from_pem_file(file)
                .map_err(|error| format!("{}: {error}", file.display()))
        });
        Ok(Self { own: own.transpose()?, theirs: theirs.transpose()? })
    }

    /// The signatures that stand with a body: one, unless something is wrong.
    pub fn over(&self, body: &str, wrong: Option<WrongSignature>) -> Vec<String> {
        let Some(own) = &self.own else { return Vec::new() };
        let public = own.public_key().as_ref();
        let sign = |key: &Ed25519KeyPair, body: &str| {
            jws("EdDSA", public, body, |message| key.sign(message).as_ref().to_vec())
        };
        match wrong {
            None => vec![sign(own, body)],
            Some(WrongSignature::Missing) => Vec::new(),
            Some(WrongSignature::OtherBody) => vec![sign(own, &format!("{body} "))],
            Some(WrongSignature::OtherKey) => {
                Ed25519KeyPair::generate().map(|other| sign(&other, body)).into_iter().collect()
            }
            Some(WrongSignature::AlgNone) => vec![jws("none", public, body, |_| Vec::new())],
            Some(WrongSignature::Hs256) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, public);
                vec![jws("HS256", public, body, |message| hmac::sign(&key, message).as_ref().to_vec())]
            }
            Some(WrongSignature::Twice) => vec![sign(own, body); 2],
        }
    }

    /// Whether a message is signed as it must be.
    pub fn are_good(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let Some(theirs) = &self.theirs else { return true };
        let mut signatures = headers.get_all(SIGNATURE).iter();
        match (signatures.next().and_then(|value| value.to_str().ok()), signatures.next()) {
            (Some(signature), None) => is_signed(theirs, signature, body).unwrap_or(false),
            _ => false,
        }
    }
}

fn jws(alg: &str, public: &[u8], body: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    // Members in the order of the alphabet, as a thumbprint has them.
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
    let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
    let head = json!({ "alg": alg, "kid": kid, "b64": false, "crit": ["b64"] }).to_string();
    let head = URL_SAFE_NO_PAD.encode(head);
    let signature = sign(format!("{head}.{body}").as_bytes());
    format!("{head}..{}", URL_SAFE_NO_PAD.encode(signature))
}

fn is_signed(theirs: &SubjectPublicKeyInfoDer<'_>, signature: &str, body: &[u8]) -> Option<bool> {
    let mut parts = signature.split('.');
    let (head, "", signature, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let said: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    let is_ed25519 = theirs.len() == ED25519_DER_BYTES;
    let (alg, algorithm): (&str, &'static dyn VerificationAlgorithm) =
        if is_ed25519 { ("EdDSA", &ED25519) } else { ("ES256", &ECDSA_P256_SHA256_FIXED) };
    if said["alg"] != alg || said["b64"] != false || said["crit"] != json!(["b64"]) {
        return None;
    }
    let message = [head.as_bytes(), b".", body].concat();
    let key = UnparsedPublicKey::new(algorithm, theirs.as_ref());
    Some(key.verify(&message, &URL_SAFE_NO_PAD.decode(signature).ok()?).is_ok())
}
