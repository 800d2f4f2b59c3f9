//! When it opens, when it closes, and what leaves it as it is.

use Contact::{Answered, Failed, Unclear};

use super::*;

struct Case {
    breaker: Breaker,
    start: Instant,
}

impl Case {
    fn new() -> Self {
        let start = Instant::now();
        Self { breaker: Breaker::new(start), start }
    }

    /// Sends a message and learns what became of it, all at one time after the start.
    fn at(&mut self, ms: u64, contact: Contact) -> bool {
        let epoch = self.breaker.enter().expect("closed");
        self.breaker.learn(epoch, contact, self.start + Duration::from_millis(ms))
    }

    fn opened() -> Self {
        let mut case = Self::new();
        for _ in 0..4 {
            assert!(!case.at(0, Failed));
        }
        assert!(case.at(0, Failed));
        case
    }

    fn probed(&mut self, contact: Contact) -> bool {
        self.breaker.learn_from_probe(contact)
    }

    fn pause_ms(&self) -> u128 {
        self.breaker.probe_pause(0).as_millis()
    }
}

#[test]
fn five_failures_in_a_row_open_it() {
    let mut case = Case::new();
    for round in 0..4 {
        for contact in [Failed, Failed, Unclear, Failed, Unclear, Failed, Answered] {
            assert!(!case.at(round * 20_000, contact), "an answer ends the row");
        }
    }
    for contact in [Failed, Failed, Unclear, Failed, Failed] {
        assert!(!case.at(80_000, contact));
    }
    assert!(case.breaker.is_closed());
    assert!(case.at(80_000, Failed), "what is unclear does not end the row");
    assert!(!case.breaker.is_closed());
    assert_eq!(case.breaker.enter(), None);
}

#[test]
fn more_than_half_of_twenty_open_it_and_half_does_not() {
    let mut case = Case::new();
    for number in 0..1_000 {
        let contact = if number % 2 == 0 { Answered } else { Failed };
        assert!(!case.at(number, contact), "half of {number} failed");
    }
    let mut case = Case::new();
    let pattern = [Failed, Failed, Answered];
    for number in 0..19 {
        assert!(!case.at(0, pattern[number % 3]), "fewer than twenty: {number}");
    }
    assert!(case.at(0, Failed), "the twentieth");
}

#[test]
fn what_is_longer_ago_than_ten_seconds_does_not_count() {
    for (last_ms, opens) in [(9_999, true), (10_000, false)] {
        let mut case = Case::new();
        for number in 0..19 {
            assert!(!case.at(0, if number % 3 == 2 { Answered } else { Failed }));
        }
        assert_eq!(case.at(last_ms, Failed), opens, "{last_ms} ms after the others");
    }
}

#[test]
fn two_good_probes_in_a_row_close_it_and_nothing_else() {
    let mut case = Case::opened();
    for contact in [Answered, Failed, Answered, Unclear, Failed] {
        assert!(!case.probed(contact));
    }
    let before = Epoch(0);
    for _ in 0..100 {
        assert!(!case.breaker.learn(before, Answered, case.start), "sent before it opened");
    }
    assert_eq!(case.breaker.enter(), None);
    assert!(!case.probed(Answered));
    assert!(case.probed(Answered));
    assert!(case.breaker.enter().is_some());
    assert!(!case.probed(Answered), "it is closed already");
}

#[test]
fn what_was_sent_before_it_opened_does_not_open_it_again() {
    let mut case = Case::new();
    let before = case.breaker.enter().expect("closed");
    for _ in 0..5 {
        case.at(0, Failed);
    }
    assert!(!case.probed(Answered));
    assert!(case.probed(Answered));
    for _ in 0..100 {
        assert!(!case.breaker.learn(before, Failed, case.start), "a straggler");
    }
    for _ in 0..4 {
        assert!(!case.at(0, Failed), "it begins anew");
    }
    assert!(case.at(0, Failed));
}

#[test]
fn probes_back_off_to_five_seconds_and_hurry_after_a_good_one() {
    let mut case = Case::opened();
    let mut pauses = Vec::new();
    for contact in [Failed, Failed, Unclear, Failed, Answered, Failed] {
        pauses.push(case.pause_ms());
        case.probed(contact);
    }
    pauses.push(case.pause_ms());
    assert_eq!(pauses, [1_000, 2_000, 4_000, 5_000, 5_000, 1_000, 2_000]);
    assert_eq!(case.breaker.probe_pause(10).as_millis(), 1_800);
    assert_eq!(case.breaker.probe_pause(100).as_millis(), 1_600, "no more than a fifth");
    let reopened = Case::opened();
    assert_eq!(reopened.pause_ms(), 1_000);
}
