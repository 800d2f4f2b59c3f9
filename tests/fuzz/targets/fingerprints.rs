//! Fingerprints: a request that means the same has the same, and one that differs in anything has another.

use std::collections::HashMap;

use harness::BenchError;
use platform::fingerprint::Fingerprints;
use prost::Message;
use proto::{
    convert,
    payments::{
        CaptureMode, CapturePaymentRequest, CreatePaymentRequest,
        payee::{Account, Bank},
    },
};

use super::{chosen, demand, requests, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

/// How many fingerprints are remembered.
const MAX_KNOWN: usize = 100_000;

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let mut known: HashMap<[u8; 16], blake3::Hash> = HashMap::with_capacity(2 * MAX_KNOWN);
    Ok(Target {
        seeds: requests::payments().iter().map(|payment| chosen(0, payment.encode_to_vec())).collect(),
        words: words(&["EUR", "JPY", "DE89370400440532013000", "AURODEFFXXX", "aurora", "ORDER-1"]),
        form: Form::Message,
        check: Box::new(move |input| check(&mut known, input.get(1..).unwrap_or_default())),
    })
}

fn fingerprints() -> Fingerprints {
    Fingerprints::new([7; 32])
}

fn of(request: &CreatePaymentRequest) -> Option<[u8; 16]> {
    let order = convert::payment_order(request).ok()?;
    Some(fingerprints().of(&convert::payment_order_to_wire(&order)))
}

fn check(known: &mut HashMap<[u8; 16], blake3::Hash>, message: &[u8]) -> Checked {
    let Ok(request) = CreatePaymentRequest::decode(message) else { return Ok("no message".to_owned()) };
    let Some(print) = of(&request) else { return Ok("refused".to_owned()) };
    for (what, same) in same(&request) {
        demand(of(&same) == Some(print), &format!("another fingerprint of the same payment: {what}"))?;
    }
    let others = others(&request);
    for (what, other) in &others {
        demand(*other != request, &format!("not changed: {what}"))?;
        demand(
            of(other).is_none_or(|other| other != print),
            &format!("the same fingerprint of another payment: {what}"),
        )?;
    }
    let order = convert::payment_order(&request).map_err(|_| "refused")?;
    // What an order says, without the code that writes it to the wire.
    let whole = blake3::hash(
        format!("{order:?} {:?}", request.payee.as_ref().map(|payee| &payee.account))
            .to_uppercase()
            .replace(' ', "")
            .as_bytes(),
    );
    if let Some(before) = known.get(&print) {
        demand(*before == whole, "two payments with one fingerprint")?;
    } else if known.len() < MAX_KNOWN {
        known.insert(print, whole);
    }
    operations(&request)?;
    let account = order.payee.account;
    Ok(format!(
        "{} labels, {} others, {}",
        order.metadata.len(),
        others.len(),
        format!("{account:?}").split('(').next().unwrap_or_default()
    ))
}

/// Captures and refunds: of each operation and each content another one.
fn operations(request: &CreatePaymentRequest) -> Result<(), String> {
    let capture = CapturePaymentRequest {
        request_id: request.request_id.clone(),
        payment: "p".to_owned(),
        amount: request.amount.clone(),
    };
    let print = fingerprints().of_operation("capture", &capture);
    for (what, other) in [
        ("a refund", fingerprints().of_operation("refund", &capture)),
        ("a request of no operation", fingerprints().of(&capture)),
        (
            "another payment",
            fingerprints().of_operation(
                "capture",
                &CapturePaymentRequest { payment: "q".to_owned(), ..capture.clone() },
            ),
        ),
        (
            "no amount",
            fingerprints()
                .of_operation("capture", &CapturePaymentRequest { amount: None, ..capture.clone() }),
        ),
    ] {
        demand(other != print, &format!("a capture has the fingerprint of {what}"))?;
    }
    Ok(())
}

/// What means the same in other words.
fn same(request: &CreatePaymentRequest) -> Vec<(&'static str, CreatePaymentRequest)> {
    let mut all = vec![(
        "written again",
        CreatePaymentRequest::decode(request.encode_to_vec().as_slice()).unwrap_or_default(),
    )];
    let mut add = |what, change: &dyn Fn(&mut CreatePaymentRequest)| {
        let mut changed = request.clone();
        change(&mut changed);
        all.push((what, changed));
    };
    add("validate_only", &|r| r.validate_only = !r.validate_only);
    add("small letters and spaces of an IBAN", &|r| {
        if let Some(Account::Iban(iban)) = r.payee.as_mut().and_then(|payee| payee.account.as_mut())
            && iban.len() < 60
        {
            *iban = format!("{} ", iban.to_ascii_lowercase());
        }
    });
    add("the head office", &|r| {
        if let Some(Bank::Bic(bic)) = r.payee.as_mut().and_then(|payee| payee.bank.as_mut())
            && bic.len() == 8
        {
            bic.push_str("XXX");
        }
    });
    add("no capture mode", &|r| {
        if r.capture() == CaptureMode::Automatic {
            r.capture = CaptureMode::Unspecified.into();
        }
    });
    all
}

/// What differs in one field.
fn others(request: &CreatePaymentRequest) -> Vec<(&'static str, CreatePaymentRequest)> {
    let mut all = Vec::new();
    let mut add = |what, change: &dyn Fn(&mut CreatePaymentRequest)| {
        let mut changed = request.clone();
        change(&mut changed);
        all.push((what, changed));
    };
    // One character of a text: `a` becomes `b`, and anything else `a`.
    let other = |text: &mut String| {
        let last = if text.pop() == Some('a') { 'b' } else { 'a' };
        text.push(last);
    };
    add("request_id", &|r| other(&mut r.request_id));
    add("payer_account", &|r| other(&mut r.payer_account));
    add("remittance_information", &|r| other(&mut r.remittance_information));
    add("end_to_end_id", &|r| other(&mut r.end_to_end_id));
    add("a label more", &|r| drop(r.metadata.insert(format!("new{}", r.metadata.len()), String::new())));
    add("capture", &|r| {
        let held = r.capture() == CaptureMode::Manual;
        r.capture = if held { CaptureMode::Automatic } else { CaptureMode::Manual }.into();
        if held {
            r.expire_time = None;
        }
    });
    if let Some(key) = request.metadata.keys().next().cloned() {
        add("a label less", &|r| drop(r.metadata.remove(&key)));
        add("a label's value", &|r| {
            r.metadata.entry(key.clone()).and_modify(other).or_default().truncate(256)
        });
    }
    if request.capture() == CaptureMode::Manual {
        add("expire_time", &|r| {
            let time = r.expire_time.get_or_insert_default();
            time.nanos = if time.nanos == 0 { 1 } else { 0 };
            time.seconds = time.seconds.max(1);
        });
    }
    if let Some(amount) = &request.amount {
        add("amount", &|r| {
            r.amount.get_or_insert_default().minor_units =
                if amount.minor_units == 1 { 2 } else { amount.minor_units - 1 }
        });
        let currency = if amount.currency == "EUR" { "USD" } else { "EUR" };
        add("currency", &|r| r.amount.get_or_insert_default().currency = currency.to_owned());
    }
    add("name", &|r| other(&mut r.payee.get_or_insert_default().name));
    let is_dutch = |iban: &String| iban.to_ascii_uppercase().starts_with("NL");
    let is_dutch = matches!(request.payee.as_ref().and_then(|payee| payee.account.as_ref()), Some(Account::Iban(iban)) if is_dutch(&iban.replace(' ', "")));
    let another_iban = if is_dutch { "DE89370400440532013000" } else { "NL91ABNA0417164300" };
    add("account", &|r| match &mut r.payee.get_or_insert_default().account {
        Some(Account::AccountNumber(number) | Account::LedgerAccount(number)) => other(number),
        account => *account = Some(Account::Iban(another_iban.to_owned())),
    });
    if request.payee.as_ref().is_some_and(|payee| payee.bank.is_some()) {
        add("bank", &|r| match &mut r.payee.get_or_insert_default().bank {
            Some(Bank::BankId(id)) => other(id),
            bank => *bank = Some(Bank::BankId("other".to_owned())),
        });
    }
    all
}
