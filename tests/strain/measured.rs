//! What callers felt: how many payments came to what, and how long those took that succeeded.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// What came of the calls that were due within a time.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Calls that were due.
    pub due: u64,
    /// Payments that succeeded.
    pub good: u64,
    /// Payments whose success was heard within the time itself.
    pub good_in_time: u64,
    /// Calls that were refused, or whose payment did not succeed, by the reason.
    pub others: BTreeMap<String, u64>,
    /// How long the time was.
    pub lasted: Duration,
    latencies_us: Histogram<u64>,
}

impl Measured {
    /// Nothing yet, of a time that lasts so long.
    pub fn new(lasted: Duration) -> Self {
        // The bounds are constants that a histogram accepts.
        let latencies_us = Histogram::new_with_bounds(1, LONGEST_US, 3).unwrap_or_else(|_| unreachable!());
        Self { due: 0, good: 0, good_in_time: 0, others: BTreeMap::new(), lasted, latencies_us }
    }

    /// A payment succeeded, so long after it was due.
    pub fn succeeded(&mut self, latency: Duration, in_time: bool) {
        self.due += 1;
        self.good += 1;
        self.good_in_time += u64::from(in_time);
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies_us.saturating_record(us);
    }

    /// A call came to something else.
    pub fn came_to(&mut self, reason: &str) {
        self.due += 1;
        *self.others.entry(reason.to_owned()).or_default() += 1;
    }

    /// Counts in what was measured of others in the same time.
    pub fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.good += other.good;
        self.good_in_time += other.good_in_time;
        for (reason, count) in &other.others {
            *self.others.entry(reason.clone()).or_default() += count;
        }
        // Both have the same bounds.
        let _ = self.latencies_us.add(&other.latencies_us);
    }

    /// The latency in milliseconds that so many of a hundred successes stayed below.
    pub fn latency_ms(&self, percent: f64) -> f64 {
        self.latencies_us.value_at_percentile(percent) as f64 / 1_000.0
    }

    /// Payments that succeeded, a second.
    pub fn goodput_per_s(&self) -> f64 {
        self.good_in_time as f64 / self.lasted.as_secs_f64().max(0.001)
    }

    /// Of the payments that were due, the share that succeeded, in percent.
    pub fn success_percent(&self) -> f64 {
        self.good as f64 * 100.0 / (self.due.max(1)) as f64
    }

    /// What came of the calls that were not paid, for people.
    pub fn others(&self) -> String {
        let each: Vec<String> =
            self.others.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    }
}

/// The median of some figures; 0 of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
