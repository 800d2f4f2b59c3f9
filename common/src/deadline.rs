//! A deadline is a budget: each hop shaves its margin off, and a call with too little left is refused before anything is
//! written.

use std::{ops::RangeInclusive, time::Duration};

use tokio::time::Instant;

/// What a call without a deadline gets.
pub const DEFAULT_BUDGET: Duration = Duration::from_secs(10);
/// The longest that anyone may wait.
pub const MAX_BUDGET: Duration = Duration::from_secs(60);
/// With less than this left, a call is refused before anything is written.
pub const MIN_BUDGET: Duration = Duration::from_millis(100);
/// What each hop keeps for itself, so that its answer arrives before its caller gives up: a twentieth of the budget, since
/// many calls that run out together take their time, within these bounds.
const HOP_MARGIN: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(200);

/// When the answer must be there.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    margin: Duration,
}

impl Deadline {
    /// The deadline of a call that has `budget` left; zero means [`DEFAULT_BUDGET`].
    pub fn after(budget: Duration) -> Self {
        Self::of_budget(if budget.is_zero() { DEFAULT_BUDGET } else { budget.min(MAX_BUDGET) })
    }

    fn of_budget(budget: Duration) -> Self {
        let margin = (budget / 20).clamp(*HOP_MARGIN.start(), *HOP_MARGIN.end());
        Self { at: Instant::now() + budget, margin }
    }

    /// The deadline that a gRPC request's `grpc-timeout` sets (gRPC over HTTP/2: at most eight digits and a unit);
    /// [`DEFAULT_BUDGET`] when there is none or it can't be read.
    pub fn of_request<T>(request: &tonic::Request<T>) -> Self {
        let timeout =
            request.metadata().get("grpc-timeout").and_then(|value| parse_timeout(value.to_str().ok()?));
        match timeout {
            Some(timeout) => Self::of_budget(timeout.min(MAX_BUDGET)),
            None => Self::of_budget(DEFAULT_BUDGET),
        }
    }

    /// What is left, less this hop's margin.
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now()).saturating_sub(self.margin)
    }

    /// Whether so little is left that nothing should be begun.
    pub fn is_too_short(self) -> bool {
        self.at.saturating_duration_since(Instant::now()) < MIN_BUDGET
    }

    /// The moment by which to answer: the deadline less this hop's margin.
    pub fn answer_by(self) -> Instant {
        Instant::now() + self.remaining()
    }
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(count.saturating_mul(60))),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_as_grpc_writes_them() {
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse_timeout("0n"), Some(Duration::ZERO));
        for bad in ["", "m", "-1S", "abc", "1", "123456789S", "1µ", "1.5S"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }
}
