//! The rail `iso20022`: one ISO 20022 message over HTTP, one answer (`docs/bank-profile.md`).

pub mod answer;
pub mod camt029;
pub mod camt056;
mod codes;
pub mod gate;
pub mod http;
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
use proto::channel::{Rejected, outcome::Verdict};
use uuid::Uuid;

use super::{Carried, Contact, not_sent, unknown};
use crate::{
    directory::entry::Access,
    instruction::{Instruction, Message},
};
use answer::Answer;
use http::{BankClient, NoAnswer};
use message::Correspondents;
use pacs028::Enquiry;

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
        let created = self.clock.now();
        let document = match instruction.message() {
            Message::CreditTransfer(transfer) => {
                pacs008::document(instruction, transfer, &self.correspondents, created)
            }
            Message::ReturnRequest(request) => camt056::document(instruction, request, &self.correspondents),
            Message::StatusEnquiry { enquiry_id, returned } => {
                let enquiry = Enquiry::new(enquiry_id, instruction, returned.as_ref());
                pacs028::document(&enquiry, &self.correspondents, created)
            }
        };
        let copy = planted::is("M22").then(|| document.clone());
        let trace = instruction.trace();
        let mut answered = self.ask(document, trace).await;
        if let (Err(_), Some(copy)) = (&answered, copy) {
            answered = self.ask(copy, trace).await;
        }
        match answered {
            Ok(answer) => {
                Carried { verdict: verdict::verdict(instruction, &answer), contact: Contact::Answered }
            }
            Err(no_answer) => Carried { verdict: without_answer(&no_answer), contact: contact(&no_answer) },
        }
    }

    /// Finds out whether the bank answers: asks what became of a payment that nobody has made.
    pub async fn probe(&self) -> Contact {
        let now = self.clock.now();
        let (id, uetr) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().to_string());
        let enquiry = Enquiry::about_nothing(&id, &uetr, now);
        let document = pacs028::document(&enquiry, &self.correspondents, now);
        match self.ask(document, TraceParent::unsampled()).await {
            Ok(_) => Contact::Answered,
            Err(no_answer) => contact(&no_answer),
        }
    }

    async fn ask(&self, document: String, trace: TraceParent) -> Result<Answer, NoAnswer> {
        let body = self.client.post(document, trace).await?;
        Answer::read(&body).map_err(NoAnswer::Unreadable)
    }
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
