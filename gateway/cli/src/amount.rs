//! Amounts as people write them.

use common::{
    fault::Violation,
    money::{Currency, MAX_AMOUNT_MINOR_UNITS, Money},
};

/// How much.
#[derive(clap::Args, Debug)]
pub struct AmountArgs {
    /// How much, in plain digits: 12.34.
    #[arg(allow_negative_numbers = true)]
    amount: String,
    /// The currency (ISO 4217): EUR.
    currency: String,
}

/// How much, or all of it.
#[derive(clap::Args, Debug)]
pub struct PartArgs {
    /// How much, in plain digits: 12.34. All of it if absent.
    #[arg(allow_negative_numbers = true, requires = "currency")]
    amount: Option<String>,
    /// The currency (ISO 4217): EUR.
    currency: Option<String>,
}

impl AmountArgs {
    /// The amount; or notes what is wrong with it.
    pub fn read(&self, violations: &mut Vec<Violation>) -> Option<proto::money::Money> {
        amount(&self.amount, &self.currency, violations)
    }
}

impl PartArgs {
    /// The amount, if there is one; or notes what is wrong with it.
    pub fn read(&self, violations: &mut Vec<Violation>) -> Option<proto::money::Money> {
        amount(self.amount.as_deref()?, self.currency.as_deref()?, violations)
    }
}

fn amount(digits: &str, code: &str, violations: &mut Vec<Violation>) -> Option<proto::money::Money> {
    let currency = proto::convert::currency("CURRENCY", code, violations)?;
    let money = Money::from_decimal(digits, currency)
        .filter(|money| (1..=MAX_AMOUNT_MINOR_UNITS).contains(&money.minor_units()));
    if money.is_none() {
        violations.push(Violation::new("AMOUNT", must(currency, digits)));
    }
    money.map(proto::convert::money_to_wire)
}

fn must(currency: Currency, got: &str) -> String {
    let bound = |minor_units| Money::new(minor_units, currency);
    let digits = currency.exponent();
    format!(
        "must be plain digits with at most {digits} behind a point, from {} to {}, got {got:?}",
        bound(1).to_decimal(),
        bound(MAX_AMOUNT_MINOR_UNITS)
    )
}

/// An amount as a person reads it; one in a currency that is not known here in its minor units.
pub fn shown(money: Option<&proto::money::Money>) -> String {
    money.map_or_else(String::new, |money| decimal(money.minor_units, &money.currency))
}

/// Minor units of this currency as a person reads them.
pub fn decimal(minor_units: i64, code: &str) -> String {
    Currency::parse(code).map_or_else(
        || format!("{minor_units} minor units of {code}"),
        |currency| Money::new(minor_units, currency).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(digits: &str, code: &str) -> Result<i64, String> {
        let mut violations = Vec::new();
        let read = amount(digits, code, &mut violations);
        read.map(|money| money.minor_units)
            .ok_or_else(|| violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect())
    }

    #[test]
    fn amounts_are_decimal_text_of_their_currency() {
        for (digits, code, minor_units) in [
            ("12.34", "EUR", 1234),
            ("12.3", "EUR", 1230),
            ("500", "JPY", 500),
            ("0.001", "KWD", 1),
            ("99999999999.99", "EUR", MAX_AMOUNT_MINOR_UNITS),
        ] {
            assert_eq!(read(digits, code), Ok(minor_units), "{digits} {code}");
        }
        for bad in ["0", "0.00", "-5", "1e3", "12,34", "12.345", "100000000000.00", "", "NaN", " 1"] {
            assert!(
                read(bad, "EUR").unwrap_err().starts_with("AMOUNT: must be plain digits with at most 2"),
                "{bad}"
            );
        }
        assert!(read("7.5", "JPY").unwrap_err().contains("at most 0"));
        assert!(read("7.5", "eur").unwrap_err().starts_with("CURRENCY: "));
    }

    #[test]
    fn amounts_are_shown_with_their_digits() {
        assert_eq!(decimal(-5, "EUR"), "-0.05 EUR");
        assert_eq!(decimal(5, "???"), "5 minor units of ???");
        assert_eq!(shown(None), "");
    }
}
