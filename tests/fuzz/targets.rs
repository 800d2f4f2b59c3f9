//! What is searched: everything that reads what somebody else writes.

mod answers;
mod audit;
mod credentials;
mod document;
mod encrypted;
mod fingerprints;
mod headers;
mod instructions;
mod money;
mod notices;
mod page_tokens;
mod request_signatures;
mod requests;
mod settings;
mod signatures;

use std::path::{Path, PathBuf};

use harness::BenchError;

use crate::engine::Target;

/// A target, and how it is prepared.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// What it reads.
    pub about: &'static str,
    /// Prepares it.
    pub make: fn() -> Result<Target, BenchError>,
}

/// All of them.
pub const ALL: [Named; 14] = [
    Named {
        name: "requests",
        about: "callers' requests: decoded, checked, written again",
        make: requests::target,
    },
    Named {
        name: "fingerprints",
        about: "equal requests, and those that differ in one field",
        make: fingerprints::target,
    },
    Named { name: "money", about: "amounts as text and as numbers", make: money::target },
    Named { name: "answers", about: "banks' answers: pacs.002, pacs.004, camt.029", make: answers::target },
    Named {
        name: "instructions",
        about: "what banks instruct us to do: pacs.008, pacs.028",
        make: instructions::target,
    },
    Named { name: "notices", about: "what banks say unasked", make: notices::target },
    Named { name: "signatures", about: "signatures over messages (JWS)", make: signatures::target },
    Named {
        name: "request_signatures",
        about: "signatures over callers' calls (RFC 9421)",
        make: request_signatures::target,
    },
    Named { name: "page_tokens", about: "where a list goes on", make: page_tokens::target },
    Named {
        name: "settings",
        about: "files of banks, of API keys and of an identity provider's keys; single settings",
        make: settings::target,
    },
    Named {
        name: "credentials",
        about: "API keys and tokens (JWT) in a call's metadata",
        make: credentials::target,
    },
    Named { name: "headers", about: "traceparent and grpc-timeout", make: headers::target },
    Named { name: "audit", about: "checkpoints, public keys and receipts", make: audit::target },
    Named { name: "encrypted", about: "encrypted columns, and files of keys", make: encrypted::target },
];

/// The target of that name.
///
/// # Errors
/// Which there are.
pub fn named(name: &str) -> Result<Named, String> {
    let found = ALL.into_iter().find(|target| target.name == name);
    found.ok_or_else(|| format!("there are {}", ALL.map(|target| target.name).join(", ")))
}

/// Words, to be put into inputs.
fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// An input whose first byte chooses what reads the rest.
fn chosen(choice: u8, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&[choice], rest.as_ref()].concat()
}

/// Holds what must be; says so otherwise.
fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// A folder that goes away with its target.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, BenchError> {
        let number: u32 = rand::random();
        let folder = std::env::temp_dir().join(format!("rialto-fuzz-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
