//! The clock, injected so that a test can set it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::planted;

/// Tells the time of day in whole microseconds, as the database keeps it, so that what is answered now equals what is
/// read back later.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Mutex<SystemTime>>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands until it is advanced.
    pub fn manual(start: SystemTime) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            Source::System => whole_microseconds(SystemTime::now() + wrong_by()),
            Source::Manual(now) => whole_microseconds(*now.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Moves a manual clock on; the machine's clock stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            *now.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }
}

/// By how much the planted bug M17 has the clock of each process run ahead.
fn wrong_by() -> Duration {
    Duration::from_secs(if planted::is("M17") { u64::from(std::process::id() % 30) } else { 0 })
}

fn whole_microseconds(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}
