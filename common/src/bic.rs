//! Business identifier codes (ISO 9362).

use std::fmt;

/// A BIC of 11 characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bic(String);

impl Bic {
    /// Reads 8 or 11 capitals and digits: four letters or digits for the party, two letters for the country, two for the
    /// place, three for the branch. Eight mean the head office, `XXX`.
    pub fn parse(text: &str) -> Option<Self> {
        let capital_or_digit = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let country = bytes.get(4..6)?;
        if !bytes.iter().all(|byte| capital_or_digit(*byte)) || !country.iter().all(u8::is_ascii_uppercase) {
            return None;
        }
        match bytes.len() {
            8 => Some(Self(format!("{text}XXX"))),
            11 => Some(Self(text.to_owned())),
            _ => None,
        }
    }

    /// The 11 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Bic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Bic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_or_eleven_characters() {
        assert_eq!(Bic::parse("INGDDEFF").map(|bic| bic.to_string()).as_deref(), Some("INGDDEFFXXX"));
        assert!(Bic::parse("INGDDEFF123").is_some());
        for bad in ["", "INGD", "ingddeff", "INGDDEF", "INGD1EFF", "INGDDEFF1234", "INGDDEFFXX", "ÏNGDDEF"] {
            assert!(Bic::parse(bad).is_none(), "{bad:?}");
        }
    }
}
