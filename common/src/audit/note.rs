//! Checkpoints: the log's size and root as a signed note (C2SP signed-note and tlog-checkpoint), with Ed25519.

use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

use super::{hex, merkle::Hash};

/// What Ed25519 is called in a key's hash (signed-note).
const ED25519_ALGORITHM: u8 = 1;
/// What a signature's line begins with.
const SIGNATURE: &str = "— ";

/// Signs checkpoints.
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.public_key().to_string()).finish()
    }
}

impl Signer {
    /// A signer of this name with a private key (PKCS#8 in PEM).
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn new(name: &str, pem: &[u8]) -> Result<Self, &'static str> {
        let key =
            PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| "holds no private key as PKCS#8 in PEM")?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
        let pair = pair.map_err(|_| "holds no private key of Ed25519")?;
        if !is_name(name) {
            return Err("expected 1 to 100 printable characters without space and plus");
        }
        Ok(Self { name: name.to_owned(), pair })
    }

    /// A new private key (PKCS#8 in PEM); none if the system gives no randomness.
    pub fn new_key() -> Option<String> {
        let key = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).ok()?;
        let text = STANDARD.encode(key.as_ref());
        Some(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))
    }

    /// The key that its notes are verified with.
    pub fn public_key(&self) -> PublicKey {
        let mut key = [0; 32];
        let public = self.pair.public_key().as_ref();
        key.iter_mut().zip(public).for_each(|(to, from)| *to = *from);
        PublicKey { name: self.name.clone(), key }
    }

    /// The signed checkpoint of a log of this size and root.
    pub fn sign(&self, size: u64, root: &Hash) -> String {
        let text = format!("{}\n{size}\n{}\n", self.name, STANDARD.encode(root));
        let signature = self.pair.sign(text.as_bytes());
        let line = [self.public_key().hash().as_slice(), signature.as_ref()].concat();
        format!("{text}\n{SIGNATURE}{} {}\n", self.name, STANDARD.encode(line))
    }
}

fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '+')
}

/// Verifies checkpoints. Reads and prints as signed-note writes keys: name, hash and key with a plus between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519_ALGORITHM], self.key.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, hex(&self.hash()))
    }
}

impl PublicKey {
    /// Reads a key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str =
            "expected a key such as rialto+1f2e3d4c+AX…, as `platform new-audit-key` prints it";
        let [name, hash, key] = *text.trim().splitn(3, '+').collect::<Vec<_>>() else { return Err(FORM) };
        let key = STANDARD.decode(key).map_err(|_| FORM)?;
        let (Some(&ED25519_ALGORITHM), Ok(bytes)) =
            (key.first(), <[u8; 32]>::try_from(key.get(1..).unwrap_or_default()))
        else {
            return Err(FORM);
        };
        let key = Self { name: name.to_owned(), key: bytes };
        if hash != hex(&key.hash()) || !is_name(name) {
            Err("the key's hash is another one: was a part changed?")
        } else {
            Ok(key)
        }
    }

    fn hash(&self) -> [u8; 4] {
        let named = [self.name.as_bytes(), b"\n", &[ED25519_ALGORITHM], &self.key].concat();
        let mut hash = [0; 4];
        hash.iter_mut().zip(digest(&SHA256, &named).as_ref()).for_each(|(to, from)| *to = *from);
        hash
    }

    /// The size and the root of a checkpoint that this key signed.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(&self, note: &str) -> Result<(u64, Hash), &'static str> {
        let (text, signatures) = note.split_once("\n\n").ok_or("it has no signature")?;
        let text = format!("{text}\n");
        let prefix = format!("{SIGNATURE}{} ", self.name);
        let lines = signatures.lines().filter_map(|line| line.strip_prefix(&prefix));
        let is_signed = lines.filter_map(|line| STANDARD.decode(line).ok()).any(|line| {
            line.split_at_checked(4).is_some_and(|(hash, signature)| {
                hash == self.hash()
                    && UnparsedPublicKey::new(&ED25519, &self.key).verify(text.as_bytes(), signature).is_ok()
            })
        });
        if !is_signed {
            return Err("it is not signed with this key");
        }
        read(&text)?
            .filter(|(name, ..)| *name == self.name)
            .map(|(_, size, root)| (size, root))
            .ok_or("it is another log's")
    }
}

/// The size and the root that a checkpoint speaks of, whoever signed it.
///
/// # Errors
/// When it is no checkpoint.
pub fn unverified(note: &str) -> Result<(u64, Hash), &'static str> {
    read(note)?.map(|(_, size, root)| (size, root)).ok_or("it is no checkpoint")
}

fn read(text: &str) -> Result<Option<(&str, u64, Hash)>, &'static str> {
    let mut lines = text.lines();
    let (Some(name), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
        return Err("it has no size and root");
    };
    let number: u64 = size.parse().map_err(|_| "its size is no number")?;
    if number.to_string() != size {
        return Err("its size is not written as it should be");
    }
    let root =
        STANDARD.decode(root).ok().and_then(|root| Hash::try_from(root).ok()).ok_or("its root is no hash")?;
    Ok(Some((name, number, root)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(name: &str) -> Signer {
        Signer::new(name, Signer::new_key().expect("randomness").as_bytes()).expect("a signer")
    }

    #[test]
    fn a_key_of_other_programs_verifies_their_note() {
        // Of the Go module golang.org/x/mod/sumdb/note.
        let key = PublicKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
            .expect("a key");
        assert_eq!(key.to_string(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let line =
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let note = format!("{text}\n— PeterNeumann {line}\n");
        // The signature is good, and the text is no checkpoint.
        assert_eq!(key.verify(&note), Err("it has no size and root"));
        assert_eq!(key.verify(&note.replace("answer", "Answer")), Err("it is not signed with this key"));
    }

    #[test]
    fn a_checkpoint_says_what_was_signed_and_nothing_else_is_believed() {
        let (ours, root) = (signer("rialto"), [7; 32]);
        let (key, note) = (ours.public_key(), ours.sign(1_234, &root));
        assert!(note.starts_with("rialto\n1234\nBwcH"), "{note}");
        assert_eq!(key.verify(&note), Ok((1_234, root)));
        assert_eq!(PublicKey::parse(&key.to_string()), Ok(key.clone()));
        assert_eq!(unverified(&note), Ok((1_234, root)));
        for bad in [
            note.replace("1234", "1235"),
            note.replace("BwcH", "BwcI"),
            note.replace("rialto\n", "others\n"),
            note.replace(SIGNATURE, ""),
            String::new(),
            "rialto\n1234\n".to_owned(),
            signer("rialto").sign(1_234, &root),
            signer("others").sign(1_234, &root),
        ] {
            assert!(key.verify(&bad).is_err(), "{bad}");
        }
        for bad in ["", "rialto", "rialto+00000000+AX==", &format!("x{key}"), "a b+c+d"] {
            assert!(PublicKey::parse(bad).is_err(), "{bad}");
        }
        assert!(Signer::new("two words", Signer::new_key().expect("randomness").as_bytes()).is_err());
        assert!(Signer::new("rialto", b"no key").is_err());
    }
}
