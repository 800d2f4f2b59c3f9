//! What callers felt: what came of how many calls, and how long those took whose payment succeeded.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use proto::payments::{Payment, PaymentState};
use tonic::Status;
use tonic_types::StatusExt;

/// How long each of [`Measured::in_slots`] is.
pub const SLOT: Duration = Duration::from_millis(250);
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
    /// Payments by the state that the answer said, e.g. `SUCCEEDED`.
    pub states: BTreeMap<&'static str, u64>,
    /// Payments that had not succeeded, by the reason's code, or by their state when there is none.
    pub reasons: BTreeMap<String, u64>,
    /// Calls that came to no payment, by the error's reason, or by its gRPC code when there is none.
    pub errors: BTreeMap<String, u64>,
    /// Payments whose success was heard in each [`SLOT`] of the time.
    pub in_slots: Vec<u64>,
    /// How long the time was.
    pub lasted: Duration,
    latencies_us: Histogram<u64>,
}

impl Measured {
    /// Nothing yet, of a time that lasts so long.
    pub fn new(lasted: Duration) -> Self {
        // The bounds are constants that a histogram accepts.
        let latencies_us = Histogram::new_with_bounds(1, LONGEST_US, 3).unwrap_or_else(|_| unreachable!());
        Self {
            due: 0,
            good: 0,
            good_in_time: 0,
            states: BTreeMap::new(),
            reasons: BTreeMap::new(),
            errors: BTreeMap::new(),
            in_slots: Vec::new(),
            lasted,
            latencies_us,
        }
    }

    /// A call came to a payment, so long after it was due and `after` the time began.
    pub(super) fn paid(&mut self, payment: &Payment, latency: Duration, after: Duration) {
        self.due += 1;
        let state = payment.state();
        let name = state.as_str_name().trim_start_matches("PAYMENT_STATE_");
        *self.states.entry(name).or_default() += 1;
        if state == PaymentState::Succeeded {
            self.succeeded(latency, after);
        } else {
            let code = payment.reason.as_ref().map_or(name, |reason| &reason.code);
            *self.reasons.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// A call that is no payment succeeded, so long after it was due and `after` the time began.
    pub(super) fn answered(&mut self, latency: Duration, after: Duration) {
        self.due += 1;
        self.succeeded(latency, after);
    }

    fn succeeded(&mut self, latency: Duration, after: Duration) {
        self.good += 1;
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies_us.saturating_record(us);
        if after > self.lasted {
            return;
        }
        self.good_in_time += 1;
        let slot = usize::try_from(after.as_millis() / SLOT.as_millis()).unwrap_or_default();
        if self.in_slots.len() <= slot {
            self.in_slots.resize(slot + 1, 0);
        }
        self.in_slots[slot] += 1;
    }

    /// A call came to no payment.
    pub(super) fn failed(&mut self, status: &Status) {
        self.due += 1;
        let reason = status.get_details_error_info().map(|info| info.reason);
        let reason = reason.unwrap_or_else(|| format!("{:?} {}", status.code(), status.message()));
        *self.errors.entry(reason).or_default() += 1;
    }

    /// Counts in what was measured of others in the same time.
    pub fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.good += other.good;
        self.good_in_time += other.good_in_time;
        self.lasted = self.lasted.max(other.lasted);
        for (state, count) in &other.states {
            *self.states.entry(state).or_default() += count;
        }
        for (ours, theirs) in [(&mut self.reasons, &other.reasons), (&mut self.errors, &other.errors)] {
            for (reason, count) in theirs {
                *ours.entry(reason.clone()).or_default() += count;
            }
        }
        if self.in_slots.len() < other.in_slots.len() {
            self.in_slots.resize(other.in_slots.len(), 0);
        }
        self.in_slots.iter_mut().zip(&other.in_slots).for_each(|(ours, theirs)| *ours += theirs);
        // Both have the same bounds.
        let _ = self.latencies_us.add(&other.latencies_us);
    }

    /// The latency in milliseconds that so many of a hundred successes stayed below.
    pub fn latency_ms(&self, percent: f64) -> f64 {
        self.latencies_us.value_at_percentile(percent) as f64 / 1_000.0
    }

    /// The longest latency of a success, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        self.latencies_us.max() as f64 / 1_000.0
    }

    /// Payments that succeeded, a second.
    pub fn goodput_per_s(&self) -> f64 {
        self.good_in_time as f64 / self.lasted.as_secs_f64().max(0.001)
    }

    /// The same of each whole [`SLOT`] of the time.
    pub fn goodput_by_slot_per_s(&self) -> Vec<f64> {
        let slots = usize::try_from(self.lasted.as_millis() / SLOT.as_millis()).unwrap_or_default();
        let counts = self.in_slots.iter().copied().chain(std::iter::repeat(0));
        counts.take(slots).map(|count| count as f64 / SLOT.as_secs_f64()).collect()
    }

    /// Of the calls that were due, the share whose payment succeeded, in percent.
    pub fn success_percent(&self) -> f64 {
        self.good as f64 * 100.0 / (self.due.max(1)) as f64
    }

    /// Of the payments, the share whose end nobody knew when the caller was answered, in percent.
    pub fn unknown_percent(&self) -> f64 {
        let payments: u64 = self.states.values().sum();
        let unknown = self.states.get("UNKNOWN").copied().unwrap_or_default();
        unknown as f64 * 100.0 / (payments.max(1)) as f64
    }

    /// What came of the calls that were not paid, for people.
    pub fn others(&self) -> String {
        let all = self.reasons.iter().chain(&self.errors);
        let each: Vec<String> = all.map(|(reason, count)| format!("{count} {reason}")).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    }
}

/// What was measured of several in the same time, as one.
pub fn together<'a>(all: impl IntoIterator<Item = &'a Measured>) -> Measured {
    let mut sum = Measured::new(Duration::ZERO);
    all.into_iter().for_each(|one| sum.add(one));
    sum
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::payments::{Payment, PaymentState, Reason};
    use tonic::Status;

    use super::{Measured, together};

    const SECOND: Duration = Duration::from_secs(1);

    fn in_state(state: PaymentState, code: &str) -> Payment {
        let reason = (!code.is_empty()).then(|| Reason { code: code.to_owned(), ..Reason::default() });
        Payment { state: state.into(), reason, ..Payment::default() }
    }

    #[test]
    fn everything_is_counted_once() {
        let mut measured = Measured::new(2 * SECOND);
        let succeeded = in_state(PaymentState::Succeeded, "");
        for ms in 1..=100 {
            measured.paid(&succeeded, Duration::from_millis(ms), SECOND);
        }
        measured.paid(&succeeded, Duration::from_millis(900), 3 * SECOND);
        measured.paid(&in_state(PaymentState::Failed, "INSUFFICIENT_FUNDS"), SECOND, SECOND);
        measured.paid(&in_state(PaymentState::Unknown, ""), SECOND, SECOND);
        measured.failed(&Status::unavailable("gone"));
        assert_eq!((measured.due, measured.good, measured.good_in_time), (104, 101, 100));
        assert_eq!(measured.states.values().sum::<u64>() + measured.errors.values().sum::<u64>(), 104);
        assert_eq!(measured.others(), "1 INSUFFICIENT_FUNDS, 1 UNKNOWN, 1 Unavailable gone");
        assert!((measured.goodput_per_s() - 50.0).abs() < 1e-9);
        assert!((measured.latency_ms(50.0) - 51.0).abs() < 0.5, "{}", measured.latency_ms(50.0));
        assert!((measured.max_ms() - 900.0).abs() < 1.0, "{}", measured.max_ms());
        assert!((measured.unknown_percent() - 100.0 / 103.0).abs() < 1e-9);
        let slots = measured.goodput_by_slot_per_s();
        assert_eq!((slots.len(), slots[4]), (8, 400.0));
    }

    #[test]
    fn a_sum_is_as_if_one_had_measured_all() {
        let mut parts = [Measured::new(SECOND), Measured::new(SECOND)];
        let mut whole = Measured::new(SECOND);
        for ms in 1..1_000 {
            let payment = in_state(PaymentState::Succeeded, "");
            let (latency, after) = (Duration::from_millis(ms), Duration::from_millis(ms));
            parts[usize::from(ms % 3 == 0)].paid(&payment, latency, after);
            whole.paid(&payment, latency, after);
        }
        let sum = together(&parts);
        assert_eq!((sum.due, sum.good, sum.lasted), (whole.due, whole.good, whole.lasted));
        assert_eq!((&sum.states, &sum.in_slots), (&whole.states, &whole.in_slots));
        assert_eq!(sum.latency_ms(99.0), whole.latency_ms(99.0));
    }
}
