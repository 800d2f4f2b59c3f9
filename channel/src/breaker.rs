//! Whether a bank can be reached, as its messages show. Pure: who uses it says what happened, and when.
//!
//! Closed, it lets everything through and learns from each outcome; open, it lets nothing through, and only probes close
//! it again. What a message teaches that was sent before it opened is old news, then and ever after.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::rails::Contact;

/// So many failures in a row open it.
const FAILURES_IN_A_ROW: u32 = 5;
/// More than half of the outcomes of so many last seconds open it,
const WINDOW_S: u64 = 10;
/// if there were at least so many.
const WINDOW_OUTCOMES: u32 = 20;
/// So many good probes in a row close it.
const GOOD_PROBES: u32 = 2;
const FIRST_PROBE_PAUSE: Duration = Duration::from_secs(1);
const LAST_PROBE_PAUSE: Duration = Duration::from_secs(5);
/// The most that is taken off a pause, so that the banks of a whole outage are not probed in step.
pub const MAX_JITTER_PERCENT: u32 = 20;

/// The breaker of one bank.
#[derive(Debug)]
pub struct Breaker {
    start: Instant,
    state: State,
    /// How often it has opened.
    epoch: Epoch,
}

#[derive(Debug)]
enum State {
    Closed { failures_in_a_row: u32, window: VecDeque<Second> },
    Open { good_in_a_row: u32, next_pause: Duration },
}

/// The outcomes of one second.
#[derive(Debug)]
struct Second {
    number: u64,
    outcomes: u32,
    failures: u32,
}

/// Which of its closed times a message was sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

impl Breaker {
    /// A closed breaker.
    pub fn new(now: Instant) -> Self {
        Self { start: now, state: State::closed(), epoch: Epoch(0) }
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Lets a message through, if it is closed; what becomes of the message is to be told with the epoch.
    pub fn enter(&self) -> Option<Epoch> {
        self.is_closed().then_some(self.epoch)
    }

    /// Learns what became of a message. True if that opens it.
    pub fn learn(&mut self, sent_in: Epoch, contact: Contact, now: Instant) -> bool {
        let number = now.saturating_duration_since(self.start).as_secs();
        let State::Closed { failures_in_a_row, window } = &mut self.state else { return false };
        let failures = match contact {
            _ if sent_in != self.epoch => return false,
            Contact::Unclear => return false,
            Contact::Answered => 0,
            Contact::Failed => 1,
        };
        *failures_in_a_row = if failures == 0 { 0 } else { *failures_in_a_row + 1 };
        count(window, number, failures);
        if *failures_in_a_row < FAILURES_IN_A_ROW && !is_mostly_failures(window) {
            return false;
        }
        self.state = State::Open { good_in_a_row: 0, next_pause: FIRST_PROBE_PAUSE };
        self.epoch.0 += 1;
        true
    }

    /// How long to wait before the next probe, `jitter_percent` of it taken off.
    pub fn probe_pause(&self, jitter_percent: u32) -> Duration {
        match self.state {
            State::Closed { .. } => Duration::ZERO,
            State::Open { next_pause, .. } => {
                next_pause * (100 - jitter_percent.min(MAX_JITTER_PERCENT)) / 100
            }
        }
    }

    /// Learns what became of a probe. True if that closes it.
    pub fn learn_from_probe(&mut self, contact: Contact) -> bool {
        let State::Open { good_in_a_row, next_pause } = &mut self.state else { return false };
        if contact != Contact::Answered {
            *good_in_a_row = 0;
            *next_pause = (*next_pause * 2).min(LAST_PROBE_PAUSE);
            return false;
        }
        *good_in_a_row += 1;
        *next_pause = FIRST_PROBE_PAUSE;
        if *good_in_a_row < GOOD_PROBES {
            return false;
        }
        self.state = State::closed();
        true
    }
}

impl State {
    fn closed() -> Self {
        Self::Closed { failures_in_a_row: 0, window: VecDeque::new() }
    }
}

/// Counts an outcome in its second, and forgets the seconds that have left the window.
fn count(window: &mut VecDeque<Second>, number: u64, failures: u32) {
    while window.front().is_some_and(|oldest| oldest.number + WINDOW_S <= number) {
        window.pop_front();
    }
    match window.back_mut() {
        Some(latest) if latest.number >= number => {
            latest.outcomes += 1;
            latest.failures += failures;
        }
        _ => window.push_back(Second { number, outcomes: 1, failures }),
    }
}

fn is_mostly_failures(window: &VecDeque<Second>) -> bool {
    let outcomes: u32 = window.iter().map(|second| second.outcomes).sum();
    let failures: u32 = window.iter().map(|second| second.failures).sum();
    outcomes >= WINDOW_OUTCOMES && failures > outcomes / 2
}

#[cfg(test)]
mod tests;
