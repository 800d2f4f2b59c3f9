//! The rail `iso20022`: one ISO 20022 message over HTTP, one answer (`docs/bank-profile.md`).

pub mod gate;
mod http;
pub mod message;
pub mod pacs002;
pub mod pacs008;
pub mod pacs028;
mod status_reason;
pub mod verdict;
mod xml;

use std::time::Duration;

use common::clock::Clock;
use proto::channel::outcome::Verdict;
use reqwest::Url;

use super::{not_sent, unknown};
use crate::instruction::{Instruction, Message};
use http::{BankClient, NoAnswer};
use message::Correspondents;
use pacs002::StatusReport;

/// The way to one bank.
#[derive(Debug)]
pub struct Iso20022 {
    client: BankClient,
    correspondents: Correspondents,
    clock: Clock,
}

impl Iso20022 {
    /// Prepares the way to the bank at `address`. With `ca` (PEM) only certificates under those are trusted, otherwise
    /// the machine's. `answer_timeout` is for everything from the connection to the end of the answer.
    ///
    /// # Errors
    /// When there is no certificate in `ca`, or TLS can't be prepared.
    pub fn new(
        correspondents: Correspondents,
        address: &Url,
        ca: Option<&[u8]>,
        answer_timeout: Duration,
        clock: Clock,
    ) -> Result<Self, String> {
        Ok(Self { client: BankClient::new(address, ca, answer_timeout)?, correspondents, clock })
    }

    /// Carries an instruction and says what is known of the result.
    pub async fn carry(&self, instruction: &Instruction) -> Verdict {
        let created = self.clock.now();
        let document = match instruction.message() {
            Message::CreditTransfer(transfer) => {
                pacs008::document(instruction, transfer, &self.correspondents, created)
            }
            Message::StatusEnquiry { enquiry_id } => {
                pacs028::document(instruction, enquiry_id, &self.correspondents, created)
            }
        };
        match self.client.post(document).await {
            Ok(body) => match StatusReport::read(&body) {
                Ok(report) => verdict::verdict(instruction, &report),
                Err(unreadable) => unknown("ANSWER_UNREADABLE", unreadable.to_string()),
            },
            Err(no_answer) => without_answer(&no_answer),
        }
    }
}

fn without_answer(no_answer: &NoAnswer) -> Verdict {
    let reason = match no_answer {
        NoAnswer::Unreachable(_) => return not_sent("BANK_UNREACHABLE", no_answer.to_string()),
        NoAnswer::TimedOut(_) => "ANSWER_TIMED_OUT",
        NoAnswer::Broken(_) => "CONNECTION_BROKEN",
        NoAnswer::Status(_) => "HTTP_STATUS",
        NoAnswer::MediaType | NoAnswer::TooLong => "ANSWER_UNREADABLE",
    };
    unknown(reason, no_answer.to_string())
}

#[cfg(test)]
pub(crate) mod tests;
