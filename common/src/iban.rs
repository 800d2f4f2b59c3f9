//! International bank account numbers (ISO 13616): structure per country and check digits.

use std::fmt;

use ::iban::IbanLike;

/// A valid IBAN in its electronic form: capitals, no spaces.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Iban {
    electronic: String,
    bank_code: Option<String>,
}

impl Iban {
    /// Reads an IBAN; ASCII spaces and small letters are normalised away, anything else must be as the country's
    /// structure says, with the check digits that fit. Those are from 02 to 98: 97 more or less would fit as well, and
    /// one account would have two IBANs.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let electronic: String = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_uppercase()).collect();
        let iban: ::iban::Iban = electronic.parse().ok()?;
        if matches!(electronic.get(2..4), Some("00" | "01" | "99")) {
            return None;
        }
        let bank_code = iban.bank_identifier().map(|code| format!("{}{code}", iban.country_code()));
        Some(Self { electronic, bank_code })
    }

    /// The electronic form.
    pub fn as_str(&self) -> &str {
        &self.electronic
    }

    /// The bank's code with the country before it, e.g. `DE50010517`; none where the country's IBANs have no bank code.
    pub fn bank_code(&self) -> Option<&str> {
        self.bank_code.as_deref()
    }
}

impl fmt::Display for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.electronic)
    }
}

impl fmt::Debug for Iban {
    /// Country and bank only: an account number is personal data and stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iban({}…)", self.bank_code.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_and_check_digits_are_checked() {
        let iban = Iban::parse("de89 3704 0044 0532 0130 00").expect("valid");
        assert_eq!(iban.as_str(), "DE89370400440532013000");
        assert_eq!(iban.bank_code(), Some("DE37040044"));
        for bad in [
            "",
            "DE88370400440532013000",
            "DE8937040044053201300",
            "DE893704004405320130000",
            "XX89370400440532013000",
            "DE8937040044053201300О",
            "DE89\t370400440532013000",
            "GB33BUKB2020155555555",
            "DE99370400440532013014",
        ] {
            assert!(Iban::parse(bad).is_none(), "{bad:?}");
        }
    }
}
