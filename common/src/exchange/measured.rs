//! What is measured of a hop by the asking half.

use std::sync::LazyLock;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram},
};

use crate::metrics::{self, figure, label};

const TO: &str = "rialto.hop.to";

static ANSWERED: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    let what = "Questions to the next service that were answered: from when one was handed to the stream.";
    metrics::duration("rialto.hop.duration", what)
});
static LOST: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what = "Questions whose stream broke before their answer came.";
    metrics::counter("rialto.hop.lost", "{question}", what)
});
static NOT_ASKED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what = "Questions that were not asked, since there was no stream, or too many waited.";
    metrics::counter("rialto.hop.not_asked", "{question}", what)
});

/// The labels of a hop.
#[derive(Clone, Debug)]
pub(super) struct Measures {
    to: [KeyValue; 1],
}

impl Measures {
    /// Measures the hop to a service; how many of its streams are `open` is looked up whenever somebody reads.
    pub(super) fn new(to: &str, open: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let measures = Self { to: [label(TO, to.to_owned())] };
        let labels = measures.to.clone();
        let what = "Streams to the next service that are open: one to each of its servers.";
        metrics::observed("rialto.hop.open", "{stream}", what, move |seen| {
            seen.observe(figure(open()), &labels);
        });
        measures
    }

    /// A question was answered after so many seconds.
    pub(super) fn answered(&self, seconds: f64) {
        ANSWERED.record(seconds, &self.to);
    }

    /// So many questions are lost with their stream.
    pub(super) fn lost(&self, questions: usize) {
        LOST.add(u64::try_from(questions).unwrap_or(u64::MAX), &self.to);
    }

    /// A question was not asked.
    pub(super) fn not_asked(&self) {
        NOT_ASKED.add(1, &self.to);
    }
}
