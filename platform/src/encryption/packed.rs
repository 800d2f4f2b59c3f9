//! Account numbers in half the bytes: most consist of digits, and each byte is written to the database's log with every payment.

use serde::{Serialize, Serializer};

/// Set in the first byte of what is packed, whose second byte is ASCII: no UTF-8 has the one before the other.
const PACKED: u8 = 0x80;
/// Stands where a last digit would, if their number is odd.
const NO_DIGIT: u8 = 0xf;

/// A text of two characters and digits, such as most IBANs, two digits a byte; any other one as it is.
pub(super) fn pack(text: &str) -> Vec<u8> {
    let Some(([first, second], digits)) = text.as_bytes().split_first_chunk::<2>() else {
        return text.as_bytes().to_vec();
    };
    if !first.is_ascii() || !second.is_ascii() || !digits.iter().all(u8::is_ascii_digit) {
        return text.as_bytes().to_vec();
    }
    let pairs = digits.chunks(2).map(|pair| match pair {
        [tens, ones] => (tens - b'0') << 4 | (ones - b'0'),
        [last, ..] => (last - b'0') << 4 | NO_DIGIT,
        [] => u8::MAX,
    });
    [first | PACKED, *second].into_iter().chain(pairs).collect()
}

/// The text that was packed; none if none was.
pub(super) fn unpack(bytes: &[u8]) -> Option<String> {
    let packed =
        bytes.split_first_chunk::<2>().filter(|([first, second], _)| !first.is_ascii() && second.is_ascii());
    let Some(([first, second], pairs)) = packed else { return String::from_utf8(bytes.to_vec()).ok() };
    let mut text = String::from_utf8(vec![first & !PACKED, *second]).ok()?;
    for (at, pair) in pairs.iter().enumerate() {
        let [tens, ones] = [pair >> 4, pair & 0xf];
        text.push(char::from_digit(tens.into(), 10)?);
        match char::from_digit(ones.into(), 10) {
            Some(digit) => text.push(digit),
            None if ones == NO_DIGIT && at + 1 == pairs.len() => {}
            None => return None,
        }
    }
    Some(text)
}

/// Says a packed text as it was.
pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    bytes.as_deref().map(|bytes| unpack(bytes).unwrap_or_default()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for (text, length) in [
            ("", 0),
            ("D", 1),
            ("DE", 2),
            ("DE8", 3),
            ("DE89370400440532013000", 12),
            ("FR7630006000011234567890189", 15),
            ("NL91ABNA0417164300", 18),
            ("0012345678", 6),
            ("é9", 3),
            ("D9é", 4),
        ] {
            assert_eq!(pack(text).len(), length, "{text}");
            assert_eq!(unpack(&pack(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_nobody_packed_is_refused() {
        for bytes in
            [&[0xc4][..], &[0xff, 0xff], &[0xc4, b'E', 0xa0], &[0xc4, b'E', 0x8f, 0x11], &[0xc4, b'E', 0x8a]]
        {
            assert_eq!(unpack(bytes), None, "{bytes:x?}");
        }
    }
}
