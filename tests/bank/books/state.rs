//! What the books hold in memory: rebuilt by applying the file's records one by one, and changed in no other way.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::Hash;
use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::record::{Entry, Record, ReturnEntry};
use crate::messages::stamp::Stamp;

/// Something in the books and the number of the line that it stands in, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered<T> {
    pub(super) line: usize,
    pub(super) item: Arc<T>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// How many lines the file has, those included that are only queued.
    pub(super) lines: usize,
    /// Payments in the order of the file.
    pub(super) entries: Vec<Numbered<Entry>>,
    /// How many of them were refused.
    pub(super) rejected: usize,
    by_uetr: HashMap<Uuid, usize>,
    by_message_id: HashMap<Box<str>, Uuid>,
    /// Return requests, each with its latest line.
    pub(super) returns: HashMap<Box<str>, Numbered<ReturnEntry>>,
    /// What was returned of each payment, or may be as long as it is undecided, in minor units.
    returned: HashMap<Uuid, u64>,
    /// Until when a payment counts as in process, if it was scripted to take its time.
    pub(super) payments_in_process: InProcess<Uuid>,
    /// The same of return requests.
    pub(super) returns_in_process: InProcess<Box<str>>,
    /// Lines that the writer has not taken yet.
    pub(super) queue: Vec<u8>,
}

impl State {
    /// Takes in what `record` says, as the file's next line.
    pub(super) fn apply(&mut self, record: Record) -> Result<(), &'static str> {
        self.lines += 1;
        match record {
            Record::Executed(entry) | Record::Refused(entry) => self.add(entry),
            Record::ReturnUndecided(entry) | Record::Returned(entry) | Record::ReturnRefused(entry) => {
                self.decide_return(entry)
            }
            Record::Restored(restored) => {
                self.forget(restored.forgotten_since);
                Ok(())
            }
            Record::Received(_) | Record::Answered(_) | Record::NoticeSent(_) | Record::NoticeAnswered(_) => {
                Ok(())
            }
        }
    }

    fn add(&mut self, entry: Entry) -> Result<(), &'static str> {
        match self.by_uetr.entry(entry.references.uetr) {
            Slot::Vacant(slot) => drop(slot.insert(self.entries.len())),
            Slot::Occupied(_) if entry.again => {}
            Slot::Occupied(_) => return Err("the UETR occurs twice"),
        }
        // The first use of a message id owns it; a later one was rejected for that very reason.
        self.by_message_id.entry(entry.references.message_id.clone()).or_insert(entry.references.uetr);
        self.rejected += usize::from(entry.rejection.is_some());
        self.entries.push(Numbered { line: self.lines, item: Arc::new(entry) });
        Ok(())
    }

    fn decide_return(&mut self, entry: ReturnEntry) -> Result<(), &'static str> {
        let sum = self.returned.entry(entry.original.uetr).or_default();
        let reserves = |entry: &ReturnEntry| {
            if entry.due.is_some() || entry.rejection.is_none() { entry.amount.minor_units } else { 0 }
        };
        let before = self.returns.get(&entry.request_id);
        if before.is_some_and(|before| before.item.due.is_none() || before.item.content != entry.content) {
            return Err("the return request was decided before");
        }
        *sum = (*sum + reserves(&entry)).saturating_sub(before.map_or(0, |before| reserves(&before.item)));
        let line = self.lines;
        self.returns.insert(entry.request_id.clone(), Numbered { line, item: Arc::new(entry) });
        Ok(())
    }

    fn forget(&mut self, since: Stamp) {
        let entries = std::mem::take(&mut self.entries);
        let returns = std::mem::take(&mut self.returns);
        self.by_uetr.clear();
        self.by_message_id.clear();
        self.returned.clear();
        self.rejected = 0;
        for kept in entries.into_iter().filter(|entry| entry.item.time < since) {
            let references = &kept.item.references;
            self.by_uetr.entry(references.uetr).or_insert(self.entries.len());
            self.by_message_id.entry(references.message_id.clone()).or_insert(references.uetr);
            self.rejected += usize::from(kept.item.rejection.is_some());
            self.entries.push(kept);
        }
        for (id, kept) in returns.into_iter().filter(|(_, entry)| entry.item.time < since) {
            if kept.item.rejection.is_none() || kept.item.due.is_some() {
                *self.returned.entry(kept.item.original.uetr).or_default() += kept.item.amount.minor_units;
            }
            self.returns.insert(id, kept);
        }
    }

    /// The payment of this UETR.
    pub(super) fn find(&self, uetr: Uuid) -> Option<&Numbered<Entry>> {
        self.entries.get(*self.by_uetr.get(&uetr)?)
    }

    /// Whether a message id was used before.
    pub(super) fn is_used(&self, message_id: &str) -> bool {
        self.by_message_id.contains_key(message_id)
    }

    /// What was returned, or may be, of the payment of this UETR, in minor units.
    pub(super) fn returned(&self, uetr: Uuid) -> u64 {
        self.returned.get(&uetr).copied().unwrap_or_default()
    }
}

/// What takes its time, and until when.
#[derive(Debug)]
pub(super) struct InProcess<K>(HashMap<K, Instant>);

impl<K> Default for InProcess<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> InProcess<K> {
    /// Notes that `key` is in process until then.
    pub(super) fn set(&mut self, key: K, until: Instant) {
        self.0.insert(key, until);
    }

    /// Until when `key` is in process, if it still is.
    pub(super) fn until(&mut self, key: &K) -> Option<Instant> {
        let until = *self.0.get(key)?;
        if until > Instant::now() {
            return Some(until);
        }
        self.0.remove(key);
        None
    }
}
