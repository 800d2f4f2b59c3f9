//! The banks' own books, read from their files.

use std::path::{Path, PathBuf};

use harness::{BenchError, system::BANKS};
use serde::Deserialize;

use super::evidence::whole_lines;

/// A line of a bank's books. Lines of other kinds tell what was said.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Executed(Credit),
    #[serde(other)]
    Other,
}

/// A payment that a bank executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Credit {
    /// Whose books.
    #[serde(skip)]
    pub bank: String,
    /// The payment's reference.
    pub uetr: uuid::Uuid,
    /// The payment's request, which gave its own id for a reference.
    pub end_to_end_id: String,
    /// Minor units.
    pub minor_units: i64,
    /// The amount's currency.
    pub currency: String,
}

/// The books' files, as far as they were read.
#[derive(Debug)]
pub struct Books(Vec<(String, PathBuf, u64)>);

fn file(folder: &Path, bank: &str) -> PathBuf {
    folder.join("books").join(format!("{bank}.books"))
}

impl Books {
    /// The books of the run in this folder.
    pub fn of(folder: &Path) -> Self {
        Self(BANKS.iter().map(|bank| (bank.id.to_owned(), file(folder, bank.id), 0)).collect())
    }

    /// What was executed since the last time.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn read_on(&mut self) -> Result<Vec<Credit>, BenchError> {
        let mut credits = Vec::new();
        for (bank, file, read_bytes) in &mut self.0 {
            for line in whole_lines(file, read_bytes)? {
                if let Line::Executed(mut credit) = serde_json::from_str(&line)? {
                    credit.bank.clone_from(bank);
                    credits.push(credit);
                }
            }
        }
        Ok(credits)
    }
}

/// The banks' lines about a request.
///
/// # Errors
/// When a file can't be read.
pub fn lines_about(folder: &Path, request_id: &str) -> Result<Vec<String>, BenchError> {
    let mut found = Vec::new();
    for bank in BANKS {
        let lines = whole_lines(&file(folder, bank.id), &mut 0)?;
        // Some lines name the payment by its UETR only, which those that name the request tell.
        let names_it = format!("\"{request_id}\"");
        let uetr = lines.iter().filter(|line| line.contains(&names_it)).find_map(|line| uetr(line));
        let about = lines
            .iter()
            .filter(|line| line.contains(&names_it) || uetr.is_some_and(|uetr| line.contains(uetr)));
        found.extend(about.map(|line| format!("{}: {}", bank.id, line.trim_end())));
    }
    Ok(found)
}

fn uetr(line: &str) -> Option<&str> {
    line.split("\"uetr\":\"").nth(1)?.split('"').next()
}
