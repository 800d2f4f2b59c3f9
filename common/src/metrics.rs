//! Metrics: how instruments are made, and the one registry that `/metrics` shows (`docs/telemetry.md` lists them all).
//!
//! Instruments cost nothing while nobody reads them: without `--admin-listen` and `--otlp-endpoint` there is no provider.

use std::sync::atomic::{AtomicBool, Ordering};

pub use opentelemetry::{
    KeyValue as Label,
    metrics::{Counter, Histogram},
};
use opentelemetry::{
    global,
    metrics::{AsyncInstrument, Meter},
};
use prometheus::TextEncoder;

/// The buckets of durations in seconds: from 1 ms, which a fast bank takes, to 10 s, which a call without a deadline may.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The buckets of sizes, in powers of two.
const SIZES: [f64; 13] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

static READ: AtomicBool = AtomicBool::new(false);

/// Said once at start by telemetry: somebody reads.
pub(crate) fn set_read() {
    READ.store(true, Ordering::Relaxed);
}

/// Whether anybody reads metrics of this process; what has to be looked for need not be otherwise.
pub fn are_read() -> bool {
    READ.load(Ordering::Relaxed)
}

fn meter() -> Meter {
    global::meter("rialto")
}

/// An instrument of durations in seconds.
pub fn duration(name: &'static str, what: &'static str) -> Histogram<f64> {
    meter()
        .f64_histogram(name)
        .with_description(what)
        .with_unit("s")
        .with_boundaries(SECONDS.to_vec())
        .build()
}

/// An instrument of sizes, e.g. of batches; `unit` is one of them in braces.
pub fn size(name: &'static str, unit: &'static str, what: &'static str) -> Histogram<u64> {
    meter().u64_histogram(name).with_description(what).with_unit(unit).with_boundaries(SIZES.to_vec()).build()
}

/// An instrument that counts; `unit` is one of what it counts in braces.
pub fn counter(name: &'static str, unit: &'static str, what: &'static str) -> Counter<u64> {
    meter().u64_counter(name).with_description(what).with_unit(unit).build()
}

/// A figure that `look` reports when somebody reads it, each time for all that there is then. Not a gauge: those of the SDK (0.33)
/// report what was once observed for ever, such as the queue of a bank that has left.
pub fn observed(
    name: &'static str,
    unit: &'static str,
    what: &'static str,
    look: impl Fn(&dyn AsyncInstrument<f64>) + Send + Sync + 'static,
) {
    let meter = meter();
    let builder = meter.f64_observable_up_down_counter(name).with_description(what).with_unit(unit);
    builder.with_callback(look).build();
}

/// A label.
pub fn label(name: &'static str, value: impl Into<opentelemetry::Value>) -> Label {
    Label::new(name, value)
}

/// A whole number as figures are reported: exact up to 2^53, and no figure here is larger.
#[expect(clippy::as_conversions, reason = "there is no other way to make a float of it; no money is near")]
pub fn figure(number: u64) -> f64 {
    number as f64
}

/// What `/metrics` answers (Prometheus text format 0.0.4).
///
/// # Errors
/// When a metric can't be written as text: a defect.
pub fn text() -> Result<String, prometheus::Error> {
    TextEncoder::new().encode_to_string(&prometheus::gather())
}
