//! How fast a connection is read: more slowly if its one caller asks more often than it may.
//!
//! To refuse a call costs nearly what it costs to carry one, so that refusals alone don't keep a flood from others. What is not read waits on the
//! caller's side and costs nothing here. Who keeps within its rate, or shares a connection with another, never notices.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How often a second a connection's calls are refused at most.
const REFUSED_PER_S: u32 = 50;
/// For how long it may have been refused faster before: a client that comes back at once after a pause is none that floods.
const AHEAD: Duration = Duration::from_secs(2);
/// How long reading rests at most, so that pings are answered in between.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// The pace of a connection.
#[derive(Debug, Default)]
pub struct Pace {
    /// Whether there is anything to look at.
    is_refused: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Who calls, as far as is known: a hash of it.
    caller: Option<u64>,
    /// Whether several do: one of them must not slow the others down.
    is_shared: bool,
    /// When all refusals so far would have been given at the allowed rate.
    paid_off: Option<Instant>,
}

impl Pace {
    /// Takes note of a call, and of whether it was refused for coming too often.
    pub fn note(&self, caller: &(impl Hash + ?Sized), is_refused: bool) {
        let mut hasher = DefaultHasher::new();
        caller.hash(&mut hasher);
        let mut state = self.state();
        if *state.caller.get_or_insert(hasher.finish()) != hasher.finish() {
            state.is_shared = true;
        }
        if state.is_shared {
            state.paid_off = None;
        } else if is_refused {
            let now = Instant::now();
            let paid_off = state.paid_off.map_or(now, |paid_off| paid_off.max(now));
            state.paid_off = Some(paid_off + Duration::from_secs(1) / REFUSED_PER_S);
        }
        self.is_refused.store(state.paid_off.is_some(), Ordering::Relaxed);
    }

    /// Until when the connection is not to be read; none if it may be.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        if !self.is_refused.load(Ordering::Relaxed) {
            return None;
        }
        let now = Instant::now();
        let until = self.state().paid_off?.checked_sub(AHEAD)?;
        (until > now).then(|| until.min(now + LONGEST_REST))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may be refused at once before reading rests.
    const AT_ONCE: u32 = 2 * REFUSED_PER_S;

    fn refused(pace: &Pace, times: u32) {
        (0..times).for_each(|_| pace.note("noisy", true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_read_at_the_rate_of_its_refusals() {
        let pace = Pace::default();
        refused(&pace, AT_ONCE);
        assert_eq!(pace.rests_until(), None);
        refused(&pace, 5);
        let rests = pace.rests_until().map(|until| until - Instant::now());
        assert_eq!(rests, Some(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(pace.rests_until(), None);
        refused(&pace, 10 * AT_ONCE);
        assert_eq!(pace.rests_until().map(|until| until - Instant::now()), Some(LONGEST_REST));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.rests_until(), None);
        refused(&pace, AT_ONCE);
        assert_eq!(pace.rests_until(), None, "what is over is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn who_shares_a_connection_is_not_slowed_down_by_another() {
        let pace = Pace::default();
        pace.note("quiet", false);
        refused(&pace, 10 * AT_ONCE);
        assert_eq!(pace.rests_until(), None);
        let pace = Pace::default();
        refused(&pace, 10 * AT_ONCE);
        assert!(pace.rests_until().is_some());
        pace.note("quiet", false);
        assert_eq!(pace.rests_until(), None, "it begins to share");
        refused(&pace, 10 * AT_ONCE);
        assert_eq!(pace.rests_until(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn good_calls_never_count() {
        let pace = Pace::default();
        (0..10 * AT_ONCE).for_each(|_| pace.note("quiet", false));
        assert_eq!(pace.rests_until(), None);
    }
}
