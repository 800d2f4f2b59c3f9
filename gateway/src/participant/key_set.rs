//! The identity provider's keys (JWKS, RFC 7517), of which only those are taken that one algorithm alone goes with.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;

/// How far the provider's clock may differ from ours.
pub(super) const LEEWAY_S: u64 = 60;
/// The shortest RSA modulus that is trusted: 2048 bits.
const MIN_RSA_BYTES: usize = 256;
/// The longest RSA modulus: longer ones only cost time.
const MAX_RSA_BYTES: usize = 1024;

/// Keys that verify tokens, by their `kid`.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    by_kid: HashMap<String, VerifyingKey>,
}

/// A key, and what a token that it verifies must be.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    pub(super) key: DecodingKey,
    pub(super) validation: Validation,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a document, leaving out keys for other uses; the tokens must come from `issuer` and be for `audience`.
    ///
    /// # Errors
    /// When it is no JWKS, or holds no key that verifies tokens.
    pub(super) fn read(document: &[u8], issuer: &str, audience: &str) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(document).map_err(|error| format!("is no JWKS: {error}"))?;
        let mut by_kid = HashMap::new();
        let mut twice = Vec::new();
        for value in document.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
            let Some(kid) = jwk.common.key_id.clone().filter(|kid| !kid.is_empty()) else { continue };
            let Some((algorithm, key)) = verifying(&jwk) else { continue };
            let validation = validation(algorithm, issuer, audience);
            if by_kid.insert(kid.clone(), VerifyingKey { key, validation }).is_some() {
                twice.push(kid);
            }
        }
        // Which of two keys a token means nobody can say.
        for kid in twice {
            tracing::warn!(kid, "the identity provider has two keys of one name: neither is used");
            by_kid.remove(&kid);
        }
        if by_kid.is_empty() {
            let wanted = "ES256, EdDSA (Ed25519) or RS256 (at least 2048 bits)";
            return Err(format!("holds no key with a kid of its own for {wanted}"));
        }
        Ok(Self { by_kid })
    }

    /// The key of this `kid`.
    pub(super) fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.by_kid.get(kid)
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.by_kid.len()
    }
}

/// The key, and the algorithm that its type goes with; none if it is for something else. What a token says of its algorithm
/// has no part in this.
fn verifying(jwk: &Jwk) -> Option<(Algorithm, DecodingKey)> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::RSA(key) if has_sound_length(&key.n) => (Algorithm::RS256, KeyAlgorithm::RS256),
        _ => return None,
    };
    let common = &jwk.common;
    let for_signatures =
        common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let for_verifying = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let as_named = common.key_algorithm.is_none_or(|said| said == named);
    if !(for_signatures && for_verifying && as_named) {
        return None;
    }
    Some((algorithm, DecodingKey::from_jwk(jwk).ok()?))
}

fn has_sound_length(modulus: &str) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(modulus).unwrap_or_default();
    let length = bytes.len() - bytes.iter().take_while(|byte| **byte == 0).count();
    // The first bit counts: 255 bytes and seven bits are no 2048 bits.
    let first = bytes.iter().find(|byte| **byte != 0).copied().unwrap_or_default();
    (MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&length) && (length > MIN_RSA_BYTES || first >= 0x80)
}

fn validation(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_S;
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(keys: &[Value]) -> Result<KeySet, String> {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes(), "issuer", "audience")
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    fn rsa(first: u8, bytes: usize) -> Value {
        let mut modulus = vec![0xff; bytes];
        modulus[0] = first;
        json!({ "kty": "RSA", "kid": "r", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(modulus) })
    }

    #[test]
    fn only_keys_that_one_algorithm_goes_with_are_taken() {
        let point = URL_SAFE_NO_PAD.encode([7; 32]);
        let ec = json!({ "kty": "EC", "crv": "P-256", "kid": "e", "x": point, "y": point });
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "o", "x": point });
        let good = [(&ec, Algorithm::ES256), (&ed, Algorithm::EdDSA), (&rsa(0x80, 256), Algorithm::RS256)];
        for (key, algorithm) in good {
            let kid = key["kid"].as_str().expect("text");
            for key in [
                key.clone(),
                with(key.clone(), "use", json!("sig")),
                with(key.clone(), "alg", serde_json::to_value(algorithm).expect("a name")),
                with(key.clone(), "key_ops", json!(["verify"])),
            ] {
                let set = read(std::slice::from_ref(&key)).expect("good");
                assert_eq!(set.get(kid).expect("taken").validation.algorithms, [algorithm], "{key}");
            }
        }
        for bad in [
            with(ec.clone(), "crv", json!("P-384")),
            with(ec.clone(), "alg", json!("ES384")),
            with(ec.clone(), "alg", json!("HS256")),
            with(ec.clone(), "use", json!("enc")),
            with(ec.clone(), "key_ops", json!(["sign"])),
            with(ec.clone(), "kid", json!("")),
            with(ec.clone(), "kid", Value::Null),
            with(ed, "crv", json!("Ed448")),
            with(rsa(0x80, 256), "alg", json!("PS256")),
            rsa(0x80, 128),
            rsa(0x7f, 256),
            rsa(0xff, 1025),
            json!({ "kty": "oct", "kid": "s", "k": point, "alg": "HS256" }),
            json!({ "kty": "new", "kid": "s" }),
            json!("nonsense"),
        ] {
            assert!(read(std::slice::from_ref(&bad)).is_err(), "{bad}");
            // It is no reason to do without the others.
            assert_eq!(read(&[bad, with(ec.clone(), "kid", json!("other"))]).map(|set| set.len()), Ok(1));
        }
        assert!(KeySet::read(b"[]", "issuer", "audience").is_err());
    }

    #[test]
    fn of_two_keys_with_one_name_neither_is_taken() {
        let other = with(rsa(0x80, 256), "kid", json!("other"));
        let set = read(&[rsa(0x80, 256), rsa(0x81, 256), other]).expect("one is good");
        assert!(set.get("r").is_none() && set.get("other").is_some());
    }
}
