//! Page tokens: where a list goes on, authenticated so that callers can't make their own or use another's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

const MAC_BYTES: usize = 16;
/// No token is longer: a participant's name of 40 bytes and the MAC, in base64.
const MAX_TOKEN_LENGTH: usize = 80;

/// Makes and reads page tokens.
#[derive(Clone)]
pub struct PageTokens {
    key: [u8; 32],
}

impl std::fmt::Debug for PageTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageTokens(***)")
    }
}

impl PageTokens {
    /// Tokens under a key that all platforms of a database share.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The token to go on behind `last` in the list that `list` describes: participant, kind and filter.
    pub fn make(&self, list: &str, last: Uuid) -> String {
        self.make_of(list, last.as_bytes())
    }

    /// Where to go on; none when the token is not one that was made for this list.
    pub fn read(&self, list: &str, token: &str) -> Option<Uuid> {
        Uuid::from_slice(&self.read_of(list, token)?).ok()
    }

    /// As [`Self::make`], in a list that is ordered by names.
    pub fn make_name(&self, list: &str, last: &str) -> String {
        self.make_of(list, last.as_bytes())
    }

    /// As [`Self::read`], in a list that is ordered by names.
    pub fn read_name(&self, list: &str, token: &str) -> Option<String> {
        String::from_utf8(self.read_of(list, token)?).ok()
    }

    fn make_of(&self, list: &str, last: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([last, self.mac(list, last).as_slice()].concat())
    }

    fn read_of(&self, list: &str, token: &str) -> Option<Vec<u8>> {
        if token.len() > MAX_TOKEN_LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (last, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        (mac == self.mac(list, last)).then(|| last.to_vec())
    }

    fn mac(&self, list: &str, last: &[u8]) -> [u8; MAC_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // The list's length first: no other list with another last item hashes the same bytes.
        hasher.update(&list.len().to_le_bytes()).update(list.as_bytes()).update(last);
        let mut mac = [0; MAC_BYTES];
        hasher.finalize_xof().fill(&mut mac);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_made_for_the_list_is_read() {
        let tokens = PageTokens::new([7; 32]);
        let last = Uuid::from_u128(42);
        let token = tokens.make("shop/payments/", last);
        assert_eq!(tokens.read("shop/payments/", &token), Some(last));
        assert_eq!(tokens.read("other/payments/", &token), None);
        assert_eq!(PageTokens::new([8; 32]).read("shop/payments/", &token), None);
        for bad in ["", "x", "AAAA", &token[1..], &format!("{token}A"), &"A".repeat(1 << 20)] {
            assert_eq!(tokens.read("shop/payments/", bad), None);
        }
        let token = tokens.make_name("participants", &"x".repeat(40));
        assert_eq!(tokens.read_name("participants", &token), Some("x".repeat(40)));
        assert_eq!(tokens.read_name("participantsx", &token), None);
        assert_eq!(tokens.read("participants", &token), None);
    }
}
