//! The fence behind which a bank's "not found" binds.

use std::time::{Duration, SystemTime};

use common::planted;

use crate::domain::payment::Attempt;

/// What to do about a payment that its bank does not know.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterNotFound {
    SendAgain,
    WaitForFence(Duration),
    NeverReceived,
}

/// "Not found" binds only behind the fence: once the bank refuses the payment whatever its clock says. Before, it may
/// still be on its way, and is sent again under the same ids while the bank takes it.
pub(super) fn after_not_found(attempt: &Attempt, now: SystemTime, max_clock_skew: Duration) -> AfterNotFound {
    if planted::is("M5") {
        return AfterNotFound::NeverReceived;
    }
    let fence = attempt.valid_until + max_clock_skew;
    if now < attempt.valid_until {
        AfterNotFound::SendAgain
    } else if let Ok(left) = fence.duration_since(now) {
        AfterNotFound::WaitForFence(left + Duration::from_millis(1))
    } else {
        AfterNotFound::NeverReceived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_found_binds_only_behind_the_fence() {
        const SKEW: Duration = Duration::from_secs(10);
        let start = SystemTime::UNIX_EPOCH;
        let after = |seconds| start + Duration::from_secs(seconds);
        let attempt = Attempt { number: 1, accept_time: start, valid_until: after(20) };
        let wait = |seconds: u64| AfterNotFound::WaitForFence(Duration::from_millis(seconds * 1_000 + 1));
        for (seconds, then) in [
            (0, AfterNotFound::SendAgain),
            (19, AfterNotFound::SendAgain),
            (20, wait(10)),
            (30, wait(0)),
            (31, AfterNotFound::NeverReceived),
        ] {
            assert_eq!(after_not_found(&attempt, after(seconds), SKEW), then, "after {seconds} s");
        }
    }
}
