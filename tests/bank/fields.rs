//! What a message is made of: which elements the bank reads, each at most once, and the values found.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};

use crate::gate::{Unreadable, unreadable};

/// The parts of one message type that this bank reads. Paths start below the message's root.
#[derive(Debug)]
pub struct Shape {
    /// The message's name, which also ends its namespace.
    pub message: &'static str,
    /// The one child of `Document`.
    pub root: &'static str,
    /// Elements that hold elements; each at most once.
    pub groups: &'static [&'static str],
    /// Elements that hold text, and attributes as `path@name`; each at most once.
    pub leaves: &'static [&'static str],
    /// Leaves that a re-send may change without becoming another message.
    pub volatile: &'static [&'static str],
}

impl Shape {
    /// Whether the shape expects text at `path`.
    pub fn is_leaf(&self, path: &str) -> bool {
        position(self.leaves, path).is_some()
    }
}

/// Where `path` stands. Few paths are equally long, so that going through them all compares less text than halving.
fn position(paths: &[&str], path: &str) -> Option<usize> {
    paths.iter().position(|one| *one == path)
}

/// The values of one message, and the fingerprint of its whole content.
pub struct Fields {
    shape: &'static Shape,
    groups_seen: u64,
    text: String,
    values: Vec<Option<Range<usize>>>,
    content: Context,
}

impl Fields {
    /// No values yet.
    pub fn new(shape: &'static Shape) -> Self {
        Self {
            shape,
            groups_seen: 0,
            text: String::with_capacity(768),
            values: vec![None; shape.leaves.len()],
            content: Context::new(&SHA256),
        }
    }

    /// The shape that the message was read as.
    pub fn shape(&self) -> &'static Shape {
        self.shape
    }

    /// What distinguishes this message's content from any other's.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.content)
    }

    /// Notes that the element at `path` begins.
    pub fn open(&mut self, path: &str) -> Result<(), Unreadable> {
        if let Some(index) = position(self.shape.groups, path) {
            let bit = 1_u64 << index;
            if self.groups_seen & bit != 0 {
                return unreadable(format!("{path} occurs twice"));
            }
            self.groups_seen |= bit;
        }
        Ok(())
    }

    /// Takes the text of the element or attribute at `path`. Paths that the shape does not name count as content only.
    pub fn leaf(&mut self, path: &str, text: &str) -> Result<(), Unreadable> {
        if !self.shape.volatile.contains(&path) {
            // The byte 0 occurs in no XML text, so that ("ab", "c") and ("a", "bc") differ.
            for part in [path, text] {
                self.content.update(part.as_bytes());
                self.content.update(&[0]);
            }
        }
        if let Some(index) = position(self.shape.leaves, path) {
            let Some(value) = self.values.get_mut(index) else { return Ok(()) };
            if value.is_some() {
                return unreadable(format!("{path} occurs twice"));
            }
            let start = self.text.len();
            self.text.push_str(text);
            *value = Some(start..self.text.len());
        } else if position(self.shape.groups, path).is_some() {
            return unreadable(format!("{path} holds no elements"));
        }
        Ok(())
    }

    /// The text at `path`, if it stood there.
    pub fn optional(&self, path: &str) -> Option<&str> {
        let index = position(self.shape.leaves, path)?;
        let range = self.values.get(index)?.clone()?;
        self.text.get(range)
    }

    /// The text at `path`, of 1 to `max_chars` characters.
    pub fn required(&self, path: &str, max_chars: usize) -> Result<&str, Unreadable> {
        let Some(text) = self.optional(path) else { return unreadable(format!("{path} is missing")) };
        match text.chars().count() {
            0 => unreadable(format!("{path} is empty")),
            count if count > max_chars => unreadable(format!("{path} is longer than {max_chars} characters")),
            _ => Ok(text),
        }
    }

    /// Requires that the text at `path` is exactly `text`.
    pub fn fixed(&self, path: &str, text: &str) -> Result<(), Unreadable> {
        if self.required(path, usize::MAX)? == text {
            Ok(())
        } else {
            unreadable(format!("{path} is not {text}"))
        }
    }
}

/// The first 128 bits of the SHA-256 of paths and texts, which tell a re-send from another payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(u128);

impl Fingerprint {
    fn of(content: &Context) -> Self {
        let digest = content.clone().finish();
        let first = digest.as_ref().first_chunk().copied();
        Self(u128::from_be_bytes(first.unwrap_or_default()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}
