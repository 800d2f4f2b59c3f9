//! How fast the ledger writes, and so how much may wait for it: what waits longer than callers can bear is refused at
//! once, while it costs little, rather than late.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long a new command may have to wait for its batch, beyond the one that is being written.
const MAX_WAIT: Duration = Duration::from_millis(25);
/// So many batches may wait at any pace, so that the writers never find too little to do.
const MIN_BATCHES: usize = 3;
/// A batch moves the mean by one part in so many.
const MEMORY: u64 = 4;

/// The pace of the writers, all of which tell it of their batches.
#[derive(Debug)]
pub struct Pace {
    mean_batch_us: AtomicU64,
    /// Commands that all writers together take at once, beside ends of payments.
    at_once: usize,
}

impl Pace {
    /// A pace of which nothing is known yet; the writers take so many commands at once, half of which are ends of payments when there is
    /// much to do.
    pub fn of(max_at_once: usize) -> Self {
        Self { mean_batch_us: AtomicU64::new(0), at_once: max_at_once.div_ceil(2) }
    }

    /// A batch was written in this time.
    pub fn learn(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mean_us = self.mean_batch_us.load(Ordering::Relaxed);
        // Writers that learn at the same time lose one of their batches, which the next ones make up for.
        self.mean_batch_us.store(mean_us - mean_us / MEMORY + took_us / MEMORY, Ordering::Relaxed);
    }

    /// How many commands may wait, ends aside: as many as are written soon enough, and enough to keep the writers busy.
    pub fn room(&self) -> usize {
        let mean_us = u128::from(self.mean_batch_us.load(Ordering::Relaxed)).max(1);
        let batches = usize::try_from(MAX_WAIT.as_micros() / mean_us).unwrap_or(usize::MAX);
        self.at_once.saturating_mul(batches.max(MIN_BATCHES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_the_ledger_the_less_may_wait() {
        let pace = Pace::of(64);
        assert!(pace.room() > 100_000, "nothing is known yet");
        let room_at = |ms: u64| {
            (0..50).for_each(|_| pace.learn(Duration::from_millis(ms)));
            pace.room() / 32
        };
        assert_eq!([room_at(3), room_at(7), room_at(30), room_at(3)], [8, 3, 3, 8]);
        pace.learn(Duration::from_secs(15));
        assert_eq!(pace.room(), 96, "a ledger that stood still shows at once");
    }
}
