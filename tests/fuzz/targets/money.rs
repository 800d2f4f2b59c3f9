//! Amounts: text is read as its digits say, by arithmetic of another kind, and what is written is read back.

use common::money::{Currency, MAX_AMOUNT_MINOR_UNITS, Money};
use harness::BenchError;
use proto::convert;

use super::{chosen, demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

/// With 2, 0, 3, 4 and 2 digits behind the point.
const CURRENCIES: [&str; 5] = ["EUR", "JPY", "KWD", "CLF", "USD"];

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let texts = [
        "12.34",
        "0.05",
        "7",
        "12.340",
        "0",
        "99999999999.99",
        "92233720368547758.07",
        "500",
        "0.001",
        "10.",
        ".5",
        "1e3",
        "-1",
        "1,00",
        "+5",
        "00012.5",
        "9999999999999999999",
    ];
    let numbers = [0, 1, -1, i64::MAX, i64::MIN, MAX_AMOUNT_MINOR_UNITS, MAX_AMOUNT_MINOR_UNITS + 1];
    let texts =
        texts.iter().enumerate().map(|(at, text)| chosen(u8::try_from(at % 5).unwrap_or_default(), text));
    let numbers = numbers.iter().map(|number| chosen(5, number.to_be_bytes()));
    Ok(Target {
        seeds: texts.chain(numbers).collect(),
        words: words(&["0", "9", ".", "00000", "99999", "e1", " ", "-"]),
        form: Form::Text,
        check: Box::new(check),
    })
}

fn check(input: &[u8]) -> Checked {
    let Some((choice, rest)) = input.split_first() else { return Ok("nothing".to_owned()) };
    let choice = usize::from(*choice % 10);
    let currency = Currency::parse(CURRENCIES[choice % 5]).ok_or("no such currency")?;
    if choice >= 5 {
        let number = rest.first_chunk().map_or(0, |number| i64::from_be_bytes(*number));
        return written(number, currency);
    }
    let Ok(text) = std::str::from_utf8(rest) else { return Ok("no text".to_owned()) };
    let read = Money::from_decimal(text, currency).map(Money::minor_units);
    let expected = by_hand(text, currency.exponent());
    demand(read == expected, &format!("read as {read:?}, says {expected:?}"))?;
    if let Some(minor_units) = read {
        return written(minor_units, currency).map(|outcome| format!("{outcome} of {} places", text.len()));
    }
    Ok(format!("refused {}", text.len().min(20)))
}

/// What the text says, digit by digit; none if it may not stand in a message.
fn by_hand(text: &str, exponent: u32) -> Option<i64> {
    let mut parts = text.split('.');
    let (whole, fraction) = (parts.next()?, parts.next());
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if parts.next().is_some()
        || !is_number(whole)
        || fraction.is_some_and(|part| !is_number(part))
        || text.len() > 19
    {
        return None;
    }
    let mut value: u128 = 0;
    let mut places = 0;
    for digit in whole.bytes() {
        value = value * 10 + u128::from(digit - b'0');
    }
    for digit in fraction.unwrap_or_default().bytes() {
        places += 1;
        if places <= exponent {
            value = value * 10 + u128::from(digit - b'0');
        } else if digit != b'0' {
            return None;
        }
    }
    (places.min(exponent)..exponent).for_each(|_| value *= 10);
    i64::try_from(value).ok()
}

fn written(number: i64, currency: Currency) -> Checked {
    let money = Money::new(number, currency);
    let text = money.to_decimal();
    let read = Money::from_decimal(&text, currency);
    let may_be_read = number >= 0 && text.len() <= 19;
    demand(read == may_be_read.then_some(money), &format!("{text} is not read back"))?;
    demand(
        may_be_read || !(0..=MAX_AMOUNT_MINOR_UNITS).contains(&number),
        "a payment's amount is not read back",
    )?;
    let mut violations = Vec::new();
    let wire = convert::money_to_wire(money);
    let taken = convert::amount("amount", Some(&wire), &mut violations);
    let may_be_paid = (1..=MAX_AMOUNT_MINOR_UNITS).contains(&number);
    demand(taken == may_be_paid.then_some(money), "an amount out of range is taken, or one in range is not")?;
    demand(violations.is_empty() == may_be_paid, "refused without a reason")?;
    Ok(format!("{} digits, paid {may_be_paid}", text.len()))
}
