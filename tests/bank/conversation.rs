//! One bank and what it says to a message: read, look up the script, decide in the books, answer.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::books::record::{Received, Record, ReturnEntry};
use crate::books::{Books, Broken};
use crate::config::BankConfig;
use crate::counters::{Counters, Counts, count};
use crate::jws::Signatures;
use crate::line::Link;
use crate::messages::answer::Answer;
use crate::messages::pacs028::About;
use crate::messages::stamp::Stamp;
use crate::messages::{self, Inbound};
use crate::notices::Notifier;
use crate::script::{Behaviour, Chosen, On, Script, Subject};

mod enquiries;
mod notices;
mod payments;
mod replies;
mod returns;

pub use replies::Reply;

/// One bank.
#[derive(Debug)]
pub struct Bank {
    config: BankConfig,
    books: Books,
    script: Mutex<Script>,
    script_given: Notify,
    link: watch::Sender<Link>,
    counters: Counters,
    notifier: Notifier,
    signatures: Signatures,
    /// Begins every message id, so that they differ from those of an earlier run.
    run: u64,
}

/// When a message arrived.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    instant: Instant,
    time: Stamp,
    /// The time that validity is judged by.
    judged_as_of: Stamp,
}

impl Arrival {
    fn now() -> Self {
        let time = Stamp::now();
        Self { instant: Instant::now(), time, judged_as_of: time }
    }

    /// `ms` milliseconds later; none where no clock goes that far.
    fn after(&self, ms: u64) -> Option<Instant> {
        self.instant.checked_add(Duration::from_millis(ms))
    }
}

/// What a bank has done with a message.
struct Done {
    /// What it would say of it.
    answer: Answer,
    /// The line of the books that must be on disk before anybody hears of it.
    line: usize,
}

impl Bank {
    /// Opens the bank's books in `directory`.
    pub fn open(config: BankConfig, script: Script, directory: &Path) -> Result<Self, String> {
        let books = Books::open(&directory.join(format!("{}.books", config.id)))?;
        let notifier = Notifier::new(config.notice_url.clone(), config.notice_files.as_ref())?;
        let signatures = Signatures::load(config.sign_key.as_deref(), config.verify_key.as_deref())?;
        let link = watch::Sender::new(script.link(Instant::now()).0);
        Ok(Self {
            config,
            books,
            script: Mutex::new(script),
            script_given: Notify::new(),
            link,
            counters: Counters::default(),
            notifier,
            signatures,
            run: rand::random(),
        })
    }

    /// Takes up again what an earlier run left undecided, and begins to follow the script's times.
    pub fn start(self: &Arc<Self>) {
        tokio::spawn(Arc::clone(self).keep_link());
        for entry in self.books.returns() {
            self.decide_later(&entry);
        }
    }

    /// The bank's settings.
    pub fn config(&self) -> &BankConfig {
        &self.config
    }

    /// Its signatures.
    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// The bank's books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Replaces every rule of the bank.
    pub fn set_script(&self, script: Script) {
        *self.lock_script() = script;
        self.script_given.notify_one();
    }

    fn lock_script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a message that finds the bank down.
    pub fn is_missed(&self) {
        count(&self.counters.unanswered);
    }

    /// Whether the bank can be reached, now and whenever that changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Sets the link as the script says, for as long as the bank is there.
    async fn keep_link(self: Arc<Self>) {
        loop {
            let (link, next) = self.lock_script().link(Instant::now());
            self.link.send_replace(link);
            tokio::select! {
                () = wait_until(next), if next.is_some() => {}
                () = self.script_given.notified() => {}
            }
        }
    }

    /// Sends notices to `url` from now on.
    pub fn set_notice_url(&self, url: reqwest::Url) {
        self.notifier.set_url(url);
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        self.counters.counts(&self.books, &self.notifier)
    }

    /// Answers one message, which belongs to the trace of the `traceparent` if it has one. May be cancelled at any time: what was
    /// decided by then stays decided and is written.
    pub async fn answer(self: &Arc<Self>, body: &[u8], traceparent: Option<&str>) -> Reply {
        let reply = match messages::read(body) {
            Ok(message) => self.converse(&message, traceparent).await.unwrap_or(Reply::Broken),
            Err(why) => Reply::Unreadable(why.0),
        };
        match &reply {
            Reply::Silence | Reply::HangUp | Reply::Cut | Reply::GoAway | Reply::Refusal => {
                count(&self.counters.unanswered)
            }
            Reply::Unreadable(_) => count(&self.counters.unreadable),
            _ => {}
        }
        reply
    }

    async fn converse(
        self: &Arc<Self>,
        message: &Inbound,
        traceparent: Option<&str>,
    ) -> Result<Reply, Broken> {
        let arrival = Arrival::now();
        self.counters.received(message);
        self.books.note(Record::Received(Received::new(message, arrival.time, traceparent)))?;
        let Chosen { behaviour, notices, before } = self.choose(message, arrival);
        let told = self.notify(notices, message, arrival, traceparent);
        match behaviour {
            Behaviour::Silent => return Ok(Reply::Silence),
            Behaviour::DropBefore => return Ok(Reply::HangUp),
            Behaviour::Refuse => return Ok(Reply::Refusal),
            Behaviour::HttpError { status, executed: false, retry_after_s } => {
                return Ok(Reply::HttpError { status, retry_after_s });
            }
            Behaviour::Forget { last_ms } => {
                let since = arrival.time.time().checked_sub(milliseconds(last_ms)).map(Stamp::new);
                self.books.forget(since.unwrap_or(Stamp::new(OffsetDateTime::UNIX_EPOCH)), arrival.time)?;
            }
            _ => {}
        }
        let Done { mut answer, line } = match behaviour {
            Behaviour::Hold { ms, ignores_validity } => {
                self.hold(message.clone(), arrival, ms, ignores_validity).await?
            }
            _ => self.obey(message, &behaviour, arrival).await?,
        };
        if let Some(told) = told {
            // The sender is dropped once the notices are through, which is all that it says.
            let _ = told.await;
        }
        self.falsify(&mut answer, &behaviour, before);
        self.reply(behaviour, answer, line).await
    }

    async fn obey(
        self: &Arc<Self>,
        message: &Inbound,
        behaviour: &Behaviour,
        arrival: Arrival,
    ) -> Result<Done, Broken> {
        match message {
            Inbound::Payment(payment) => self.pay(payment, behaviour, arrival).await,
            Inbound::ReturnRequest(request) => self.give_back(request, behaviour, arrival).await,
            Inbound::Enquiry(enquiry) => self.inquire(enquiry, behaviour, arrival).await,
        }
    }

    /// Lets `message` lie for a time. It is looked at even if the sender has gone away by then.
    async fn hold(
        self: &Arc<Self>,
        message: Inbound,
        arrival: Arrival,
        ms: u64,
        ignores_validity: bool,
    ) -> Result<Done, Broken> {
        let bank = Arc::clone(self);
        let held = tokio::spawn(async move {
            wait_until(arrival.after(ms)).await;
            let now = Arrival::now();
            let judged_as_of = if ignores_validity { arrival.time } else { now.time };
            bank.obey(&message, &Behaviour::Accept, Arrival { judged_as_of, ..now }).await
        });
        held.await.unwrap_or(Err(Broken))
    }

    fn choose(&self, message: &Inbound, arrival: Arrival) -> Chosen {
        let (on, subject) = match message {
            Inbound::Payment(payment) => {
                let account = Some(payment.creditor_account.as_str().into());
                (On::Payment, Subject { account, minor_units: Some(payment.amount.minor_units) })
            }
            Inbound::ReturnRequest(request) => {
                let account = self.account(request.original.uetr);
                (On::ReturnRequest, Subject { account, minor_units: Some(request.amount.minor_units) })
            }
            Inbound::Enquiry(enquiry) if enquiry.about == About::ReturnRequest => {
                let known = self.books.find_return(&enquiry.original.message_id);
                let account = known.as_ref().and_then(|known| self.account(known.entry.original.uetr));
                let minor_units = known.map(|known| known.entry.amount.minor_units);
                (On::ReturnEnquiry, Subject { account, minor_units })
            }
            Inbound::Enquiry(enquiry) => {
                let known = self.books.find(enquiry.original.uetr);
                let minor_units = known.as_ref().map(|known| known.entry.reported().minor_units);
                let account = known.map(|known| known.entry.creditor_account.clone());
                (On::Enquiry, Subject { account, minor_units })
            }
        };
        self.lock_script().choose(on, &subject, arrival.instant)
    }

    /// The creditor's account of a payment in the books.
    fn account(&self, uetr: uuid::Uuid) -> Option<Box<str>> {
        self.books.find(uetr).map(|known| known.entry.creditor_account.clone())
    }

    /// Lets an undecided return request be decided when it is due.
    fn decide_later(self: &Arc<Self>, entry: &ReturnEntry) {
        let Some(due) = entry.due else { return };
        let left = due.time() - Stamp::now().time();
        let (bank, request_id) = (Arc::clone(self), entry.request_id.clone());
        tokio::spawn(async move {
            sleep(left.try_into().unwrap_or_default()).await;
            // Broken books stay shut, and every answer says so.
            let _ = bank.books.conclude_return(&request_id, Stamp::now());
        });
    }
}

/// So many milliseconds, as far as a time can tell them.
fn milliseconds(ms: u64) -> time::Duration {
    time::Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX))
}

async fn wait_until(until: Option<Instant>) {
    if let Some(until) = until {
        sleep_until(until).await;
    }
}
