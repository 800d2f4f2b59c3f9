//! Amounts: plain decimal text to whole minor units and back, never through a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::gate::{Unreadable, unreadable};

/// Most digits of an amount in the schema.
const MAX_DIGITS: usize = 18;

/// An amount of money. As JSON it stands twice, in minor units and as decimal text, and both must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "AmountText", try_from = "AmountText")]
pub struct Amount {
    /// In the currency's smallest unit.
    pub minor_units: u64,
    /// The currency.
    pub currency: Currency,
}

impl Amount {
    /// Reads `text` as an amount of `currency`: digits, and after a point at most as many as the currency has.
    pub fn read(text: &str, currency: Currency) -> Result<Self, Unreadable> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return unreadable("an amount that ends in its point"),
            Some(parts) => parts,
            None => (text, ""),
        };
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits || whole.len() + fraction.len() > MAX_DIGITS {
            return unreadable("an amount that is not plain decimal text of at most 18 digits");
        }
        if fraction.len() > currency.digits() {
            return unreadable("an amount with more digits after the point than its currency has");
        }
        let padding = currency.digits() - fraction.len();
        let digits = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', padding));
        let minor_units = digits
            .into_iter()
            .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
        match minor_units {
            Some(minor_units) => Ok(Self { minor_units, currency }),
            None => unreadable("an amount that is too large"),
        }
    }
}

impl fmt::Display for Amount {
    /// Writes the decimal text, without the currency.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.digits();
        if digits == 0 {
            return write!(f, "{}", self.minor_units);
        }
        let text = format!("{:0width$}", self.minor_units, width = digits + 1);
        let (whole, fraction) = text.split_at(text.len() - digits);
        write!(f, "{whole}.{fraction}")
    }
}

#[derive(Serialize, Deserialize)]
struct AmountText {
    minor_units: u64,
    amount: String,
    currency: String,
}

impl From<Amount> for AmountText {
    fn from(amount: Amount) -> Self {
        let Amount { minor_units, currency } = amount;
        Self { minor_units, amount: amount.to_string(), currency: currency.to_string() }
    }
}

impl TryFrom<AmountText> for Amount {
    type Error = Unreadable;

    fn try_from(text: AmountText) -> Result<Self, Unreadable> {
        let amount = Self::read(&text.amount, text.currency.parse()?)?;
        if amount.minor_units == text.minor_units {
            Ok(amount)
        } else {
            unreadable("amount and minor_units differ")
        }
    }
}

/// An ISO 4217 alphabetic code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency([u8; 3]);

impl Currency {
    /// How many digits stand after the point (ISO 4217, the exceptions to two).
    fn digits(self) -> usize {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF"
            | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl FromStr for Currency {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => unreadable("a currency that is not three capital letters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Amount;

    fn read(text: &str, currency: &str) -> Option<(u64, String)> {
        let amount = Amount::read(text, currency.parse().unwrap()).ok()?;
        Some((amount.minor_units, amount.to_string()))
    }

    #[test]
    fn plain_decimal_text_is_read_exactly() {
        for (text, currency, minor_units, written) in [
            ("12.34", "EUR", 1_234, "12.34"),
            ("12.3", "EUR", 1_230, "12.30"),
            ("12", "EUR", 1_200, "12.00"),
            ("0.05", "EUR", 5, "0.05"),
            ("000.00", "EUR", 0, "0.00"),
            ("500", "JPY", 500, "500"),
            ("1.005", "BHD", 1_005, "1.005"),
            ("9999999999999999.99", "EUR", 999_999_999_999_999_999, "9999999999999999.99"),
        ] {
            assert_eq!(read(text, currency), Some((minor_units, written.to_owned())), "{text} {currency}");
        }
    }

    #[test]
    fn anything_else_is_unreadable() {
        for (text, currency) in [
            ("", "EUR"),
            (".5", "EUR"),
            ("5.", "EUR"),
            ("+5", "EUR"),
            ("-5", "EUR"),
            ("1e3", "EUR"),
            ("1,000", "EUR"),
            (" 5", "EUR"),
            ("1.2.3", "EUR"),
            ("1.234", "EUR"),
            ("1.0", "JPY"),
            ("٣", "EUR"),
            ("1234567890123456789", "JPY"),
            ("999999999999999999", "CLF"),
        ] {
            assert_eq!(read(text, currency), None, "{text} {currency}");
        }
    }
}
