//! One bank and what it says to a message: read, look up the script, decide in the books, answer.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::{Duration, Instant, sleep_until};

use crate::acceptance;
use crate::books::{Books, Broken, Decision, Known};
use crate::config::BankConfig;
use crate::messages::pacs002::{Report, TransactionStatus};
use crate::messages::pacs008::Payment;
use crate::messages::pacs028::Enquiry;
use crate::messages::{self, Code, Inbound, Reason, References};
use crate::script::{Behaviour, On, Script};

/// What goes back over the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// A pacs.002.
    Report(String),
    /// HTML where a report belongs.
    Garbage,
    /// Another status than 200.
    HttpError(u16),
    /// Nothing, with the connection left open.
    Silence,
    /// Nothing, and the connection is closed.
    HangUp,
    /// The body could not be read, and why.
    Unreadable(String),
    /// The books are broken, so that nothing can be said of any payment.
    Broken,
}

/// One bank.
#[derive(Debug)]
pub struct Bank {
    config: BankConfig,
    books: Books,
    script: Mutex<Script>,
    counters: Counters,
    /// Begins every message id, so that they differ from those of an earlier run.
    run: u64,
}

#[derive(Debug, Default)]
struct Counters {
    pacs008_received: AtomicU64,
    pacs028_received: AtomicU64,
    unreadable: AtomicU64,
    repeated: AtomicU64,
    unanswered: AtomicU64,
    reports: AtomicU64,
}

/// A bank's counters. Credits and rejections are those in the books; all else counts from the start of the process.
#[derive(Debug, Serialize)]
pub struct Counts {
    /// Readable pacs.008 messages, repeats included.
    pacs008_received: u64,
    /// Readable pacs.028 messages.
    pacs028_received: u64,
    /// Bodies that could not be read.
    unreadable: u64,
    /// pacs.008 messages whose UETR was in the books already.
    repeated: u64,
    /// Messages left without an answer on purpose: silent or hung up.
    unanswered: u64,
    /// pacs.002 messages written.
    reports: u64,
    /// Credited payments in the books.
    credited: usize,
    /// Rejected payments in the books.
    rejected: usize,
}

impl Bank {
    /// Opens the bank's books in `directory`.
    pub fn open(config: BankConfig, script: Script, directory: &Path) -> Result<Self, String> {
        let books = Books::open(&directory.join(format!("{}.books", config.id)))?;
        let script = Mutex::new(script);
        Ok(Self { config, books, script, counters: Counters::default(), run: rand::random() })
    }

    /// The bank's settings.
    pub fn config(&self) -> &BankConfig {
        &self.config
    }

    /// The bank's books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Replaces every rule of the bank.
    pub fn set_script(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        let (credited, rejected) = self.books.totals();
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            pacs008_received: get(&self.counters.pacs008_received),
            pacs028_received: get(&self.counters.pacs028_received),
            unreadable: get(&self.counters.unreadable),
            repeated: get(&self.counters.repeated),
            unanswered: get(&self.counters.unanswered),
            reports: get(&self.counters.reports),
            credited,
            rejected,
        }
    }

    /// Answers one message. May be cancelled at any time: what was decided by then stays decided and is written.
    pub async fn answer(&self, body: &[u8]) -> Reply {
        let reply = match messages::read(body) {
            Ok(Inbound::Payment(payment)) => {
                count(&self.counters.pacs008_received);
                self.pay(&payment).await.unwrap_or(Reply::Broken)
            }
            Ok(Inbound::Enquiry(enquiry)) => {
                count(&self.counters.pacs028_received);
                self.inquire(&enquiry).await.unwrap_or(Reply::Broken)
            }
            Err(why) => Reply::Unreadable(why.0),
        };
        match &reply {
            Reply::Silence | Reply::HangUp => count(&self.counters.unanswered),
            Reply::Unreadable(_) => count(&self.counters.unreadable),
            Reply::Report(_) | Reply::Garbage | Reply::HttpError(_) | Reply::Broken => {}
        }
        reply
    }

    async fn pay(&self, payment: &Payment) -> Result<Reply, Broken> {
        let arrived = Instant::now();
        let subject = (payment.creditor_account.as_str(), payment.amount.minor_units);
        let behaviour = self.choose(On::Payment, Some(subject));
        match behaviour {
            Behaviour::Silent => return Ok(Reply::Silence),
            Behaviour::DropBefore => return Ok(Reply::HangUp),
            Behaviour::HttpError { status, executed: false } => return Ok(Reply::HttpError(status)),
            _ => {}
        }
        let until = match behaviour {
            Behaviour::Delay { ms } => arrived.checked_add(Duration::from_millis(ms)),
            _ => None,
        };
        let now = OffsetDateTime::now_utc();
        let refusal = acceptance::refusal(&self.config, payment, now).or_else(|| match &behaviour {
            Behaviour::Reject { code, text } => Some(Reason { code: code.clone(), text: text.clone() }),
            _ => None,
        });
        let decision = self.books.decide(payment, refusal, until, now)?;
        let known = match decision {
            Decision::New(known) => Some(known),
            Decision::Repeat(known) => {
                count(&self.counters.repeated);
                Some(known)
            }
            Decision::OtherContent => {
                count(&self.counters.repeated);
                None
            }
        };
        if let Some(known) = &known {
            self.books.durable(known.number).await?;
        }
        let in_process_until = known.as_ref().and_then(|known| known.in_process_until).max(until);
        if let Some(until) = in_process_until {
            sleep_until(until).await;
        }
        Ok(match behaviour {
            Behaviour::SilentExecuted => Reply::Silence,
            Behaviour::DropAfter => Reply::HangUp,
            Behaviour::Garbage => Reply::Garbage,
            Behaviour::HttpError { status, .. } => Reply::HttpError(status),
            behaviour => match known {
                Some(known) => self.report_known(&known, behaviour == Behaviour::Pending),
                None => {
                    let reason = Reason::new(Code::Duplicate, "the UETR was used for another payment");
                    self.report_unknown(&payment.references, &reason)
                }
            },
        })
    }

    async fn inquire(&self, enquiry: &Enquiry) -> Result<Reply, Broken> {
        let arrived = Instant::now();
        let uetr = enquiry.original.uetr;
        let known = self.books.find(uetr);
        let subject = known.as_ref().map(|known| {
            let entry = &*known.entry;
            (&*entry.creditor_account, entry.amount.minor_units)
        });
        let behaviour = self.choose(On::Enquiry, subject);
        match behaviour {
            Behaviour::Silent => return Ok(Reply::Silence),
            Behaviour::DropBefore => return Ok(Reply::HangUp),
            Behaviour::Garbage => return Ok(Reply::Garbage),
            Behaviour::HttpError { status, .. } => return Ok(Reply::HttpError(status)),
            _ => {}
        }
        if let Behaviour::Delay { ms } = behaviour
            && let Some(until) = arrived.checked_add(Duration::from_millis(ms))
        {
            sleep_until(until).await;
        }
        let known = self.books.find(uetr).filter(|_| behaviour != Behaviour::NotFound);
        let Some(known) = known else {
            let reason = Reason::new(Code::NeverReceived, "the payment was never received");
            return Ok(self.report_unknown(&enquiry.original, &reason));
        };
        self.books.durable(known.number).await?;
        let in_process = known.in_process_until.is_some_and(|until| until > Instant::now());
        Ok(self.report_known(&known, in_process || behaviour == Behaviour::Pending))
    }

    fn choose(&self, on: On, subject: Option<(&str, u64)>) -> Behaviour {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).choose(on, subject)
    }

    /// Reports what the books hold, under the references of the books: an enquiry that mixes references of two
    /// payments must hear an answer that contradicts it.
    fn report_known(&self, known: &Known, pending: bool) -> Reply {
        let entry = &known.entry;
        let reason = entry.rejection.as_deref().filter(|_| !pending);
        let status = match (pending, &entry.rejection) {
            (true, _) => TransactionStatus::Pending,
            (false, Some(_)) => TransactionStatus::Rejected,
            (false, None) => TransactionStatus::Credited,
        };
        self.report(&entry.references, status, reason, Some(entry.amount))
    }

    fn report_unknown(&self, original: &References, reason: &Reason) -> Reply {
        self.report(original, TransactionStatus::Rejected, Some(reason), None)
    }

    fn report(
        &self,
        original: &References,
        status: TransactionStatus,
        reason: Option<&Reason>,
        amount: Option<messages::amount::Amount>,
    ) -> Reply {
        let number = self.counters.reports.fetch_add(1, Ordering::Relaxed);
        let message_id = format!("{:016x}{number:016x}", self.run);
        let created_at = OffsetDateTime::now_utc();
        let report = Report { message_id: &message_id, created_at, original, status, reason, amount };
        Reply::Report(report.to_xml())
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
