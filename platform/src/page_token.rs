//! Page tokens: where a list goes on, authenticated so that callers can't make their own or use another's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

const MAC_BYTES: usize = 16;

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
        let mut bytes = last.as_bytes().to_vec();
        bytes.extend_from_slice(&self.mac(list, last));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where to go on; none when the token is not one that was made for this list.
    pub fn read(&self, list: &str, token: &str) -> Option<Uuid> {
        if token.len() > 64 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (last, mac) = bytes.split_at_checked(16)?;
        let last = Uuid::from_slice(last).ok()?;
        (mac == self.mac(list, last)).then_some(last)
    }

    fn mac(&self, list: &str, last: Uuid) -> [u8; MAC_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(last.as_bytes()).update(list.as_bytes());
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
    }
}
