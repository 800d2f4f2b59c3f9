//! How fast messages come in.

use std::collections::VecDeque;

use tokio::time::{Duration, Instant};

/// Counts one kind of message, and finds the busiest second of the run wherever it begins.
#[derive(Debug, Default)]
pub struct Rate {
    /// How many there were.
    pub total: u64,
    /// The most that there were within any one second.
    pub most_per_second: usize,
    last_second: VecDeque<Instant>,
}

impl Rate {
    /// Counts a message that came at `now`, which is never before an earlier one's.
    pub fn count(&mut self, now: Instant) {
        self.total += 1;
        while self.last_second.front().is_some_and(|first| now - *first >= Duration::from_secs(1)) {
            self.last_second.pop_front();
        }
        self.last_second.push_back(now);
        self.most_per_second = self.most_per_second.max(self.last_second.len());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, Instant};

    use super::Rate;

    #[test]
    fn the_busiest_second_may_begin_anywhere() {
        let mut rate = Rate::default();
        let start = Instant::now();
        for ms in [0, 900, 950, 1_050, 1_899, 1_900, 3_000, 3_001] {
            rate.count(start + Duration::from_millis(ms));
        }
        assert_eq!((rate.total, rate.most_per_second), (8, 4), "from 900 to 1,899");
    }
}
