//! What every order that is found good has in common.

use common::{
    money::{MAX_AMOUNT_MINOR_UNITS, Money},
    order::{Capture, LimitRules, PayeeAccount, PaymentOrder},
};
use proto::convert;

use crate::targets::demand;

/// Marks that turn or hide what a person reads.
const MISLEADING: [char; 6] = ['\u{202E}', '\u{200B}', '\u{2066}', '\u{FEFF}', '\u{AD}', '\u{3164}'];

pub(super) fn payment(order: &PaymentOrder) -> Result<(), String> {
    let wire = convert::payment_order_to_wire(order);
    demand(convert::payment_order(&wire).as_ref() == Ok(order), "its normal form is another order")?;
    id(&order.request_id)?;
    amount(order.amount)?;
    text(&order.payee.name, 140)?;
    text(&order.remittance_information, 140)?;
    let size: usize = order.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    demand(order.metadata.len() <= 20 && size <= 4_096, "too much metadata")?;
    let values = order.metadata.values().flat_map(|value| value.chars());
    demand(
        !values.chain(order.metadata.keys().flat_map(|key| key.chars())).any(char::is_control),
        "a control character",
    )?;
    if let Some(reference) = &order.end_to_end_id {
        demand(
            reference.len() <= 35 && reference.is_ascii() && !reference.contains("//"),
            "a bad reference",
        )?;
    }
    if let Capture::Manual(Some(expires_at)) = order.capture {
        demand(expires_at >= std::time::UNIX_EPOCH, "a time before 1970")?;
    }
    match &order.payee.account {
        PayeeAccount::Iban(number, _) => iban(number.as_str()),
        PayeeAccount::Number(number, _) => demand(
            (1..=34).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_alphanumeric()),
            "a bad number",
        ),
        PayeeAccount::Ledger(account) => demand(*account != order.payer_account, "it pays itself"),
    }
}

pub(super) fn id(id: &str) -> Result<(), String> {
    demand(
        (1..=255).contains(&id.len()) && id.bytes().all(|byte| (b'!'..=b'~').contains(&byte)),
        "a bad request id",
    )
}

pub(super) fn amount(amount: Money) -> Result<(), String> {
    demand((1..=MAX_AMOUNT_MINOR_UNITS).contains(&amount.minor_units()), "an amount out of range")
}

pub(super) fn text(text: &str, max_chars: usize) -> Result<(), String> {
    let is_bad = |c: char| c.is_control() || MISLEADING.contains(&c);
    demand(text.chars().count() <= max_chars && !text.chars().any(is_bad), "a text that misleads")
}

/// The check digits, computed as ISO 7064 has it.
pub(super) fn iban(iban: &str) -> Result<(), String> {
    let turned = iban.bytes().skip(4).chain(iban.bytes().take(4));
    let rest = turned.fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        _ => u32::MAX / 200,
    });
    demand(rest == 1 && (15..=34).contains(&iban.len()), "an IBAN whose check digits don't fit")
}

pub(super) fn limits(rules: &LimitRules) -> Result<(), String> {
    let all = [
        rules.payment_minor_units,
        rules.unsigned_payment_minor_units,
        rules.hour.minor_units,
        rules.hour.payments,
        rules.day.minor_units,
        rules.day.payments,
    ];
    demand(all.iter().flatten().all(|most| *most >= 0), "a limit of less than nothing")
}
