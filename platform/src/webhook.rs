//! What is posted to participants' URLs, and how it is signed (Standard Webhooks 1.0.0): pure.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use proto::payments::PaymentEvent;
use serde_json::json;

use crate::{
    encryption::{contents::WebhookKeys, wrapping},
    event_json,
};

/// New keys; none if the system gives no randomness.
pub fn new_keys() -> Option<WebhookKeys> {
    Some(WebhookKeys { secret: wrapping::new_key()?.into(), seed: wrapping::new_key()?.into() })
}

/// The secret, as its receiver is shown it.
pub fn secret(keys: &WebhookKeys) -> String {
    format!("whsec_{}", STANDARD.encode(&keys.secret))
}

/// What Ed25519 signatures are verified with; empty if the key is none.
pub fn public_key(keys: &WebhookKeys) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&keys.seed);
    pair.map(|pair| format!("whpk_{}", STANDARD.encode(pair.public_key().as_ref()))).unwrap_or_default()
}

/// `webhook-signature`: with each of these keys, by its secret and by its key.
pub fn signature<'k>(
    keys: impl Iterator<Item = &'k WebhookKeys>,
    id: &str,
    timestamp: i64,
    content: &[u8],
) -> String {
    let signed = [format!("{id}.{timestamp}.").as_bytes(), content].concat();
    let signatures = keys.flat_map(|keys| {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &keys.secret);
        let symmetric = format!("v1,{}", STANDARD.encode(hmac::sign(&secret, &signed).as_ref()));
        let pair = Ed25519KeyPair::from_seed_unchecked(&keys.seed).ok();
        let asymmetric = pair.map(|pair| format!("v1a,{}", STANDARD.encode(pair.sign(&signed).as_ref())));
        [Some(symmetric), asymmetric]
    });
    signatures.flatten().collect::<Vec<_>>().join(" ")
}

/// The seconds of a time, as `webhook-timestamp` says them.
pub fn timestamp(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What is posted of an event: what its participant hears of it in WatchPayments, in JSON. The same each time, since nothing that it says
/// ever changes.
pub fn content(event: &PaymentEvent) -> Vec<u8> {
    let content = json!({
        "type": event_json::kind(event),
        "timestamp": event_json::time(event),
        "data": event_json::data(event),
    });
    content.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // Its own example: spec/standard-webhooks.md.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let keys = WebhookKeys { secret, seed: vec![7; 32] };
        let (id, time, content) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let signature = signature([&keys].into_iter(), id, time, content);
        let (symmetric, asymmetric) = signature.split_once(' ').unwrap();
        assert_eq!(symmetric, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let public = STANDARD.decode(public_key(&keys).strip_prefix("whpk_").unwrap()).unwrap();
        let signed = [format!("{id}.{time}.").as_bytes(), content].concat();
        let made = STANDARD.decode(asymmetric.strip_prefix("v1a,").unwrap()).unwrap();
        assert!(UnparsedPublicKey::new(&ED25519, public).verify(&signed, &made).is_ok());
    }
}
