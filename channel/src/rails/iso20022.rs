//! The rail `iso20022`: one ISO 20022 message over HTTP, one answer (`docs/bank-profile.md`).

pub mod answer;
pub mod camt029;
pub mod camt056;
mod codes;
pub mod gate;
pub mod http;
pub mod incoming;
pub mod jws;
pub mod message;
pub mod notice;
pub mod pacs002;
pub mod pacs004;
pub mod pacs008;
pub mod pacs028;
pub mod verdict;
mod xml;

use std::time::Duration;

use common::{clock::Clock, planted, trace::TraceParent};
use hyper::header::HeaderValue;
use proto::channel::{self as wire, Rejected, notice_receipt, outcome::Verdict};
use uuid::Uuid;

use super::{Carried, Contact, not_sent, unknown};
use crate::{
    directory::entry::Access,
    instruction::{Instruction, Message},
};
use answer::Answer;
use http::{BankClient, NoAnswer};
use message::Correspondents;
use notice::NoNotice;
use pacs028::Enquiry;

/// As much of a bank's message is kept for people: several times what one is long.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// A status report for a bank.
#[derive(Debug)]
pub struct Report {
    /// What it says.
    pub document: String,
    /// Its signature, if there is to be one.
    pub signature: Option<HeaderValue>,
}

/// The way to one bank.
#[derive(Debug)]
pub struct Iso20022 {
    client: BankClient,
    correspondents: Correspondents,
    clock: Clock,
}

impl Iso20022 {
    /// Prepares the way to a bank. `answer_timeout` is for everything from the connection to the end of the answer.
    ///
    /// # Errors
    /// What is wrong with which file, or with the address.
    pub fn new(
        correspondents: Correspondents,
        access: &Access,
        answer_timeout: Duration,
        clock: Clock,
    ) -> Result<Self, String> {
        Ok(Self { client: BankClient::new(access, answer_timeout)?, correspondents, clock })
    }

    /// Carries an instruction and says what is known of the result.
    pub async fn carry(&self, instruction: &Instruction) -> Carried {
        let document = self.compose(instruction);
        let copy = planted::is("M22").then(|| document.clone());
        let trace = instruction.trace();
        let mut answered = self.ask(document, trace).await;
        if let (Err(_), Some(copy)) = (&answered, copy) {
            answered = self.ask(copy, trace).await;
        }
        match answered {
            Ok((answer, body)) => {
                let verdict = verdict::verdict(instruction, &answer);
                let is_plain = matches!(verdict, Verdict::Accepted(_)) && !instruction.is_enquiry();
                let bank_message = if is_plain { Vec::new() } else { kept(body) };
                Carried { verdict, contact: Contact::Answered, bank_message }
            }
            Err((no_answer, body)) => Carried {
                verdict: without_answer(&no_answer),
                contact: contact(&no_answer),
                bank_message: kept(body),
            },
        }
    }

    /// Writes the message that carries an instruction; the same for every re-send, but for when an enquiry is made.
    pub fn compose(&self, instruction: &Instruction) -> String {
        match instruction.message() {
            Message::CreditTransfer(transfer) => {
                pacs008::document(instruction, transfer, &self.correspondents)
            }
            Message::ReturnRequest(request) => camt056::document(instruction, request, &self.correspondents),
            Message::StatusEnquiry { enquiry_id, returned } => {
                let enquiry = Enquiry::new(enquiry_id, instruction, returned.as_ref());
                pacs028::document(&enquiry, &self.correspondents, self.clock.now())
            }
        }
    }

    /// Reads what the bank instructs us to do.
    ///
    /// # Errors
    /// When it is no readable instruction about one payment, or is not for us.
    pub fn read(&self, bank_id: &str, body: &[u8]) -> Result<wire::Instruction, NoNotice> {
        incoming::read(bank_id, &self.correspondents, body)
    }

    /// What the bank is told became of its instruction, signed where it is to be; none if the system gives no randomness to sign with.
    pub fn report(&self, about: &wire::Instruction, verdict: &notice_receipt::Verdict) -> Option<Report> {
        let document = pacs002::document(about, verdict, self.clock.now());
        let signature = self.client.signature(document.as_bytes())?;
        Some(Report { document, signature })
    }

    /// Finds out whether the bank answers: asks what became of a payment that nobody has made.
    pub async fn probe(&self) -> Contact {
        let now = self.clock.now();
        let (id, uetr) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().to_string());
        let enquiry = Enquiry::about_nothing(&id, &uetr, now);
        let document = pacs028::document(&enquiry, &self.correspondents, now);
        match self.ask(document, TraceParent::unsampled()).await {
            Ok(_) => Contact::Answered,
            Err((no_answer, _)) => contact(&no_answer),
        }
    }

    /// The answer with its bytes; without one, why, and the bytes of what is none.
    async fn ask(
        &self,
        document: String,
        trace: TraceParent,
    ) -> Result<(Answer, Vec<u8>), (NoAnswer, Vec<u8>)> {
        let body = self.client.post(document, trace).await.map_err(|no_answer| (no_answer, Vec::new()))?;
        match Answer::read(&body) {
            Ok(answer) => Ok((answer, body)),
            Err(unreadable) => Err((NoAnswer::Unreadable(unreadable), body)),
        }
    }
}

/// As much of a bank's message as is kept of one.
fn kept(mut body: Vec<u8>) -> Vec<u8> {
    body.truncate(MAX_KEPT_BYTES);
    body
}

fn without_answer(no_answer: &NoAnswer) -> Verdict {
    match no_answer {
        NoAnswer::Unreachable(_) | NoAnswer::Crowded | NoAnswer::NotSigned => {
            not_sent(no_answer.reason(), no_answer.to_string())
        }
        NoAnswer::Status(status) if planted::is("X8") => {
            let (iso_code, text) = ("MS03".to_owned(), format!("HTTP status {status}"));
            Verdict::Rejected(Rejected { iso_code, text, ..Rejected::default() })
        }
        _ => unknown(no_answer.reason(), no_answer.to_string()),
    }
}

fn contact(no_answer: &NoAnswer) -> Contact {
    match no_answer {
        NoAnswer::Unreachable(_) | NoAnswer::TimedOut(_) | NoAnswer::Broken(_) => Contact::Failed,
        NoAnswer::Status(500..) => Contact::Failed,
        NoAnswer::BrokenBesides(_) | NoAnswer::Crowded | NoAnswer::NotSigned | NoAnswer::BadSignature(_) => {
            Contact::Unclear
        }
        NoAnswer::Status(_) | NoAnswer::MediaType | NoAnswer::TooLong | NoAnswer::Unreadable(_) => {
            Contact::Unclear
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
