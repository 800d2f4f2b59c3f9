//! What is measured of banks and of what is under way (`docs/telemetry.md`).

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use common::metrics::{self, Counter, Histogram, figure, label};
use proto::channel::outcome::Verdict;
use tokio::sync::watch;

use crate::{bulkhead::Bulkhead, directory::Directory};

const BANK: &str = "rialto.bank.id";
const MESSAGE: &str = "rialto.bank.message";
/// Payments and return requests, or enquiries.
const PLACES: &str = "rialto.bank.places";

static INSTRUCTIONS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what =
        "Instructions, by what is known of the result. Without a reason where the verdict says it all.";
    metrics::counter("rialto.bank.instructions", "{instruction}", what)
});
static REQUESTS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    let what = "Messages to banks: from the way there to the end of the answer, or until none was waited for any more.";
    metrics::duration("rialto.bank.request.duration", what)
});
static NOTICES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    metrics::counter("rialto.bank.notices", "{notice}", "What banks said unasked, by what became of it.")
});

/// What a verdict is called.
pub fn name_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted(_) => "accepted",
        Verdict::Rejected(_) => "rejected",
        Verdict::NotFound(_) => "not_found",
        Verdict::NotSent(_) => "not_sent",
        Verdict::Unknown(_) => "unknown",
    }
}

/// An instruction to a bank came to this.
pub fn carried(bank: &Arc<str>, message: &'static str, verdict: &Verdict) {
    let reason = match verdict {
        Verdict::Accepted(_) | Verdict::Rejected(_) | Verdict::NotFound(_) => "",
        Verdict::NotSent(not_sent) => not_sent.reason.as_str(),
        Verdict::Unknown(unknown) => unknown.reason.as_str(),
    };
    INSTRUCTIONS.add(
        1,
        &[
            label(BANK, Arc::clone(bank)),
            label(MESSAGE, message),
            label("rialto.bank.verdict", name_of(verdict)),
            label("rialto.reason", reason.to_owned()),
        ],
    );
}

/// A message to a bank took so long.
pub fn asked(bank: &Arc<str>, message: &'static str, took: Duration) {
    REQUESTS.record(took.as_secs_f64(), &[label(BANK, Arc::clone(bank)), label(MESSAGE, message)]);
}

/// This became of what a bank, if it is one of the directory, said unasked: a `notice`, or an `instruction` of its own.
pub fn noticed(bank: Option<&Arc<str>>, message: &'static str, result: &'static str) {
    let bank = bank.map_or_else(|| Arc::from("_OTHER"), Arc::clone);
    let result = label("rialto.bank.notice.result", result);
    NOTICES.add(1, &[label(BANK, bank), label(MESSAGE, message), result]);
}

/// Has whoever reads see how the banks of the directory stand then, and what is under way to all of them.
pub fn observe(directory: &watch::Receiver<Arc<Directory>>, all: Bulkhead) {
    let banks = directory.clone();
    let what = "Whether the bank can be reached: its breaker is closed.";
    metrics::observed("rialto.bank.online", "{bank}", what, move |seen| {
        for bank in banks.borrow().banks() {
            let labels = [label(BANK, Arc::clone(bank.label()))];
            seen.observe(figure(u64::from(bank.is_online())), &labels);
        }
    });
    let banks = directory.clone();
    let what = "Messages under way to the bank.";
    metrics::observed("rialto.bank.in_flight.count", "{message}", what, move |seen| {
        for bank in banks.borrow().banks() {
            for (places, in_use, _) in bank.bulkhead().in_use() {
                let labels = [label(BANK, Arc::clone(bank.label())), label(PLACES, places)];
                seen.observe(figure(in_use), &labels);
            }
        }
    });
    let banks = directory.clone();
    let what = "Messages that may be under way to the bank.";
    metrics::observed("rialto.bank.in_flight.max", "{message}", what, move |seen| {
        for bank in banks.borrow().banks() {
            for (places, _, max) in bank.bulkhead().in_use() {
                let labels = [label(BANK, Arc::clone(bank.label())), label(PLACES, places)];
                seen.observe(figure(max), &labels);
            }
        }
    });
    let what = "Instructions under way to all banks together.";
    metrics::observed("rialto.channel.in_flight.count", "{instruction}", what, move |seen| {
        for (places, in_use, _) in all.in_use() {
            seen.observe(figure(in_use), &[label(PLACES, places)]);
        }
    });
}
