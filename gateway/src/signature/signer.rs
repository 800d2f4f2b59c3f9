//! The other side of a signature: whoever holds the private key.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::verification_key::VerificationKey;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{CONTENT_DIGEST, Content, INPUT, SIGNATURE, base, covered};

/// Signs calls.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: VerificationKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("public", &self.public.to_string()).finish_non_exhaustive()
    }
}

/// What is wrong with a private key, or with what is to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SigningKeyError(&'static str);

impl Signer {
    /// A signer with a private key (PKCS#8 in PEM, RFC 8410).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(pem: &[u8]) -> Result<Self, SigningKeyError> {
        let no_pem = SigningKeyError("holds no private key as PKCS#8 in PEM");
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| no_pem)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
        let pair = pair.map_err(|_| SigningKeyError("holds no private key of Ed25519"))?;
        let public = VerificationKey::read(pair.public_key().as_ref()).map_err(SigningKeyError)?;
        Ok(Self { pair, public })
    }

    /// A new private key (PKCS#8 in PEM); none if the system gives no randomness.
    pub fn new_key() -> Option<String> {
        let key = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).ok()?;
        let text = STANDARD.encode(key.as_ref());
        Some(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))
    }

    /// What its signatures are verified with.
    pub fn verification_key(&self) -> &VerificationKey {
        &self.public
    }

    /// The signature of a base, in base64.
    pub(super) fn raw(&self, base: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(base))
    }

    /// The headers that sign a call to `path` with this content: the message with the five bytes that gRPC puts before it.
    ///
    /// # Errors
    /// When the path or the nonce can't stand in a signature.
    pub fn sign(
        &self,
        path: &str,
        content: &[u8],
        created: i64,
        nonce: &str,
    ) -> Result<[(HeaderName, HeaderValue); 3], SigningKeyError> {
        let malformed = SigningKeyError("the path or the nonce can't stand in a signature");
        let uri: Uri = path.parse().map_err(|_| malformed)?;
        let content = Content::new(&uri, content);
        let digest = format!("sha-256=:{}:", STANDARD.encode(content.digest));
        let input = format!(
            "sig=(\"@method\" \"@path\" \"content-digest\");created={created};keyid=\"{}\";alg=\"ed25519\";nonce=\"{nonce}\"",
            self.public
        );
        let value = |text: String| HeaderValue::try_from(text).map_err(|_| malformed);
        let (digest, input) = (value(digest)?, value(input)?);
        let headers = HeaderMap::from_iter([(CONTENT_DIGEST, digest.clone()), (INPUT, input.clone())]);
        let (_, covered) = covered(&headers).map_err(|_| malformed)?;
        let base = base::of(&covered, &headers, &content).map_err(SigningKeyError)?;
        let signature = format!("sig=:{}:", self.raw(base.as_bytes()));
        Ok([(CONTENT_DIGEST, digest), (INPUT, input), (SIGNATURE, value(signature)?)])
    }
}
