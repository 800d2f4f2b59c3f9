//! The public half of a caller's signing key (Ed25519, RFC 8032).

use base64::{Engine, engine::general_purpose::STANDARD};

/// How long a key is, in bytes.
const BYTES: usize = 32;

/// Points of small order, without the bit of their sign: whoever has one of them for a key has "signed" everything, since a signature
/// that fits needs no private key. All zeros, a key that was never filled in, is one of them.
const OF_SMALL_ORDER: [[u8; BYTES]; 7] = [
    [0; BYTES],
    ended(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    ended(0xec, 0xff, 0x7f),
    ended(0xed, 0xff, 0x7f),
    ended(0xee, 0xff, 0x7f),
];

const fn ended(first: u8, between: u8, last: u8) -> [u8; BYTES] {
    let mut bytes = [between; BYTES];
    bytes[0] = first;
    bytes[BYTES - 1] = last;
    bytes
}

/// What a caller's signatures are verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VerificationKey([u8; BYTES]);

impl VerificationKey {
    /// Reads a key.
    ///
    /// # Errors
    /// What it must be.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = <[u8; BYTES]>::try_from(bytes).map_err(
            |_| "must be the 32 bytes of an Ed25519 public key, as `gateway new-signing-key` prints it",
        )?;
        let mut point = bytes;
        point[BYTES - 1] &= 0x7f;
        if OF_SMALL_ORDER.contains(&point) {
            return Err("must be the public half of a key of your own: anybody could sign with this one");
        }
        Ok(Self(bytes))
    }

    /// Reads a key from text (base64 with padding, RFC 4648 section 4).
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Self::read(&STANDARD.decode(text).unwrap_or_default())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

/// As [`VerificationKey::parse`] reads it.
impl std::fmt::Display for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// R is the neutral point and S zero: good for a key of small order as soon as the message's hash is a multiple of its order.
    #[test]
    fn a_key_that_anybody_can_sign_with_is_none() {
        let forged: [u8; 64] = std::array::from_fn(|at| u8::from(at == 0));
        let is_forgeable = |key: &[u8]| {
            let key = UnparsedPublicKey::new(&ED25519, key);
            (0..100_u8).any(|message| key.verify(&[message], &forged).is_ok())
        };
        for point in OF_SMALL_ORDER {
            assert!(VerificationKey::read(&point).is_err(), "{point:?}");
            let mut negative = point;
            negative[BYTES - 1] |= 0x80;
            assert!(VerificationKey::read(&negative).is_err(), "{negative:?}");
        }
        let forgeable = OF_SMALL_ORDER.iter().filter(|point| is_forgeable(&point[..])).count();
        assert!(forgeable >= 5, "{forgeable} of those that are written in the one right way");
        assert!(!is_forgeable(&[7; BYTES]));
    }

    #[test]
    fn a_key_has_32_bytes_and_is_read_as_it_is_written() {
        let key = VerificationKey::read(&[7; BYTES]).expect("good");
        assert_eq!(VerificationKey::parse(&key.to_string()), Ok(key));
        for bad in ["", "AAAA", "not base64", key.to_string().trim_end_matches('='), &format!("{key} ")] {
            assert!(VerificationKey::parse(bad).is_err(), "{bad}");
        }
        assert!(VerificationKey::read(&[7; BYTES + 1]).is_err());
    }
}
