//! Money: checked integers in a currency's minor unit (ISO 4217), never a float.

use std::fmt;

/// The largest amount of one payment or deposit, in minor units. Far below `i64::MAX`, so that sums have room.
pub const MAX_AMOUNT_MINOR_UNITS: i64 = 9_999_999_999_999;

/// A currency of ISO 4217 that money can be held in: it has a minor unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// Reads three capital letters. Codes without a minor unit (XXX, XTS, gold …) are no currency to pay in.
    pub fn parse(code: &str) -> Option<Self> {
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let currency = iso_currency::Currency::from_code(code)?;
        currency.exponent().map(|_| Self(currency))
    }

    /// The three capital letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimal digits the minor unit has: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(other.code())
    }
}

/// An amount of one currency in its minor unit. May be zero or negative; who takes one says what it accepts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Money {
    minor_units: i64,
    currency: Currency,
}

impl Money {
    /// An amount in `currency`'s minor unit.
    pub fn new(minor_units: i64, currency: Currency) -> Self {
        Self { minor_units, currency }
    }

    /// The amount in the currency's minor unit.
    pub fn minor_units(self) -> i64 {
        self.minor_units
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The amount as plain decimal text with all of the currency's digits: `12.34`, `500`, `-0.05`.
    pub fn to_decimal(self) -> String {
        let digits = usize::try_from(self.currency.exponent()).unwrap_or(0);
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let padded = format!("{:0width$}", self.minor_units.unsigned_abs(), width = digits + 1);
        let (whole, fraction) = padded.split_at(padded.len() - digits);
        let point = if digits == 0 { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }

    /// Reads plain decimal text as XML Schema's `decimal` restricted to what a payment message may carry: digits, at
    /// most one point with digits on both sides, and no more fraction digits than the currency has, zeros aside.
    /// No sign, exponent, group separator or white space.
    pub fn from_decimal(text: &str, currency: Currency) -> Option<Self> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (text, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || text.len() > 19 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let exponent = currency.exponent();
        let significant = fraction.trim_end_matches('0');
        let missing = exponent.checked_sub(u32::try_from(significant.len()).ok()?)?;
        let digits: i64 = format!("{whole}{significant}").parse().ok()?;
        Some(Self::new(digits.checked_mul(10_i64.checked_pow(missing)?)?, currency))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect(code)
    }

    #[test]
    fn only_currencies_with_a_minor_unit_parse() {
        for good in ["EUR", "USD", "JPY", "KWD", "CLF"] {
            assert!(Currency::parse(good).is_some(), "{good}");
        }
        for bad in ["", "US", "USDD", "usd", "US$", "XXX", "XAU", "XTS", "ÜSD", "USD\0", "ＵＳＤ", "ZZZ"]
        {
            assert!(Currency::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn decimal_text_has_the_currencys_digits() {
        for (minor_units, code, text) in [
            (1234, "EUR", "12.34"),
            (5, "EUR", "0.05"),
            (-5, "EUR", "-0.05"),
            (500, "JPY", "500"),
            (1, "KWD", "0.001"),
            (i64::MIN, "EUR", "-92233720368547758.08"),
        ] {
            assert_eq!(Money::new(minor_units, currency(code)).to_decimal(), text);
        }
    }

    #[test]
    fn decimal_text_is_read_strictly() {
        let read = |text, code| Money::from_decimal(text, currency(code)).map(Money::minor_units);
        for (text, code, minor_units) in [
            ("12.34", "EUR", 1234),
            ("12.3", "EUR", 1230),
            ("12.34000", "EUR", 1234),
            ("7", "EUR", 700),
            ("7.0", "JPY", 7),
        ] {
            assert_eq!(read(text, code), Some(minor_units), "{text}");
        }
        for bad in [
            "",
            ".",
            "1e3",
            "+5",
            "-5",
            "1,00",
            "0x10",
            " 10.00 ",
            "10.",
            ".5",
            "10.001",
            "-0.00",
            "NaN",
            "1.2.3",
            "1000000000000000000000000000000",
            "99999999999999999.99",
        ] {
            assert_eq!(read(bad, "EUR"), None, "{bad:?}");
        }
        assert_eq!(read("7.5", "JPY"), None);
    }
}
