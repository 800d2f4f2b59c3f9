//! Names and numbers for made-up banks and accounts.

/// An IBAN with the check digits that fit (ISO 7064, MOD 97-10).
pub fn iban(country: &str, bban: &str) -> String {
    let remainder = format!("{bban}{country}00")
        .chars()
        .filter_map(|c| c.to_digit(36))
        .fold(0_u32, |sum, digit| (if digit > 9 { sum * 100 } else { sum * 10 } + digit) % 97);
    format!("{country}{:02}{bban}", 98 - remainder)
}

#[cfg(test)]
mod tests {
    #[test]
    fn check_digits_fit() {
        assert_eq!(super::iban("DE", "370400440532013000"), "DE89370400440532013000");
        assert_eq!(super::iban("GB", "NWBK60161331926819"), "GB29NWBK60161331926819");
    }
}
