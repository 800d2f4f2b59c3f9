//! Places in the log of events, as callers see them: encrypted, since the number would tell everybody how much is paid here.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{Key, cipher::Cipher};

/// Makes and reads positions.
#[derive(Clone)]
pub struct Positions {
    cipher: std::sync::Arc<Cipher>,
}

impl std::fmt::Debug for Positions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Positions(***)")
    }
}

impl Positions {
    /// Positions under a key that all platforms of a database share. None if the library takes no such keys.
    pub fn new(key: &Key) -> Option<Self> {
        Some(Self { cipher: Cipher::new("rialto 2026-11-29 positions", key)?.into() })
    }

    /// How a caller sees a place: the same each time.
    pub fn show(&self, position: i64) -> String {
        let mut encrypted = Vec::new();
        // Only where the library can't work at all; what is empty is read as no position.
        let _ = self.cipher.encrypt(Uuid::nil(), position.to_be_bytes().to_vec(), &mut encrypted);
        URL_SAFE_NO_PAD.encode(encrypted)
    }

    /// The place that a caller was shown; none if nobody was shown this.
    pub fn read(&self, shown: &str) -> Option<i64> {
        let encrypted = URL_SAFE_NO_PAD.decode(shown).ok()?;
        Some(i64::from_be_bytes(self.cipher.decrypt(Uuid::nil(), &encrypted)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_shown_is_read() {
        let positions = Positions::new(&[7; 32]).expect("keys are taken");
        for position in [0, 1, 41, i64::MAX] {
            let shown = positions.show(position);
            assert_eq!(shown.len(), 32, "all are of one length");
            assert_eq!(shown, positions.show(position));
            assert_eq!(positions.read(&shown), Some(position));
            assert_eq!(Positions::new(&[8; 32]).expect("keys are taken").read(&shown), None);
            for bad in ["", "x", "AAAA", &shown[1..], &format!("{shown}A"), &"A".repeat(1 << 20)] {
                assert_eq!(positions.read(bad), None, "{bad}");
            }
        }
    }
}
