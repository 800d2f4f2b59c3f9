//! An identity provider: makes keys and signs tokens, good and bad. Shares no code with the gateway that verifies them.

use std::time::SystemTime;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::BenchError;

/// Who issues the bench's tokens.
pub const ISSUER: &str = "https://id.bench.example";
/// Whom the bench's tokens are for.
pub const AUDIENCE: &str = "rialto-bench";

/// A key that signs tokens.
#[derive(Debug)]
pub struct SigningKey {
    kid: String,
    secret: Secret,
}

#[derive(Debug)]
enum Secret {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

fn unspecified(_: impl std::fmt::Debug) -> BenchError {
    "the cryptography does not work".into()
}

impl SigningKey {
    /// A new key on the curve P-256.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn es256(kid: &str) -> Result<Self, BenchError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(unspecified)?;
        Ok(Self { kid: kid.to_owned(), secret: Secret::Es256(pair) })
    }

    /// A new Ed25519 key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn eddsa(kid: &str) -> Result<Self, BenchError> {
        let pair = Ed25519KeyPair::generate().map_err(unspecified)?;
        Ok(Self { kid: kid.to_owned(), secret: Secret::EdDsa(pair) })
    }

    /// A new RSA key of 2048 bits.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn rs256(kid: &str) -> Result<Self, BenchError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(unspecified)?;
        Ok(Self { kid: kid.to_owned(), secret: Secret::Rs256(pair) })
    }

    /// The algorithm that it signs by.
    pub fn algorithm(&self) -> &'static str {
        match self.secret {
            Secret::Es256(_) => "ES256",
            Secret::EdDsa(_) => "EdDSA",
            Secret::Rs256(_) => "RS256",
        }
    }

    /// Its name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its public half, as a JWKS has it.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.secret {
            Secret::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "x": text(x), "y": text(y) })
            }
            Secret::EdDsa(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig", "x": x })
            }
            Secret::Rs256(pair) => {
                let key = pair.public_key();
                let (n, e) = (key.modulus().big_endian_without_leading_zero(), key.exponent());
                let e = e.big_endian_without_leading_zero();
                json!({ "kty": "RSA", "alg": "RS256", "kid": self.kid, "n": text(n), "e": text(e) })
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BenchError> {
        let random = SystemRandom::new();
        Ok(match &self.secret {
            Secret::Es256(pair) => pair.sign(&random, message).map_err(unspecified)?.as_ref().to_vec(),
            Secret::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Secret::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(unspecified)?;
                signature
            }
        })
    }

    /// A token with this header and these claims, whatever they say.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn token_with(&self, header: &Value, claims: &Value) -> Result<String, BenchError> {
        let message = message(header, claims);
        let signature = self.sign(message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// A token with these claims, as the provider makes it.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn token(&self, claims: &Value) -> Result<String, BenchError> {
        self.token_with(&json!({ "alg": self.algorithm(), "kid": self.kid, "typ": "JWT" }), claims)
    }

    /// A token that claims to be signed with this key's public half as the secret of an HMAC: what confuses a verifier that
    /// believes the token's own word for its algorithm. One for each form that a verifier may have the key in.
    pub fn confused(&self, claims: &Value) -> Vec<String> {
        let message = message(&json!({ "alg": "HS256", "kid": self.kid }), claims);
        let mut secrets = vec![self.jwk().to_string().into_bytes()];
        match &self.secret {
            Secret::Es256(pair) => secrets.push(pair.public_key().as_ref().to_vec()),
            Secret::EdDsa(pair) => secrets.push(pair.public_key().as_ref().to_vec()),
            Secret::Rs256(pair) => {
                secrets.push(pair.public_key().as_ref().to_vec());
                let n = pair.public_key().modulus().big_endian_without_leading_zero();
                secrets.push(n.to_vec());
            }
        }
        let sign = |secret: &Vec<u8>| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
        };
        secrets.iter().map(sign).collect()
    }
}

/// What is signed of a token.
pub fn message(header: &Value, claims: &Value) -> String {
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", text(header), text(claims))
}

/// A JWKS of these keys.
pub fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Claims that are good for the next quarter of an hour.
pub fn claims(subject: &str, participant: &str, roles: &[&str]) -> Value {
    let now = seconds();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 900,
        "rialto_participant": participant, "rialto_roles": roles,
    })
}

/// The present time, in seconds since 1970.
pub fn seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map(|since| since.as_secs()).unwrap_or_default()
}
