//! Which text a payment may carry, and where a caller's text goes wrong.

/// Why a text is refused, to be put behind the field's name.
pub type Complaint = String;

/// Text that people read (names, remittance information): 1 to `max_chars` characters, none of them a control, a
/// direction override, an invisible or an XML non-character, and not only white space.
pub fn readable(text: &str, max_chars: usize) -> Result<(), Complaint> {
    if text.trim().is_empty() {
        return Err("must not be empty or only white space".to_owned());
    }
    let length = text.chars().count();
    if length > max_chars {
        return Err(format!("must have at most {max_chars} characters, has {length}"));
    }
    match text.chars().find(|c| !is_readable(*c)) {
        Some(bad) => Err(format!("must not contain U+{:04X}", u32::from(bad))),
        None => Ok(()),
    }
}

/// Whether a text that people read may hold it: no control, no direction override, nothing invisible, no non-character.
///
/// Invisible is what Unicode lets a reader ignore (Default_Ignorable_Code_Point), but for the variation selectors, which
/// emoji and Japanese names need.
pub fn is_readable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{FDD0}'..='\u{FDEF}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E00FF}' | '\u{E01F0}'..='\u{E0FFF}')
        && u32::from(c) & 0xFFFE != 0xFFFE
}

/// One line of text with everything escaped (`\u{…}`) that could make a terminal or a person take it for something else.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if is_readable(c) {
            shown.push(c)
        } else {
            shown.extend(c.escape_unicode())
        }
        shown
    })
}

/// A client-made key (request_id): 1 to 255 printable ASCII characters without spaces.
pub fn request_id(text: &str) -> Result<(), Complaint> {
    if text.is_empty() || text.len() > 255 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be 1 to 255 printable ASCII characters without spaces".to_owned());
    }
    Ok(())
}

/// What a participant is called: 3 to 40 characters of a-z 0-9 and -, not at the edges. The house, which owns the settlement
/// accounts, is nobody's name.
pub fn participant(name: &str) -> Result<(), Complaint> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let well_formed = (3..=40).contains(&name.len()) && name.bytes().all(allowed);
    if !well_formed || name.starts_with('-') || name.ends_with('-') || name == HOUSE {
        return Err(format!(
            "must be 3 to 40 characters of a-z 0-9 and -, not - at the edges, and not {HOUSE}"
        ));
    }
    Ok(())
}

/// The participant that owns the settlement accounts.
pub const HOUSE: &str = "rialto-house";

/// A reference that travels through banks (EndToEndId): at most 35 characters of the character set that all schemes
/// share (EPC217-08), not starting or ending with a slash or a space, without `//`.
pub fn bank_reference(text: &str) -> Result<(), Complaint> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-?:().,'+ ".contains(&byte);
    if text.is_empty() || text.len() > 35 || !text.bytes().all(allowed) {
        return Err("must be 1 to 35 characters of a-z A-Z 0-9 / - ? : ( ) . , ' + and space".to_owned());
    }
    let edge = |c: char| c == '/' || c == ' ';
    if text.starts_with(edge) || text.ends_with(edge) || text.contains("//") {
        return Err("must not start or end with a slash or a space, nor contain //".to_owned());
    }
    Ok(())
}

/// Whether the text holds what looks like a card number: 13 to 19 digits that start as card numbers do and whose check digit fits
/// (ISO/IEC 7812), whatever stands between groups of them, and whatever number before or behind. Rialto never stores one (PCI DSS
/// 3.2).
pub fn has_card_number(text: &str) -> bool {
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let (mut before, mut is_attached, mut found) = ('\0', false, false);
    for c in text.chars().chain(std::iter::once('\0')) {
        match (digit(c), groups.last_mut()) {
            (Some(digit), Some(group)) => group.push(digit),
            (Some(digit), None) => {
                is_attached = before.is_alphabetic();
                groups.push(vec![digit]);
            }
            (None, Some(group)) if is_separator(c) => {
                if !group.is_empty() {
                    groups.push(Vec::new());
                }
            }
            (None, _) => {
                found |= hold_card_number(&groups, is_attached);
                groups.clear();
            }
        }
        before = c;
    }
    found
}

/// The most digits that a card number has.
const MAX_CARD_DIGITS: usize = 19;

/// Whether neighbouring groups of digits are a card number together. Those that follow letters are judged from the first one on:
/// an IBAN in groups is none.
fn hold_card_number(groups: &[Vec<u32>], is_attached: bool) -> bool {
    let starts = if is_attached { 1 } else { groups.len() };
    (0..starts).any(|start| {
        let mut digits = Vec::new();
        for group in groups.iter().skip(start) {
            digits.extend_from_slice(group);
            if is_card_number(&digits) {
                return true;
            }
            if digits.len() >= MAX_CARD_DIGITS {
                break;
            }
        }
        false
    })
}

/// A decimal digit of a script that card numbers are typed in.
fn digit(c: char) -> Option<u32> {
    c.to_digit(10).or_else(|| {
        let zeros = ['\u{660}', '\u{6F0}', '\u{FF10}'];
        zeros.iter().find_map(|zero| u32::from(c).checked_sub(u32::from(*zero)).filter(|digit| *digit < 10))
    })
}

/// What people put between the groups of a number.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | '_' | '/' | '\u{2010}'..='\u{2015}')
}

fn is_card_number(digits: &[u32]) -> bool {
    if !(13..=MAX_CARD_DIGITS).contains(&digits.len())
        || !digits.first().is_some_and(|first| (3..=6).contains(first))
    {
        return false;
    }
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 1 { doubled(*digit) } else { *digit })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text() {
        for good in
            ["Zoë & Söhne <GmbH>", "日本", "']]>'; DROP TABLE", "❤\u{FE0F} 葛\u{E0100}", &"é".repeat(140)]
        {
            assert_eq!(readable(good, 140), Ok(()), "{good}");
        }
        for bad in [
            "",
            "   ",
            "a\u{0}",
            "a\nb",
            "a\u{202E}b",
            "a\u{200B}b",
            "\u{3164}",
            "a\u{FFFE}",
            "\u{10FFFF}",
            &"x".repeat(141),
        ] {
            assert!(readable(bad, 140).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn references() {
        for good in ["A", "ORDER-2026/11 (1)", &"x".repeat(35)] {
            assert_eq!(bank_reference(good), Ok(()), "{good}");
        }
        for bad in ["", " A", "A ", "/A", "A/", "A//B", "Ä", "A_B", "a\u{0}", &"x".repeat(36)] {
            assert!(bank_reference(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "é", "a\u{7f}", &"x".repeat(256)] {
            assert!(request_id(bad).is_err(), "{bad:?}");
        }
        assert_eq!(request_id(&"x".repeat(255)), Ok(()));
    }

    #[test]
    fn participants() {
        for good in ["shop", "a-1", &"x".repeat(40)] {
            assert_eq!(participant(good), Ok(()), "{good}");
        }
        for bad in ["", "ab", "Shop", "-shop", "shop-", "sh op", "shöp", HOUSE, &"x".repeat(41)] {
            assert!(participant(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn card_numbers() {
        for card in [
            "card 4111 1111-1111 1111!",
            "x4111111111111111x",
            "4111111111111111 12/27",
            "order 7 4111 1111 1111 1111",
            "4111.1111.1111.1111",
            "4111\u{A0}1111\u{A0}1111\u{A0}1111",
            "４１１１１１１１１１１１１１１１",
            "3400-000000-00009",
        ] {
            assert!(has_card_number(card), "{card}");
        }
        for other in [
            "",
            "4111111111111112",
            "order 2026112300012345",
            "4111 1111 1111",
            "GB33 4111 1111 1111 1111 00",
            "2026-11-28 4111 12:00",
            &"1 ".repeat(128),
        ] {
            assert!(!has_card_number(other), "{other}");
        }
    }
}
