//! From what a bank would say to what it sends.

use std::sync::atomic::Ordering;

use tokio::time::Duration;

use super::Bank;
use super::notices::nobodys;
use crate::books::Broken;
use crate::books::record::{Record, Said};
use crate::messages::answer::{Answer, Header};
use crate::messages::reason::Reason;
use crate::messages::stamp::Stamp;
use crate::script::{Behaviour, Saying};

/// What goes back over the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// One of the profile's messages, and its signatures.
    Message(String, Vec<String>),
    /// HTML where a message belongs.
    Garbage,
    /// Another status than 200.
    HttpError {
        /// The status.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after_s: Option<u32>,
    },
    /// A message, byte by byte.
    Drip {
        /// The message.
        xml: String,
        /// The pause before each byte.
        pause: Duration,
        /// Whether the head drips too.
        head: bool,
    },
    /// A head that never ends.
    EndlessHeaders,
    /// A message that goes on in white space.
    HugeBody {
        /// The message.
        xml: String,
        /// The size of the body in mebibytes.
        mib: u32,
        /// Whether the size is told in advance.
        length_told: bool,
    },
    /// Nothing, with the connection left open.
    Silence,
    /// Nothing, and the connection is closed, or under HTTP/2 the stream.
    HangUp,
    /// Nothing, and the connection is closed with all that is under way on it.
    Cut,
    /// Nothing, and the connection is closed with a GOAWAY.
    GoAway,
    /// The word that the message was not looked at: a stream refused.
    Refusal,
    /// The beginning of a message, after which the connection is closed, or under HTTP/2 the stream.
    Half {
        /// The message.
        xml: String,
    },
    /// The body could not be read, and why.
    Unreadable(String),
    /// The books are broken, so that nothing can be said of any payment.
    Broken,
}

impl Bank {
    /// Makes the answer say what it is scripted to say instead of the truth.
    pub(super) fn falsify(&self, answer: &mut Answer, behaviour: &Behaviour, before: usize) {
        match (behaviour, answer) {
            (Behaviour::Say { answers, .. }, Answer::Report(report)) => {
                let Some(Saying { status, code }) = answers.get(before % answers.len().max(1)) else {
                    return;
                };
                report.status = status.clone();
                report.reason = code.clone().map(|code| Reason { code: Some(code), text: None });
            }
            (Behaviour::OtherPayment, answer) => {
                let other = self.books.another(answer.original().uetr);
                if let (Answer::Report(report), Some(other)) = (&mut *answer, &other) {
                    report.amount = report.amount.map(|_| other.reported());
                }
                answer.rename(other.map_or_else(nobodys, |other| other.references.clone()));
            }
            _ => {}
        }
    }

    /// Turns what the bank would say into what it sends.
    pub(super) async fn reply(
        &self,
        behaviour: Behaviour,
        answer: Answer,
        line: usize,
    ) -> Result<Reply, Broken> {
        let instead = match behaviour {
            Behaviour::SilentExecuted => Reply::Silence,
            Behaviour::DropAfter => Reply::HangUp,
            Behaviour::Garbage => Reply::Garbage,
            Behaviour::HttpError { status, retry_after_s, .. } => Reply::HttpError { status, retry_after_s },
            Behaviour::EndlessHeaders => Reply::EndlessHeaders,
            Behaviour::Cut => Reply::Cut,
            Behaviour::GoAway => Reply::GoAway,
            behaviour => {
                let xml = self.write(&answer).await?;
                return Ok(match behaviour {
                    Behaviour::Drip { ms_per_byte, head } => {
                        Reply::Drip { xml, pause: Duration::from_millis(ms_per_byte), head }
                    }
                    Behaviour::HalfAnswer => Reply::Half { xml },
                    Behaviour::HugeBody { mib, length_told } => Reply::HugeBody { xml, mib, length_told },
                    Behaviour::Signature(wrong) => {
                        let signatures = self.signatures.over(&xml, Some(wrong));
                        Reply::Message(xml, signatures)
                    }
                    _ => {
                        let signatures = self.signatures.over(&xml, None);
                        Reply::Message(xml, signatures)
                    }
                });
            }
        };
        self.books.durable(line).await?;
        Ok(instead)
    }

    /// Writes `answer` once the books hold that it is said, and all that came before.
    async fn write(&self, answer: &Answer) -> Result<String, Broken> {
        let header = self.next_header();
        let line = self.books.note(Record::Answered(Said::new(answer, &header)))?;
        self.books.durable(line).await?;
        Ok(answer.to_xml(&header))
    }

    pub(super) fn next_header(&self) -> Header {
        let number = self.counters.reports.fetch_add(1, Ordering::Relaxed);
        Header { message_id: format!("{:016x}{number:016x}", self.run), created_at: Stamp::now() }
    }
}
