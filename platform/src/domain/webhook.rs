//! When what could not be delivered is tried again (Standard Webhooks, "Deliverability and reliability").

use std::time::Duration;

/// Where a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Another step of the payment comes first.
    Waiting,
    /// To be posted, or being posted.
    Due,
    /// The receiver has it.
    Delivered,
    /// The last attempt failed.
    GivenUp,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Due, Self::Delivered, Self::GivenUp];

    /// As the database writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Due => "DUE",
            Self::Delivered => "DELIVERED",
            Self::GivenUp => "GIVEN_UP",
        }
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What the receiver answered (HTTP), if it did.
    pub status: Option<u16>,
    /// What is on record of it, if it was not delivered: why not.
    pub outcome: Outcome,
    /// How long the receiver wants to be left alone.
    pub retry_after: Duration,
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What an attempt came to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Outcome {
            $($(#[$doc])* $name,)*
        }

        impl Outcome {
            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Reads it.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

outcomes! {
    /// The receiver answered 2xx.
    Delivered = "DELIVERED",
    /// It answered something else.
    Status = "STATUS",
    /// It did not answer in time.
    TimedOut = "TIMED_OUT",
    /// No connection could be made.
    NotConnected = "NOT_CONNECTED",
    /// It has no certificate for its name that is trusted.
    NotTrusted = "NOT_TRUSTED",
    /// Its name has no address.
    NoAddress = "NO_ADDRESS",
    /// Its name has no address that may be reached.
    AddressRefused = "ADDRESS_REFUSED",
    /// What it answered is no HTTP, or too much of it.
    BadAnswer = "BAD_ANSWER",
    /// What was to be posted could not be read here.
    Unreadable = "UNREADABLE",
}

/// What follows from an attempt for what was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is delivered.
    Done,
    /// It is tried again after a while.
    Again(Duration),
    /// It is tried no more.
    GiveUp,
}

/// How long after each failed attempt the next one is made: some three days in all.
pub const SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(20 * 3_600),
    Duration::from_secs(24 * 3_600),
];
/// The longest that a receiver is left alone because it asked for it.
pub const MAX_REST: Duration = Duration::from_secs(24 * 3_600);
/// The longest that all that waits for a receiver rests because one attempt failed.
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);
/// How much later than the schedule says an attempt may be, in per mille of the wait, so that not all come back at once.
pub const MAX_JITTER_PER_MILLE: u32 = 200;

/// What follows from an attempt, after `before` that failed. `jitter_per_mille` is from 0 to [`MAX_JITTER_PER_MILLE`].
pub fn next(before: usize, attempt: &Attempt, jitter_per_mille: u32) -> Next {
    if attempt.outcome == Outcome::Delivered {
        return Next::Done;
    }
    match SCHEDULE.get(before) {
        None => Next::GiveUp,
        Some(wait) => {
            let jitter = wait.saturating_mul(jitter_per_mille.min(MAX_JITTER_PER_MILLE)) / 1_000;
            Next::Again(wait.saturating_add(jitter).max(attempt.retry_after.min(MAX_REST)))
        }
    }
}

/// How long the endpoint rests after a failed attempt, when as many in a row failed before.
pub fn pause(failures: usize, attempt: &Attempt) -> Duration {
    let pause = SCHEDULE.get(failures).copied().unwrap_or(MAX_PAUSE).min(MAX_PAUSE);
    pause.max(attempt.retry_after.min(MAX_REST))
}

/// Whether the receiver wants nothing any more.
pub fn is_gone(attempt: &Attempt) -> bool {
    attempt.status == Some(410)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(retry_after_s: u64) -> Attempt {
        let retry_after = Duration::from_secs(retry_after_s);
        Attempt { status: Some(503), outcome: Outcome::Status, retry_after }
    }

    #[test]
    fn the_schedule_is_that_of_the_specification_and_outlasts_three_days() {
        let waits: Vec<_> = (0..10).map(|before| next(before, &failed(0), 0)).collect();
        let seconds = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        let expected: Vec<_> = seconds.map(|wait| Next::Again(Duration::from_secs(wait))).into();
        assert_eq!((&waits[..9], waits[9]), (&expected[..], Next::GiveUp));
        assert!(SCHEDULE.iter().sum::<Duration>() > Duration::from_secs(3 * 86_400));
    }

    #[test]
    fn jitter_only_delays_and_a_rest_is_kept_within_bounds() {
        assert_eq!(next(0, &failed(0), 200), Next::Again(Duration::from_secs(6)));
        assert_eq!(next(0, &failed(0), u32::MAX), Next::Again(Duration::from_secs(6)));
        assert_eq!(next(0, &failed(60), 0), Next::Again(Duration::from_secs(60)));
        assert_eq!(next(2, &failed(60), 0), Next::Again(Duration::from_secs(1_800)));
        assert_eq!(next(0, &failed(u64::MAX), 200), Next::Again(MAX_REST));
        let pauses = [0, 1, 2, 90].map(|failures| pause(failures, &failed(0)).as_secs());
        assert_eq!(pauses, [5, 300, 300, 300]);
        assert_eq!(pause(0, &failed(1_000)), Duration::from_secs(1_000));
        assert_eq!(pause(0, &failed(u64::MAX)), MAX_REST);
    }

    #[test]
    fn what_is_delivered_is_over_and_only_410_ends_an_endpoint() {
        let delivered = Attempt { status: Some(204), outcome: Outcome::Delivered, ..failed(0) };
        assert_eq!(next(9, &delivered, 0), Next::Done);
        assert!(!is_gone(&delivered) && !is_gone(&failed(0)));
        assert!(is_gone(&Attempt { status: Some(410), ..failed(0) }));
    }
}
