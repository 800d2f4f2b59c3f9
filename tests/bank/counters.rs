//! What a bank counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::time::Instant;

use crate::books::{Books, Totals};
use crate::messages::Inbound;
use crate::notices::{NoticeCounts, Notifier};
use crate::rates::Rate;

/// The counters of one bank, from the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    rates: Mutex<Rates>,
    /// Bodies that could not be read.
    pub unreadable: AtomicU64,
    /// Instructions whose id was in the books already.
    pub repeated: AtomicU64,
    /// Messages left without an answer on purpose.
    pub unanswered: AtomicU64,
    /// Messages written.
    pub reports: AtomicU64,
}

#[derive(Debug, Default)]
struct Rates {
    payments: Rate,
    enquiries: Rate,
    return_requests: Rate,
}

/// The counters as `GET /{bank}/counters` tells them, with the totals of the books beside them.
#[derive(Debug, Serialize)]
pub struct Counts {
    /// Readable pacs.008 messages, repeats included.
    pacs008_received: u64,
    /// Readable pacs.028 messages.
    pacs028_received: u64,
    /// Readable camt.056 messages, repeats included.
    camt056_received: u64,
    /// The busiest second of each kind.
    most_per_second: MostPerSecond,
    /// Bodies that could not be read.
    unreadable: u64,
    /// pacs.008 and camt.056 messages whose id was in the books already.
    repeated: u64,
    /// Messages left without an answer on purpose: silent, hung up or down.
    unanswered: u64,
    /// Messages written.
    reports: u64,
    /// How what the bank said unasked was answered.
    notices: NoticeCounts,
    #[serde(flatten)]
    books: Totals,
}

/// The most messages of each kind within any one second.
#[derive(Debug, Serialize)]
struct MostPerSecond {
    pacs008: usize,
    pacs028: usize,
    camt056: usize,
}

impl Counters {
    /// Counts a readable message.
    pub fn received(&self, message: &Inbound) {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = match message {
            Inbound::Payment(_) => &mut rates.payments,
            Inbound::Enquiry(_) => &mut rates.enquiries,
            Inbound::ReturnRequest(_) => &mut rates.return_requests,
        };
        rate.count(Instant::now());
    }

    /// The counters now.
    pub fn counts(&self, books: &Books, notifier: &Notifier) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        Counts {
            pacs008_received: rates.payments.total,
            pacs028_received: rates.enquiries.total,
            camt056_received: rates.return_requests.total,
            most_per_second: MostPerSecond {
                pacs008: rates.payments.most_per_second,
                pacs028: rates.enquiries.most_per_second,
                camt056: rates.return_requests.most_per_second,
            },
            unreadable: get(&self.unreadable),
            repeated: get(&self.repeated),
            unanswered: get(&self.unanswered),
            reports: get(&self.reports),
            notices: notifier.counts(),
            books: books.totals(),
        }
    }
}

/// Counts one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
