//! When calls are due that come at a rate, whatever becomes of them.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::UnboundedSender;

/// The longest sleep between two looks whether the time is over.
const LOOK: Duration = Duration::from_millis(50);
/// The shortest sleep: calls that are due within it are told together.
const NAP: Duration = Duration::from_micros(250);

/// Tells the callers in turn what is due, until `is_over` says of a moment that it is too late. Sleeps in a thread, since the
/// runtime's timers are a millisecond late and the latency of a call counts from when it was due.
pub(super) fn tell(
    begins: Instant,
    per_s: f64,
    callers: &[UnboundedSender<Instant>],
    is_over: impl Fn(Instant) -> bool,
) {
    // A rate of nothing would be due after the end of time.
    let due_at = |number: u32| begins + Duration::from_secs_f64(f64::from(number) / per_s.max(0.001));
    for (number, caller) in (0..).zip(callers.iter().cycle()) {
        let due = due_at(number);
        while !is_over(due) && due > Instant::now() {
            thread::sleep(due.saturating_duration_since(Instant::now()).clamp(NAP, LOOK));
        }
        if is_over(due) || caller.send(due).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::sync::mpsc::unbounded_channel;

    use super::tell;

    #[test]
    fn as_many_are_due_as_the_rate_says_and_at_even_distances() {
        let (callers, mut heard): (Vec<_>, Vec<_>) = (0..3).map(|_| unbounded_channel()).unzip();
        let begins = Instant::now();
        let end = begins + Duration::from_millis(300);
        tell(begins, 1_000.0, &callers, |due| due >= end);
        assert!(begins.elapsed() >= Duration::from_millis(298), "{:?}", begins.elapsed());
        let dues = heard.iter_mut().map(|caller| {
            let mut dues = Vec::new();
            while let Ok(due) = caller.try_recv() {
                dues.push(due);
            }
            dues
        });
        for dues in dues {
            assert_eq!(dues.len(), 100);
            for pair in dues.windows(2) {
                assert!((pair[1] - pair[0]).abs_diff(Duration::from_millis(3)) < Duration::from_micros(1));
            }
        }
    }
}
