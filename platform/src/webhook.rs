//! What is posted to participants' URLs, and how it is signed (Standard Webhooks 1.0.0): pure.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::money::MAX_AMOUNT_MINOR_UNITS;
use proto::{
    convert,
    payments::{Payee, Payment, PaymentEvent, PaymentKind, PaymentSide, PaymentState, payee},
};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::encryption::{contents::WebhookKeys, wrapping};

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
    let payment = event.payment.clone().unwrap_or_default();
    let state = word(payment.state().as_str_name(), "PAYMENT_STATE_");
    let content = json!({
        "type": format!("payment.{}", state.to_lowercase()),
        "timestamp": time(payment.update_time.as_ref()),
        "data": {
            "id": event.id,
            "side": word(PaymentSide::as_str_name(&event.side()), "PAYMENT_SIDE_"),
            "payment": payment_json(&payment),
        },
    });
    content.to_string().into_bytes()
}

/// A payment without what is empty or absent, in the words of its message.
fn payment_json(payment: &Payment) -> Value {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| {
        let is_there = match &value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        if is_there {
            fields.insert(name.to_owned(), value);
        }
    };
    add("id", json!(payment.id));
    add("request_id", json!(payment.request_id));
    add("payer_account", json!(payment.payer_account));
    add("payee", payment.payee.as_ref().map(payee_json).unwrap_or_default());
    add("amount", money(payment.amount.as_ref()));
    add("remittance_information", json!(payment.remittance_information));
    add("end_to_end_id", json!(payment.end_to_end_id));
    add("metadata", json!(payment.metadata));
    add("bank_id", json!(payment.bank_id));
    add("uetr", json!(payment.uetr));
    add("state", json!(word(PaymentState::as_str_name(&payment.state()), "PAYMENT_STATE_")));
    let reason = payment.reason.as_ref().map(|reason| {
        let mut shown = json!({ "code": reason.code });
        if !reason.iso_code.is_empty() {
            shown["iso_code"] = json!(reason.iso_code);
        }
        shown
    });
    add("reason", reason.unwrap_or_default());
    add("sequence", json!(payment.sequence));
    add("create_time", json!(time(payment.create_time.as_ref())));
    add("update_time", json!(time(payment.update_time.as_ref())));
    add("iso_status", json!(payment.iso_status));
    add("kind", json!(word(PaymentKind::as_str_name(&payment.kind()), "PAYMENT_KIND_")));
    add("original_payment", json!(payment.original_payment));
    add("expire_time", payment.expire_time.as_ref().map(|wire| json!(time(Some(wire)))).unwrap_or_default());
    Value::Object(fields)
}

fn payee_json(payee: &Payee) -> Value {
    let mut shown = json!({ "name": payee.name });
    match &payee.account {
        Some(payee::Account::Iban(iban)) => shown["iban"] = json!(iban),
        Some(payee::Account::AccountNumber(number)) => shown["account_number"] = json!(number),
        Some(payee::Account::LedgerAccount(account)) => shown["ledger_account"] = json!(account),
        None => {}
    }
    match &payee.bank {
        Some(payee::Bank::BankId(bank)) => shown["bank_id"] = json!(bank),
        Some(payee::Bank::Bic(bic)) => shown["bic"] = json!(bic),
        None => {}
    }
    shown
}

/// An amount. Its number is exact in every reader of JSON: it is below 2^53.
fn money(money: Option<&proto::money::Money>) -> Value {
    const _: () = assert!(MAX_AMOUNT_MINOR_UNITS < 1 << 53);
    money
        .map(|money| json!({ "minor_units": money.minor_units, "currency": money.currency }))
        .unwrap_or_default()
}

/// A name of an enum without what all its names begin with.
fn word<'n>(name: &'n str, begin: &str) -> &'n str {
    name.strip_prefix(begin).unwrap_or(name)
}

/// RFC 3339, in UTC; empty if it can't be written.
fn time(wire: Option<&prost_types::Timestamp>) -> String {
    let time = wire.and_then(convert::time).map(OffsetDateTime::from);
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use proto::payments::Reason;

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

    #[test]
    fn an_event_is_shown_in_plain_words_without_what_is_absent() {
        let payment = Payment {
            id: "pay_1".to_owned(),
            amount: Some(proto::money::Money { minor_units: 1_250, currency: "EUR".to_owned() }),
            state: PaymentState::Failed.into(),
            reason: Some(Reason { code: "REJECTED_BY_BANK".to_owned(), ..Reason::default() }),
            sequence: 2,
            update_time: Some(prost_types::Timestamp { seconds: 1_764_400_000, nanos: 5_000_000 }),
            kind: PaymentKind::Payment.into(),
            ..Payment::default()
        };
        let side = PaymentSide::Payer.into();
        let event = PaymentEvent { id: "evt_1_2".to_owned(), side, payment: Some(payment) };
        let shown: Value = serde_json::from_slice(&content(&event)).unwrap();
        let at = "2025-11-29T07:06:40.005Z";
        assert_eq!(
            shown,
            json!({ "type": "payment.failed", "timestamp": at, "data": { "id": "evt_1_2", "side": "PAYER", "payment": {
                "id": "pay_1", "amount": { "minor_units": 1_250, "currency": "EUR" }, "state": "FAILED",
                "reason": { "code": "REJECTED_BY_BANK" }, "sequence": 2, "update_time": at, "kind": "PAYMENT",
            } } })
        );
    }
}
