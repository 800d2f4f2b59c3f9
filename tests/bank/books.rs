//! The books of one bank: what it credited and what it rejected for good, each decided once.
//!
//! A decision is made under one lock, on maps in memory, and queued for the writer thread in the same breath. It may be
//! told to anybody only once the file has it, which [`Books::durable`] waits for. Lock order: the state's lock is the
//! only one, and is never held while waiting for the disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fields::Fingerprint;
use crate::messages::amount::{Amount, Currency};
use crate::messages::pacs008::Payment;
use crate::messages::{Code, Reason, References};

mod file;
#[cfg(test)]
mod tests;

/// What the bank did with one UETR, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How the payment is named.
    pub references: References,
    /// What it is about.
    pub amount: Amount,
    /// The creditor's account as the message wrote it.
    pub creditor_account: Box<str>,
    /// When it was decided.
    pub time: OffsetDateTime,
    /// Tells a re-send from another payment under the same UETR.
    pub content: Fingerprint,
    /// Why it was rejected; none: it was credited.
    pub rejection: Option<Box<Reason>>,
}

/// The books can no longer be written, so that nothing more can be promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// An entry and what must be awaited before it is told.
#[derive(Debug, Clone)]
pub struct Known {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Its number in the file, from 1.
    pub number: usize,
    /// Until when the payment counts as in process, if it was scripted to take its time.
    pub in_process_until: Option<Instant>,
}

/// What the books say to an instruction.
#[derive(Debug, Clone)]
pub enum Decision {
    /// First seen; now decided.
    New(Known),
    /// The same instruction as before, with what was decided then.
    Repeat(Known),
    /// The UETR stands for another payment. Nothing is recorded.
    OtherContent,
}

/// How far the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// This many entries survive a crash.
    Durable(usize),
    /// A write failed; what the file holds is not known.
    Broken,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Arc<Entry>>,
    rejected: usize,
    by_uetr: HashMap<Uuid, usize>,
    by_message_id: HashMap<Box<str>, Uuid>,
    in_process: HashMap<Uuid, Instant>,
    /// Lines that the writer has not taken yet.
    queue: Vec<u8>,
    closing: bool,
}

impl State {
    /// Adds an entry whose UETR is not in the books; false if it is.
    fn add(&mut self, entry: Entry) -> bool {
        let Slot::Vacant(slot) = self.by_uetr.entry(entry.references.uetr) else { return false };
        slot.insert(self.entries.len());
        // The first use of a message id owns it; a later one was rejected for that very reason.
        self.by_message_id.entry(entry.references.message_id.clone()).or_insert(entry.references.uetr);
        self.rejected += usize::from(entry.rejection.is_some());
        self.entries.push(Arc::new(entry));
        true
    }

    fn known(&self, uetr: Uuid) -> Option<Known> {
        let index = *self.by_uetr.get(&uetr)?;
        let entry = Arc::clone(self.entries.get(index)?);
        Some(Known { entry, number: index + 1, in_process_until: self.in_process.get(&uetr).copied() })
    }
}

/// What handlers and the writer thread share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    queued: Condvar,
    progress: watch::Sender<Progress>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The books of one bank. One process owns the file as long as this lives.
#[derive(Debug)]
pub struct Books {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Books {
    /// Opens or creates the file and rebuilds everything from it. A torn last line was never acknowledged and is cut
    /// off; any other line that cannot be read is an error.
    pub fn open(path: &Path) -> Result<Self, String> {
        let mut state = State::default();
        let file = file::open(path, |entry| state.add(entry))?;
        let (progress, _) = watch::channel(Progress::Durable(state.entries.len()));
        let shared = Arc::new(Shared { state: Mutex::new(state), queued: Condvar::new(), progress });
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("books".to_owned())
            .spawn(move || file::write_groups(file, &for_writer))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Decides what becomes of `payment`: `refusal` or a credit, unless the books know better. With `in_process_until`
    /// a payment seen for the first time counts as in process until then.
    pub fn decide(
        &self,
        payment: &Payment,
        refusal: Option<Reason>,
        in_process_until: Option<Instant>,
        now: OffsetDateTime,
    ) -> Result<Decision, Broken> {
        let uetr = payment.references.uetr;
        let mut state = self.shared.lock();
        if let Some(known) = state.known(uetr) {
            let same = known.entry.content == payment.fingerprint;
            return Ok(if same { Decision::Repeat(known) } else { Decision::OtherContent });
        }
        if *self.shared.progress.borrow() == Progress::Broken {
            return Err(Broken);
        }
        let refusal = if state.by_message_id.contains_key(&payment.references.message_id) {
            Some(Reason::new(Code::Duplicate, "the message id was used for another UETR"))
        } else {
            refusal
        };
        let entry = Entry {
            references: payment.references.clone(),
            amount: payment.amount,
            creditor_account: payment.creditor_account.as_str().into(),
            time: now,
            content: payment.fingerprint,
            rejection: refusal.map(Box::new),
        };
        file::append_line(&mut state.queue, &entry).map_err(|_| Broken)?;
        state.add(entry);
        if let Some(until) = in_process_until {
            state.in_process.insert(uetr, until);
        }
        let known = state.known(uetr);
        drop(state);
        self.shared.queued.notify_one();
        known.map(Decision::New).ok_or(Broken)
    }

    /// What the books know of a UETR. Not to be told before it is [`durable`](Self::durable).
    pub fn find(&self, uetr: Uuid) -> Option<Known> {
        let mut state = self.shared.lock();
        let known = state.known(uetr);
        if known
            .as_ref()
            .and_then(|known| known.in_process_until)
            .is_some_and(|until| until <= Instant::now())
        {
            state.in_process.remove(&uetr);
            return state.known(uetr);
        }
        known
    }

    /// Waits until the file has entry `number` and everything before it.
    pub async fn durable(&self, number: usize) -> Result<(), Broken> {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress
            .wait_for(|progress| match progress {
                Progress::Durable(count) => *count >= number,
                Progress::Broken => true,
            })
            .await;
        match reached.as_deref() {
            Ok(Progress::Durable(_)) => Ok(()),
            Ok(Progress::Broken) | Err(_) => Err(Broken),
        }
    }

    /// All entries that survive a crash, in the order of the file.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        let durable = match *self.shared.progress.borrow() {
            Progress::Durable(count) => count,
            Progress::Broken => 0,
        };
        self.shared.lock().entries.iter().take(durable).cloned().collect()
    }

    /// How many entries are credits and how many are rejections.
    pub fn totals(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.entries.len() - state.rejected, state.rejected)
    }
}

impl Drop for Books {
    /// Lets the writer finish what is queued, so that an orderly end loses nothing.
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.queued.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing to finish.
            drop(writer.join());
        }
    }
}
