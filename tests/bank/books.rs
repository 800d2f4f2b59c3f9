//! The books of one bank: what it received, decided and said. Each payment and each return request is decided once.
//!
//! A decision is made under one lock, on maps in memory, and queued for the file in the same breath. It may be told to
//! anybody only once the file has it, which [`Books::durable`] waits for. Lock order: the output's lock, which whoever
//! writes holds, then the state's, which is never held while waiting for the disk.
//!
//! # The file
//!
//! `{bank}.books` is only ever appended to and synced before anything in it is told, so that whoever checks a run can
//! read it without this program. Each line is one JSON object with a `kind` and a `time` (UTC, milliseconds). Amounts
//! stand as `minor_units`, as decimal text in `amount`, and with their `currency`. The kinds:
//!
//! | `kind` | what happened | besides |
//! |---|---|---|
//! | `received` | a readable message arrived, repeats included | `message`, `uetr`, `message_id`, amount; an enquiry has `original_message_id` instead of an amount |
//! | `executed` | a creditor was credited with the amount | `uetr`, `message_id`, `end_to_end_id`, amount, `creditor_account`; `reported` if the bank tells another amount; `again` if it is not the first time |
//! | `refused` | a payment was refused for good | as above, with `rejection` |
//! | `return_undecided` | a return request waits for its decision until `due` | `request_id`, the payment's `uetr`, `message_id`, `end_to_end_id`, the amount asked back, `original_amount` |
//! | `returned` | the amount was given back | the same |
//! | `return_refused` | a return request was refused for good | the same, with `rejection` |
//! | `answered` | the bank was about to send this answer | `message`, `answer_id`, `uetr`, `message_id`; `request_id`, `status`, `code`, amount where the answer has them |
//! | `notice_sent` | the bank is about to send this unasked | as `answered` |
//! | `notice_answered` | what the receiver of a notice said in the end | `answer_id`, `uetr`, `http_status` |
//! | `restored` | the bank forgot what it decided since `forgotten_since` | |
//!
//! Money moved is the sum of `executed` less the sum of `returned`, whatever was forgotten since: `restored` takes
//! back nothing, it only says what the bank no longer knows. `content` distinguishes messages; it is the bank's own.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::messages::pacs008::Payment;
use crate::messages::reason::{Code, Reason};
use crate::messages::stamp::Stamp;
use record::{Entry, Record, Restored, ReturnEntry};
use state::{Numbered, State};

mod file;
pub mod record;
pub mod returns;
mod state;
#[cfg(test)]
mod tests;

/// The books can no longer be written, so that nothing more can be promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// Something in the books and what must be awaited before it is told.
#[derive(Debug, Clone)]
pub struct Known<T> {
    /// The thing itself.
    pub entry: Arc<T>,
    /// The number of the last line about it, from 1.
    pub line: usize,
    /// Until when it counts as in process, if it was scripted to take its time.
    pub in_process_until: Option<Instant>,
}

/// What the books say to an instruction.
#[derive(Debug, Clone)]
pub enum Decision<T> {
    /// First seen; now decided.
    New(Known<T>),
    /// The same instruction as before, with what was decided then.
    Repeat(Known<T>),
    /// The id stands for another instruction. Nothing is recorded.
    OtherContent,
}

/// How the bank credits a payment that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// How often; more than once only when scripted.
    pub times: u32,
    /// How much less than was instructed, in minor units.
    pub less_minor_units: u64,
    /// Whether the bank tells how much it really was.
    pub told: bool,
}

impl Credit {
    /// Once, and all of it.
    pub const PLAIN: Self = Self { times: 1, less_minor_units: 0, told: true };
}

/// What the books hold, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Credits.
    pub credited: usize,
    /// Refused payments.
    pub rejected: usize,
    /// Returns.
    pub returned: usize,
    /// Refused return requests.
    pub returns_refused: usize,
}

/// How far the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// This many lines survive a crash.
    Durable(usize),
    /// A write failed; what the file holds is not known.
    Broken,
}

/// Where lines go, and the memory that the last group of them was in.
#[derive(Debug)]
struct Output {
    file: File,
    group: Vec<u8>,
}

/// What handlers and the writer share.
#[derive(Debug)]
struct Shared {
    output: Mutex<Output>,
    state: Mutex<State>,
    queued: Notify,
    progress: watch::Sender<Progress>,
}

impl Shared {
    fn lock_output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many lines survive a crash.
    fn durable_lines(&self) -> usize {
        match *self.progress.borrow() {
            Progress::Durable(count) => count,
            Progress::Broken => 0,
        }
    }
}

/// The books of one bank. One process owns the file as long as this lives.
#[derive(Debug)]
pub struct Books {
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
}

impl Books {
    /// Opens or creates the file and rebuilds everything from it, on a runtime that is to write to it. A torn last line
    /// was never acknowledged and is cut off; any other line that cannot be read is an error.
    pub fn open(path: &Path) -> Result<Self, String> {
        let mut state = State::default();
        let file = file::open(path, |record| state.apply(record))?;
        let (progress, _) = watch::channel(Progress::Durable(state.lines));
        let output = Mutex::new(Output { file, group: Vec::new() });
        let shared = Arc::new(Shared { output, state: Mutex::new(state), queued: Notify::new(), progress });
        let writer = tokio::spawn(file::write_groups(Arc::clone(&shared)));
        Ok(Self { shared, writer })
    }

    /// Queues `record` and takes in what it says; returns its line.
    fn append(&self, state: &mut State, record: Record) -> Result<usize, Broken> {
        if *self.shared.progress.borrow() == Progress::Broken {
            return Err(Broken);
        }
        file::append_line(&mut state.queue, &record).map_err(|_| Broken)?;
        state.apply(record).map_err(|_| Broken)?;
        self.shared.queued.notify_one();
        Ok(state.lines)
    }

    /// Records something that decides nothing; returns its line.
    pub fn note(&self, record: Record) -> Result<usize, Broken> {
        self.append(&mut self.shared.lock(), record)
    }

    /// Decides what becomes of `payment`: `judgement` unless the books know better. With `in_process_until` a payment
    /// seen for the first time counts as in process until then.
    pub fn decide(
        &self,
        payment: &Payment,
        judgement: Result<Credit, Reason>,
        in_process_until: Option<Instant>,
        now: Stamp,
    ) -> Result<Decision<Entry>, Broken> {
        let uetr = payment.references.uetr;
        let mut state = self.shared.lock();
        if let Some(known) = known_payment(&mut state, uetr) {
            let same = known.entry.content == payment.fingerprint;
            return Ok(if same { Decision::Repeat(known) } else { Decision::OtherContent });
        }
        let judgement = if state.is_used(&payment.references.message_id) {
            Err(Reason::new(Code::Duplicate, "the message id was used for another UETR"))
        } else {
            judgement
        };
        for record in records(payment, judgement, now) {
            self.append(&mut state, record)?;
        }
        if let Some(until) = in_process_until {
            state.payments_in_process.set(uetr, until);
        }
        let line = state.lines;
        known_payment(&mut state, uetr).map(|known| Decision::New(Known { line, ..known })).ok_or(Broken)
    }

    /// What the books know of a UETR. Not to be told before it is [`durable`](Self::durable).
    pub fn find(&self, uetr: Uuid) -> Option<Known<Entry>> {
        known_payment(&mut self.shared.lock(), uetr)
    }

    /// Some payment other than the one of this UETR: the latest in the books.
    pub fn another(&self, uetr: Uuid) -> Option<Arc<Entry>> {
        let state = self.shared.lock();
        let other = state.entries.iter().rev().find(|entry| entry.item.references.uetr != uetr);
        other.map(|entry| Arc::clone(&entry.item))
    }

    /// Loses everything that was decided since `since`, as a bank does that restores an old backup.
    pub fn forget(&self, since: Stamp, now: Stamp) -> Result<usize, Broken> {
        self.note(Record::Restored(Restored { forgotten_since: since, time: now }))
    }

    /// Waits until the file has line `line` and everything before it.
    pub async fn durable(&self, line: usize) -> Result<(), Broken> {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress
            .wait_for(|progress| match progress {
                Progress::Durable(count) => *count >= line,
                Progress::Broken => true,
            })
            .await;
        match reached.as_deref() {
            Ok(Progress::Durable(_)) => Ok(()),
            Ok(Progress::Broken) | Err(_) => Err(Broken),
        }
    }

    /// How much of what the books hold.
    pub fn totals(&self) -> Totals {
        let state = self.shared.lock();
        let decided = || state.returns.values().filter(|entry| entry.item.due.is_none());
        let returns_refused = decided().filter(|entry| entry.item.rejection.is_some()).count();
        Totals {
            credited: state.entries.len() - state.rejected,
            rejected: state.rejected,
            returned: decided().count() - returns_refused,
            returns_refused,
        }
    }

    /// All payments that are known and survive a crash, in the order of the file.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        let durable = self.shared.durable_lines();
        let state = self.shared.lock();
        durable_ones(state.entries.iter(), durable)
    }

    /// All return requests that are known and survive a crash, in the order of their latest lines.
    pub fn returns(&self) -> Vec<Arc<ReturnEntry>> {
        let durable = self.shared.durable_lines();
        let state = self.shared.lock();
        let mut returns: Vec<_> = state.returns.values().collect();
        returns.sort_by_key(|entry| entry.line);
        durable_ones(returns.into_iter(), durable)
    }
}

fn durable_ones<'a, T: 'a>(all: impl Iterator<Item = &'a Numbered<T>>, durable: usize) -> Vec<Arc<T>> {
    all.filter(|entry| entry.line <= durable).map(|entry| Arc::clone(&entry.item)).collect()
}

fn known_payment(state: &mut State, uetr: Uuid) -> Option<Known<Entry>> {
    let in_process_until = state.payments_in_process.until(&uetr);
    let Numbered { line, item } = state.find(uetr)?;
    Some(Known { entry: Arc::clone(item), line: *line, in_process_until })
}

/// What `judgement` puts on record.
fn records(payment: &Payment, judgement: Result<Credit, Reason>, now: Stamp) -> Vec<Record> {
    let mut entry = Entry {
        references: payment.references.clone(),
        amount: payment.amount,
        reported: None,
        creditor_account: payment.creditor_account.as_str().into(),
        time: now,
        content: payment.fingerprint,
        again: false,
        rejection: None,
    };
    let credit = match judgement {
        Ok(credit) => credit,
        Err(reason) => {
            entry.rejection = Some(Box::new(reason));
            return vec![Record::Refused(entry)];
        }
    };
    entry.amount.minor_units = entry.amount.minor_units.saturating_sub(credit.less_minor_units);
    entry.reported = (!credit.told && entry.amount != payment.amount).then_some(payment.amount);
    let times = (0..credit.times).map(|time| Record::Executed(Entry { again: time > 0, ..entry.clone() }));
    times.collect()
}

impl Drop for Books {
    /// Writes what is queued, so that an orderly end loses nothing, and leaves the file to others.
    fn drop(&mut self) {
        self.writer.abort();
        file::write_group(&self.shared);
        // A file that can't be left goes with the process.
        let _ = self.shared.lock_output().file.unlock();
    }
}
