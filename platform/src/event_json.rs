//! Events in JSON, as webhooks and the broker tell them: pure. What is said of an event is the same each time, since nothing that it says
//! ever changes.

use common::money::MAX_AMOUNT_MINOR_UNITS;
use proto::{
    convert,
    payments::{Debtor, Payee, Payment, PaymentEvent, PaymentKind, PaymentSide, PaymentState, payee},
};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What happened, e.g. `payment.succeeded`.
pub fn kind(event: &PaymentEvent) -> String {
    format!("payment.{}", state(event))
}

/// The state that the step led to, in small letters.
pub fn state(event: &PaymentEvent) -> String {
    let state = event.payment.as_ref().map(Payment::state).unwrap_or_default();
    word(state.as_str_name(), "PAYMENT_STATE_").to_lowercase()
}

/// When it happened: RFC 3339, in UTC.
pub fn time(event: &PaymentEvent) -> String {
    written(event.payment.as_ref().and_then(|payment| payment.update_time.as_ref()))
}

/// What its participant hears of it in WatchPayments.
pub fn data(event: &PaymentEvent) -> Value {
    json!({
        "id": event.id,
        "side": word(PaymentSide::as_str_name(&event.side()), "PAYMENT_SIDE_"),
        "payment": event.payment.as_ref().map(payment_json).unwrap_or_default(),
    })
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
    add("debtor", payment.debtor.as_ref().map(debtor_json).unwrap_or_default());
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
    add("create_time", json!(written(payment.create_time.as_ref())));
    add("update_time", json!(written(payment.update_time.as_ref())));
    add("iso_status", json!(payment.iso_status));
    add("kind", json!(word(PaymentKind::as_str_name(&payment.kind()), "PAYMENT_KIND_")));
    add("original_payment", json!(payment.original_payment));
    add(
        "expire_time",
        payment.expire_time.as_ref().map(|wire| json!(written(Some(wire)))).unwrap_or_default(),
    );
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

fn debtor_json(debtor: &Debtor) -> Value {
    let mut shown = json!({ "name": debtor.name });
    if !debtor.account.is_empty() {
        shown["account"] = json!(debtor.account);
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
fn written(wire: Option<&prost_types::Timestamp>) -> String {
    let time = wire.and_then(convert::time).map(OffsetDateTime::from);
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proto::payments::Reason;

    use super::*;

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
            debtor: Some(Debtor { name: "Bee & Co".to_owned(), account: String::new() }),
            ..Payment::default()
        };
        let side = PaymentSide::Payer.into();
        let event = PaymentEvent { id: "evt_1_2".to_owned(), side, payment: Some(payment) };
        let at = "2025-11-29T07:06:40.005Z";
        assert_eq!((kind(&event).as_str(), time(&event).as_str()), ("payment.failed", at));
        assert_eq!(
            data(&event),
            json!({ "id": "evt_1_2", "side": "PAYER", "payment": {
                "id": "pay_1", "amount": { "minor_units": 1_250, "currency": "EUR" }, "state": "FAILED",
                "reason": { "code": "REJECTED_BY_BANK" }, "sequence": 2, "update_time": at, "kind": "PAYMENT",
                "debtor": { "name": "Bee & Co" },
            } })
        );
    }
}
