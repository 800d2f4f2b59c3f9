//! Orders: what a caller asks to be paid or opened.

use std::collections::BTreeMap;

use common::{
    bic::Bic,
    fault::Violation,
    iban::Iban,
    id::{AccountId, PaymentId},
    order::{AccountOrder, BankKey, Capture, CaptureOrder, Payee, PayeeAccount, PaymentOrder, RefundOrder},
    text,
};

use super::{amount, currency, id, money_to_wire, time, time_to_wire};
use crate::{
    accounts::CreateAccountRequest,
    payments::{self, CaptureMode, CapturePaymentRequest, CreatePaymentRequest, RefundPaymentRequest, payee},
};

const MAX_TEXT_CHARS: usize = 140;
/// `AddtlInf` of a camt.056 is `Max105Text`.
const MAX_REFUND_TEXT_CHARS: usize = 105;
const MAX_METADATA_ENTRIES: usize = 20;
const MAX_METADATA_BYTES: usize = 4096;

/// Reads a payment order.
///
/// # Errors
/// Everything that is wrong with it.
pub fn payment_order(wire: &CreatePaymentRequest) -> Result<PaymentOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    let payer = id("payer_account", &wire.payer_account, "acc_", AccountId::parse, &mut violations);
    let payee = match &wire.payee {
        Some(payee) => self::payee(payee, payer, &mut violations),
        None => required("payee", &mut violations),
    };
    let amount = amount("amount", wire.amount.as_ref(), &mut violations);
    if !wire.remittance_information.is_empty() {
        check_readable("remittance_information", &wire.remittance_information, &mut violations);
    }
    if !wire.end_to_end_id.is_empty() {
        check("end_to_end_id", text::bank_reference(&wire.end_to_end_id), &mut violations);
    }
    metadata(&wire.metadata, &mut violations);
    let capture = capture(wire, &mut violations);
    match (payer, payee, amount, capture) {
        (Some(payer_account), Some(payee), Some(amount), Some(capture)) if violations.is_empty() => {
            Ok(PaymentOrder {
                request_id: wire.request_id.clone(),
                payer_account,
                payee,
                amount,
                remittance_information: wire.remittance_information.clone(),
                end_to_end_id: Some(wire.end_to_end_id.clone()).filter(|id| !id.is_empty()),
                metadata: wire.metadata.clone(),
                capture,
            })
        }
        _ => Err(violations),
    }
}

fn capture(wire: &CreatePaymentRequest, violations: &mut Vec<Violation>) -> Option<Capture> {
    let mode = CaptureMode::try_from(wire.capture);
    let expires_at = match &wire.expire_time {
        None => None,
        Some(expire_time) => match time(expire_time) {
            Some(expires_at) => Some(expires_at),
            None => return wrong("expire_time", "must be a time from 1970 to 9999", violations),
        },
    };
    match mode {
        Ok(CaptureMode::Manual) => Some(Capture::Manual(expires_at)),
        Ok(CaptureMode::Unspecified | CaptureMode::Automatic) if expires_at.is_none() => {
            Some(Capture::Automatic)
        }
        Ok(_) => wrong("expire_time", "only allowed with capture CAPTURE_MODE_MANUAL", violations),
        Err(_) => wrong("capture", "must be a capture mode, or absent", violations),
    }
}

/// Reads what is to be captured.
///
/// # Errors
/// Everything that is wrong with it.
pub fn capture_order(wire: &CapturePaymentRequest) -> Result<CaptureOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    let payment = id("payment", &wire.payment, "pay_", PaymentId::parse, &mut violations);
    let amount = wire.amount.as_ref().map(|wire| amount("amount", Some(wire), &mut violations));
    match (payment, amount) {
        (Some(payment), None | Some(Some(_))) if violations.is_empty() => {
            Ok(CaptureOrder { request_id: wire.request_id.clone(), payment, amount: amount.flatten() })
        }
        _ => Err(violations),
    }
}

/// Reads what is to be given back.
///
/// # Errors
/// Everything that is wrong with it.
pub fn refund_order(wire: &RefundPaymentRequest) -> Result<RefundOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    let payment = id("payment", &wire.payment, "pay_", PaymentId::parse, &mut violations);
    let amount = wire.amount.as_ref().map(|wire| amount("amount", Some(wire), &mut violations));
    if !wire.remittance_information.is_empty() {
        let text = text::readable(&wire.remittance_information, MAX_REFUND_TEXT_CHARS);
        check("remittance_information", text, &mut violations);
    }
    match (payment, amount) {
        (Some(payment), None | Some(Some(_))) if violations.is_empty() => Ok(RefundOrder {
            request_id: wire.request_id.clone(),
            payment,
            amount: amount.flatten(),
            remittance_information: wire.remittance_information.clone(),
        }),
        _ => Err(violations),
    }
}

/// Puts an order on the wire in its normal form: equal orders are equal bytes.
pub fn payment_order_to_wire(order: &PaymentOrder) -> CreatePaymentRequest {
    CreatePaymentRequest {
        request_id: order.request_id.clone(),
        payer_account: order.payer_account.to_string(),
        payee: Some(payee_to_wire(&order.payee)),
        amount: Some(money_to_wire(order.amount)),
        remittance_information: order.remittance_information.clone(),
        end_to_end_id: order.end_to_end_id.clone().unwrap_or_default(),
        metadata: order.metadata.clone(),
        validate_only: false,
        capture: match order.capture {
            // As a request without the field: what was recorded before there was one stays its repeat.
            Capture::Automatic => CaptureMode::Unspecified.into(),
            Capture::Manual(_) => CaptureMode::Manual.into(),
        },
        expire_time: match order.capture {
            Capture::Automatic => None,
            Capture::Manual(expires_at) => expires_at.map(time_to_wire),
        },
    }
}

fn payee_to_wire(payee: &Payee) -> payments::Payee {
    let bank = |key: &BankKey| match key {
        BankKey::Id(id) => payee::Bank::BankId(id.clone()),
        BankKey::Bic(bic) => payee::Bank::Bic(bic.as_str().to_owned()),
    };
    let (account, bank) = match &payee.account {
        PayeeAccount::Iban(iban, key) => {
            (payee::Account::Iban(iban.as_str().to_owned()), key.as_ref().map(bank))
        }
        PayeeAccount::Number(number, key) => (payee::Account::AccountNumber(number.clone()), Some(bank(key))),
        PayeeAccount::Ledger(account) => (payee::Account::LedgerAccount(account.to_string()), None),
    };
    payments::Payee { name: payee.name.clone(), account: Some(account), bank }
}

impl From<&Payee> for payments::Payee {
    fn from(payee: &Payee) -> Self {
        payee_to_wire(payee)
    }
}

fn payee(wire: &payments::Payee, payer: Option<AccountId>, violations: &mut Vec<Violation>) -> Option<Payee> {
    check_readable("payee.name", &wire.name, violations);
    let bank = bank(wire.bank.as_ref(), violations);
    let account = match &wire.account {
        None => required("payee.account", violations),
        Some(payee::Account::Iban(text)) => match Iban::parse(text) {
            Some(iban) => Some(PayeeAccount::Iban(iban, bank)),
            None => wrong(
                "payee.iban",
                "must be an IBAN (ISO 13616) whose length and check digits fit",
                violations,
            ),
        },
        Some(payee::Account::AccountNumber(number)) => {
            account_number(number, wire.bank.is_some(), bank, violations)
        }
        Some(payee::Account::LedgerAccount(text)) => {
            ledger_account(text, payer, wire.bank.is_some(), violations)
        }
    };
    Some(Payee { name: wire.name.clone(), account: account? })
}

fn bank(wire: Option<&payee::Bank>, violations: &mut Vec<Violation>) -> Option<BankKey> {
    match wire? {
        payee::Bank::BankId(id) if is_bank_id(id) => Some(BankKey::Id(id.clone())),
        payee::Bank::BankId(_) => wrong("payee.bank_id", BANK_ID_FORM, violations),
        payee::Bank::Bic(text) => match Bic::parse(text) {
            Some(bic) => Some(BankKey::Bic(bic)),
            None => wrong("payee.bic", "must be a BIC (ISO 9362) of 8 or 11 capitals and digits", violations),
        },
    }
}

fn account_number(
    number: &str,
    bank_given: bool,
    bank: Option<BankKey>,
    violations: &mut Vec<Violation>,
) -> Option<PayeeAccount> {
    let well_formed =
        (1..=34).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !well_formed {
        violations.push(Violation::new("payee.account_number", "must be 1 to 34 letters and digits"));
    }
    if !bank_given {
        violations.push(Violation::new("payee.bank", "an account_number needs bank_id or bic"));
    }
    bank.filter(|_| well_formed).map(|bank| PayeeAccount::Number(number.to_owned(), bank))
}

fn ledger_account(
    text: &str,
    payer: Option<AccountId>,
    bank_given: bool,
    violations: &mut Vec<Violation>,
) -> Option<PayeeAccount> {
    if bank_given {
        violations.push(Violation::new("payee.bank", "not allowed with a ledger_account"));
    }
    let account = id("payee.ledger_account", text, "acc_", AccountId::parse, violations)?;
    if Some(account) == payer {
        return wrong("payee.ledger_account", "must not be the payer_account", violations);
    }
    Some(PayeeAccount::Ledger(account))
}

fn metadata(wire: &BTreeMap<String, String>, violations: &mut Vec<Violation>) {
    let mut complain = |what: &str| violations.push(Violation::new("metadata", what));
    if wire.len() > MAX_METADATA_ENTRIES {
        complain("must have at most 20 entries");
    }
    let is_small =
        wire.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= MAX_METADATA_BYTES;
    if !is_small {
        complain("must have at most 4,096 bytes in all");
    }
    let key_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if wire.keys().any(|key| key.is_empty() || key.len() > 40 || !key.bytes().all(key_byte)) {
        complain("keys must be 1 to 40 characters of a-z A-Z 0-9 _ . -");
    }
    let bad_value = |value: &String| value.chars().count() > 256 || !value.chars().all(text::is_readable);
    if wire.values().any(bad_value) {
        complain(
            "values must have at most 256 characters, none of them a control, invisible or direction character",
        );
    }
    // What is too much is refused anyway, and would take long to look through.
    if is_small && wire.iter().any(|(key, value)| text::has_card_number(key) || text::has_card_number(value))
    {
        complain("must not hold a card number");
    }
}

/// Reads an account order.
///
/// # Errors
/// Everything that is wrong with it.
pub fn account_order(wire: &CreateAccountRequest) -> Result<AccountOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    check_readable("display_name", &wire.display_name, &mut violations);
    let currency = currency("currency", &wire.currency, &mut violations);
    let iban = Iban::parse(&wire.iban);
    if iban.is_none() && !wire.iban.is_empty() {
        violations
            .push(Violation::new("iban", "must be an IBAN (ISO 13616) whose length and check digits fit"));
    }
    match currency {
        Some(currency) if violations.is_empty() => Ok(AccountOrder {
            request_id: wire.request_id.clone(),
            display_name: wire.display_name.clone(),
            currency,
            iban,
        }),
        _ => Err(violations),
    }
}

pub(super) const BANK_ID_FORM: &str = "must be 2 to 32 characters of a-z 0-9 and -";

pub(super) fn is_bank_id(text: &str) -> bool {
    (2..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

pub(super) fn check(field: &str, result: Result<(), text::Complaint>, violations: &mut Vec<Violation>) {
    if let Err(complaint) = result {
        violations.push(Violation::new(field, complaint));
    }
}

pub(super) fn check_readable(field: &str, value: &str, violations: &mut Vec<Violation>) {
    check(field, text::readable(value, MAX_TEXT_CHARS), violations);
}

fn required<T>(field: &str, violations: &mut Vec<Violation>) -> Option<T> {
    wrong(field, "required", violations)
}

fn wrong<T>(field: &str, must: &str, violations: &mut Vec<Violation>) -> Option<T> {
    violations.push(Violation::new(field, must));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Money;

    fn good() -> CreatePaymentRequest {
        CreatePaymentRequest {
            request_id: "order-1".to_owned(),
            payer_account: format!("acc_{}", "1".repeat(32)),
            payee: Some(payments::Payee {
                name: "Ada".to_owned(),
                account: Some(payee::Account::Iban("DE89 3704 0044 0532 0130 00".to_owned())),
                bank: None,
            }),
            amount: Some(Money { minor_units: 1, currency: "EUR".to_owned() }),
            ..CreatePaymentRequest::default()
        }
    }

    fn fields(wire: &CreatePaymentRequest) -> Vec<String> {
        payment_order(wire).expect_err("refused").into_iter().map(|v| v.field).collect()
    }

    #[test]
    fn an_empty_request_hears_of_everything_at_once() {
        let all = fields(&CreatePaymentRequest::default());
        assert_eq!(all, ["request_id", "payer_account", "payee", "amount"]);
    }

    #[test]
    fn the_normal_form_is_one_for_equal_orders() {
        let mut spaced = good();
        let order = payment_order(&spaced).expect("good");
        spaced.payee.as_mut().expect("payee").account =
            Some(payee::Account::Iban("de89370400440532013000".to_owned()));
        assert_eq!(payment_order(&spaced).expect("good"), order);
        assert_eq!(payment_order(&payment_order_to_wire(&order)).expect("good"), order);
    }

    #[test]
    fn each_bad_field_is_named() {
        type Spoil = fn(&mut CreatePaymentRequest);
        let cases: [(&str, Spoil); 14] = [
            ("request_id", |r| r.request_id = "a b".to_owned()),
            ("payer_account", |r| r.payer_account = "pay_x".to_owned()),
            ("payee.name", |r| r.payee.as_mut().unwrap().name = "\u{202E}".to_owned()),
            ("payee.iban", |r| {
                r.payee.as_mut().unwrap().account = Some(payee::Account::Iban("DE00".to_owned()))
            }),
            ("payee.account", |r| r.payee.as_mut().unwrap().account = None),
            ("payee.bic", |r| r.payee.as_mut().unwrap().bank = Some(payee::Bank::Bic("x".to_owned()))),
            ("payee.bank_id", |r| r.payee.as_mut().unwrap().bank = Some(payee::Bank::BankId("X".to_owned()))),
            ("payee.bank", |r| {
                r.payee.as_mut().unwrap().account = Some(payee::Account::AccountNumber("1".to_owned()));
            }),
            ("payee.ledger_account", |r| {
                r.payee.as_mut().unwrap().account =
                    Some(payee::Account::LedgerAccount(r.payer_account.clone()));
            }),
            ("amount.minor_units", |r| r.amount.as_mut().unwrap().minor_units = i64::MIN),
            ("amount.minor_units", |r| r.amount.as_mut().unwrap().minor_units = MAX + 1),
            ("amount.currency", |r| r.amount.as_mut().unwrap().currency = "eur".to_owned()),
            ("end_to_end_id", |r| r.end_to_end_id = "//".to_owned()),
            ("metadata", |r| drop(r.metadata.insert("card".to_owned(), "4111 1111 1111 1111".to_owned()))),
        ];
        const MAX: i64 = common::money::MAX_AMOUNT_MINOR_UNITS;
        for (field, spoil) in cases {
            let mut request = good();
            spoil(&mut request);
            assert_eq!(fields(&request), [field]);
        }
    }
}
