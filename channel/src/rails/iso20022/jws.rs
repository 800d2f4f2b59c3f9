//! Signatures over messages: a detached JWS in the head (RFC 7515, appendix F), over the body as it is (RFC 7797, `b64` false).
//!
//! What is signed with is fixed by the key: `alg` must say the same, and chooses nothing. `kid` is the key's thumbprint (RFC 7638).

use std::path::PathBuf;

use aws_lc_rs::{
    digest::{SHA256, digest},
    error::KeyRejected,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, UnparsedPublicKey,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use common::tls::{Contents, Live};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject};
use serde::Deserialize;

/// Where a signature stands, as banks have it.
pub const HEADER: HeaderName = HeaderName::from_static("x-jws-signature");

/// What an Ed25519 public key begins with (RFC 8410, section 4), and its length.
const ED25519_HEAD: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const ED25519_BYTES: usize = 32;
/// What an uncompressed P-256 public key begins with (RFC 5480, section 2), and the length of each coordinate.
const P256_HEAD: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const P256_BYTES: usize = 32;

/// Signs what goes to a bank, with the key in a file that is read again when it changes.
#[derive(Debug)]
pub struct Signer(Live<SigningKey>);

/// Checks what a bank says, by the keys in a file that is read again when it changes.
#[derive(Debug)]
pub struct Verifier(Live<Vec<PublicKey>>);

#[derive(Debug)]
enum SigningKey {
    Ed25519(Ed25519KeyPair, PublicKey),
    P256(EcdsaKeyPair, PublicKey),
}

/// A public key: what it is good for, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PublicKey {
    kind: Kind,
    bytes: Vec<u8>,
    id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    P256,
}

/// What a signature says of itself. Further members may stand, but none that must be understood.
#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    kid: String,
    b64: bool,
    crit: Vec<String>,
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// There is none.
    #[error("not signed: no {HEADER}")]
    Missing,
    /// There are several.
    #[error("signed twice: several {HEADER}")]
    Several,
    /// It is no detached JWS over the body as it is.
    #[error("the signature is no detached JWS with b64 false")]
    Malformed,
    /// It names a key that the bank's file does not hold.
    #[error("signed with a key that is not in verify_key_file")]
    UnknownKey,
    /// It says another algorithm than its key's.
    #[error("the signature's alg is not its key's")]
    OtherAlgorithm,
    /// The key has not signed this body.
    #[error("the signature is not over this body")]
    Wrong,
}

impl Signer {
    /// Signs with the private key in this file (PEM, PKCS #8; Ed25519 or P-256).
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(file: PathBuf) -> Result<Self, String> {
        Live::read(vec![file], signing_key).map(Self)
    }

    /// The signature over a body; none if the system gives no randomness.
    pub fn sign(&self, body: &[u8]) -> Option<HeaderValue> {
        let key = self.0.recent();
        let public = key.public();
        let head = format!(
            r#"{{"alg":"{}","kid":"{}","b64":false,"crit":["b64"]}}"#,
            public.kind.algorithm(),
            public.id
        );
        let head = BASE64.encode(head);
        let signature = key.sign(&signed(&head, body))?;
        HeaderValue::try_from(format!("{head}..{}", BASE64.encode(signature))).ok()
    }
}

impl Verifier {
    /// Believes the holders of the public keys in this file (PEM, one or more; Ed25519 or P-256).
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(file: PathBuf) -> Result<Self, String> {
        Live::read(vec![file], public_keys).map(Self)
    }

    /// Whether one of the keys has signed the body.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub fn check(&self, head: &HeaderMap, body: &[u8]) -> Result<(), BadSignature> {
        let mut signatures = head.get_all(HEADER).iter();
        let signature = signatures.next().ok_or(BadSignature::Missing)?;
        if signatures.next().is_some() {
            return Err(BadSignature::Several);
        }
        self.verify(signature, body)
    }

    fn verify(&self, signature: &HeaderValue, body: &[u8]) -> Result<(), BadSignature> {
        let malformed = BadSignature::Malformed;
        let text = signature.to_str().map_err(|_| malformed)?;
        let (encoded, signature) = text.split_once("..").ok_or(malformed)?;
        let head = BASE64.decode(encoded).map_err(|_| malformed)?;
        let signature = BASE64.decode(signature).map_err(|_| malformed)?;
        let head: Head = serde_json::from_slice(&head).map_err(|_| malformed)?;
        if head.b64 || head.crit != ["b64"] {
            return Err(malformed);
        }
        let keys = self.0.recent();
        let key = keys.iter().find(|key| key.id == head.kid).ok_or(BadSignature::UnknownKey)?;
        if head.alg != key.kind.algorithm() {
            return Err(BadSignature::OtherAlgorithm);
        }
        key.verify(&signed(encoded, body), &signature)
    }
}

/// What is signed: the head as it is written, and the body as it is (RFC 7797, section 3).
fn signed(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b".", body].concat()
}

impl Kind {
    fn algorithm(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::P256 => "ES256",
        }
    }
}

impl SigningKey {
    fn public(&self) -> &PublicKey {
        let (Self::Ed25519(_, public) | Self::P256(_, public)) = self;
        public
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(pair, _) => pair.try_sign(message).ok().map(|signed| signed.as_ref().to_vec()),
            Self::P256(pair, _) => {
                pair.sign(&SystemRandom::new(), message).ok().map(|signed| signed.as_ref().to_vec())
            }
        }
    }
}

impl PublicKey {
    fn ed25519(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == ED25519_BYTES).then_some(())?;
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, BASE64.encode(bytes));
        Some(Self { kind: Kind::Ed25519, bytes: bytes.to_vec(), id: thumbprint(&jwk) })
    }

    fn p256(bytes: &[u8]) -> Option<Self> {
        let (4, point) = bytes.split_first()? else { return None };
        let (x, y) = point.split_at_checked(P256_BYTES).filter(|(_, y)| y.len() == P256_BYTES)?;
        let (x, y) = (BASE64.encode(x), BASE64.encode(y));
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Some(Self { kind: Kind::P256, bytes: bytes.to_vec(), id: thumbprint(&jwk) })
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let verified = match self.kind {
            Kind::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature),
            Kind::P256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.bytes).verify(message, signature)
            }
        };
        verified.map_err(|_| BadSignature::Wrong)
    }
}

fn thumbprint(jwk: &str) -> String {
    BASE64.encode(digest(&SHA256, jwk.as_bytes()))
}

fn complain(file: &Contents, what: &str) -> String {
    format!("{}: {what}", file.file.display())
}

fn signing_key(files: &[Contents]) -> Result<SigningKey, String> {
    let [file] = files else { return Err("expected a private key".to_owned()) };
    let none = |_| complain(file, "holds no private key in PEM (PKCS #8)");
    let key = PrivatePkcs8KeyDer::from_pem_slice(&file.bytes).map_err(none)?;
    let key = key.secret_pkcs8_der();
    let other = |_: KeyRejected| complain(file, "is no key of Ed25519 or P-256");
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8(key) {
        let public = PublicKey::ed25519(pair.public_key().as_ref());
        return public
            .map(|public| SigningKey::Ed25519(pair, public))
            .ok_or_else(|| complain(file, "is no key"));
    }
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key).map_err(other)?;
    let public = PublicKey::p256(pair.public_key().as_ref());
    public.map(|public| SigningKey::P256(pair, public)).ok_or_else(|| complain(file, "is no key"))
}

fn public_keys(files: &[Contents]) -> Result<Vec<PublicKey>, String> {
    let [file] = files else { return Err("expected public keys".to_owned()) };
    let mut keys = Vec::new();
    for key in SubjectPublicKeyInfoDer::pem_slice_iter(&file.bytes) {
        let key = key.map_err(|error| complain(file, &error.to_string()))?;
        let ed25519 = key.strip_prefix(ED25519_HEAD).and_then(PublicKey::ed25519);
        let key = ed25519.or_else(|| key.strip_prefix(P256_HEAD).and_then(PublicKey::p256));
        keys.push(key.ok_or_else(|| complain(file, "holds a key that is not of Ed25519 or P-256"))?);
    }
    match keys.is_empty() {
        true => Err(complain(file, "holds no public key in PEM")),
        false => Ok(keys),
    }
}

#[cfg(test)]
pub(crate) mod tests;
