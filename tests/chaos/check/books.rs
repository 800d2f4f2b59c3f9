//! The banks' own books, read from their files.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use harness::{BenchError, system::BANKS};
use serde::Deserialize;
use uuid::Uuid;

use super::evidence::whole_lines;

/// A line of a bank's books. Those of other kinds tell nothing that is judged.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Received(Received),
    Executed(Credit),
    Returned(Return),
    Answered(Said),
    NoticeSent(Said),
    NoticeAnswered(NoticeAnswered),
    #[serde(other)]
    Other,
}

/// A message that arrived at a bank.
#[derive(Debug, Deserialize)]
struct Received {
    message_id: String,
    /// Of an enquiry: what it asks about.
    original_message_id: Option<String>,
}

/// A payment that a bank executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Credit {
    /// Whose books.
    #[serde(skip)]
    pub bank: String,
    /// The payment's reference.
    pub uetr: Uuid,
    /// The request of the payment or authorization, which gave its own id for a reference.
    pub end_to_end_id: String,
    /// Minor units.
    pub minor_units: i64,
    /// The amount's currency.
    pub currency: String,
}

/// An amount that a bank gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Return {
    /// Whose books.
    #[serde(skip)]
    pub bank: String,
    /// The id of the request to give it back.
    pub request_id: String,
    /// The reference of the payment that it came with.
    pub uetr: Uuid,
    /// That payment's own reference: the id of the request that it goes back to.
    pub end_to_end_id: String,
    /// Minor units.
    pub minor_units: i64,
    /// The amount's currency.
    pub currency: String,
}

impl Return {
    /// Which refund it is for: an attempt's id is the refund's and a number.
    pub fn refund(&self) -> Option<Uuid> {
        self.request_id.split_once('-').and_then(|(refund, _)| refund.parse().ok())
    }
}

#[derive(Debug, Deserialize)]
struct Said {
    uetr: Uuid,
    request_id: Option<String>,
    status: Option<String>,
    code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NoticeAnswered {
    uetr: Uuid,
    http_status: u16,
}

/// What a bank has said of a payment, true or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// That it executed it.
    pub accepted: bool,
    /// That it refused it for good.
    pub rejected: bool,
    /// Something that the channel or the platform would not take.
    pub mismatched: bool,
}

impl Words {
    fn hear(&mut self, said: &Said) {
        // Of a return request, or of a copy, or that it never came: nothing of the payment itself.
        let is_of_the_payment = said.request_id.is_none()
            && !said.code.as_deref().is_some_and(|code| matches!(code, "AG09" | "DUPL"));
        match said.status.as_deref() {
            Some("ACSC" | "ACCC") if is_of_the_payment => self.accepted = true,
            Some("RJCT") if is_of_the_payment => self.rejected = true,
            _ => {}
        }
    }
}

/// How often an instruction reached a bank, and how often the bank was asked about it.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    copies: u32,
    enquiries: u32,
}

/// What the books say since the last time.
#[derive(Debug, Default)]
pub struct News {
    /// Instructions, by their ids, that were sent again though the bank had not been asked about them since.
    pub sent_unasked: Vec<String>,
    /// Executed payments.
    pub credits: Vec<Credit>,
    /// Amounts given back.
    pub returns: Vec<Return>,
}

/// The books' files, as far as they were read.
#[derive(Debug)]
pub struct Books {
    files: Vec<(String, PathBuf, u64)>,
    words: HashMap<Uuid, Words>,
    arrivals: HashMap<String, Arrivals>,
}

fn file(folder: &Path, bank: &str) -> PathBuf {
    folder.join("books").join(format!("{bank}.books"))
}

impl Books {
    /// The books of the run in this folder.
    pub fn of(folder: &Path) -> Self {
        let files = BANKS.iter().map(|bank| (bank.id.to_owned(), file(folder, bank.id), 0)).collect();
        Self { files, words: HashMap::new(), arrivals: HashMap::new() }
    }

    /// What was executed and given back since the last time.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn read_on(&mut self) -> Result<News, BenchError> {
        let mut news = News::default();
        for (bank, file, read_bytes) in &mut self.files {
            for line in whole_lines(file, read_bytes)? {
                match serde_json::from_str(&line)? {
                    Line::Received(received) => {
                        news.sent_unasked.extend(arrive(&mut self.arrivals, received))
                    }
                    Line::Executed(credit) => news.credits.push(Credit { bank: bank.clone(), ..credit }),
                    Line::Returned(back) => news.returns.push(Return { bank: bank.clone(), ..back }),
                    Line::Answered(said) | Line::NoticeSent(said) => {
                        self.words.entry(said.uetr).or_default().hear(&said);
                    }
                    Line::NoticeAnswered(NoticeAnswered { uetr, http_status: 400..=499 }) => {
                        self.words.entry(uetr).or_default().mismatched = true;
                    }
                    Line::NoticeAnswered(_) | Line::Other => {}
                }
            }
        }
        Ok(news)
    }

    /// What its bank has said of a payment.
    pub fn words(&self, uetr: Uuid) -> Words {
        self.words.get(&uetr).copied().unwrap_or_default()
    }
}

/// Counts a message. Returns the id of an instruction that came once more than the bank was asked about it: a copy may have
/// lain on its way while the bank was asked, but nobody sends one without asking.
fn arrive(arrivals: &mut HashMap<String, Arrivals>, received: Received) -> Option<String> {
    let Received { message_id, original_message_id } = received;
    if let Some(original) = original_message_id {
        arrivals.entry(original).or_default().enquiries += 1;
        return None;
    }
    let instruction = arrivals.entry(message_id.clone()).or_default();
    instruction.copies += 1;
    (instruction.copies > instruction.enquiries + 1).then_some(message_id)
}

/// Whether the bank's books say that it did what it was asked: executed a payment, or gave back for a refund.
///
/// # Errors
/// When the file can't be read.
pub fn is_done(folder: &Path, bank: &str, payment: Uuid, uetr: Uuid) -> Result<bool, BenchError> {
    let lines = whole_lines(&file(folder, bank), &mut 0)?;
    let says_so = |line: &String| match serde_json::from_str(line) {
        Ok(Line::Executed(credit)) => credit.uetr == uetr,
        Ok(Line::Returned(back)) => back.refund() == Some(payment),
        _ => false,
    };
    Ok(lines.iter().any(says_so))
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
        let named = lines.iter().filter(|line| line.contains(&names_it));
        let uetrs: BTreeSet<&str> = named.filter_map(|line| uetr(line)).collect();
        let about = lines
            .iter()
            .filter(|line| line.contains(&names_it) || uetr(line).is_some_and(|uetr| uetrs.contains(uetr)));
        found.extend(about.map(|line| format!("{}: {}", bank.id, line.trim_end())));
    }
    Ok(found)
}

fn uetr(line: &str) -> Option<&str> {
    line.split("\"uetr\":\"").nth(1)?.split('"').next()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Received, arrive};

    #[test]
    fn whoever_sends_again_must_have_asked() {
        let mut arrivals = HashMap::new();
        let mut sent = |original: Option<&str>| {
            let original_message_id = original.map(str::to_owned);
            let message_id = if original.is_some() { "enquiry" } else { "m" }.to_owned();
            arrive(&mut arrivals, Received { message_id, original_message_id }).is_some()
        };
        assert!(!sent(None));
        assert!(!sent(Some("m")) && !sent(None), "asked before");
        assert!(!sent(Some("m")) && !sent(Some("other")));
        assert!(!sent(None) && sent(None), "asked about another");
    }
}
