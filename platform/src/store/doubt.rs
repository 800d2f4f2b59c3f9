//! Doubt whether the standbys have what the primary shows.
//!
//! A commit whose wait for the standbys somebody cancels is answered like any other, with a warning before it; one whose process somebody ends
//! breaks its connection. Both are seen by everybody from then on, and may be on no standby. So a warning makes a commit uncertain, and after
//! a warning or a broken line nothing is read before a commit of nothing has got through, which takes all that was seen along. Where commits
//! wait for nobody there is nothing to doubt. sqlx writes
//! warnings to its log and shows them nowhere else; [`common::telemetry`] has them heard here.

use std::sync::atomic::{AtomicU64, Ordering};

static RAISED: AtomicU64 = AtomicU64::new(0);
static SETTLED: AtomicU64 = AtomicU64::new(0);

/// Where sqlx logs what the database says unasked.
pub const TARGET: &str = "sqlx::postgres::notice";

/// The database warned, on whichever connection, or a commit's line broke.
pub fn raise() {
    RAISED.fetch_add(1, Ordering::Relaxed);
}

/// The doubts up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Doubts(u64);

impl Doubts {
    /// Those up to now.
    pub fn so_far() -> Self {
        Self(RAISED.load(Ordering::Relaxed))
    }

    /// Whether none was raised since. One of another connection counts too: nobody is told more than is certain.
    pub fn are_all(self) -> bool {
        RAISED.load(Ordering::Relaxed) == self.0
    }

    /// A commit that was begun after them has got through.
    pub fn settle(self) {
        SETTLED.fetch_max(self.0, Ordering::Relaxed);
    }

    /// Whether there is any that is not settled.
    pub fn are_open() -> bool {
        RAISED.load(Ordering::Relaxed) > SETTLED.load(Ordering::Relaxed)
    }
}
