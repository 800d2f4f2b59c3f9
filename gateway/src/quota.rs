//! How often who may call: each participant at its rate, and each address a few times with a credential that nobody knows.
//!
//! Each gateway counts for itself: with several, a participant may call as many times as often.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{fault::Fault, network::network_of};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use crate::{caller::Participant, participant::NotLetIn};

/// For how long the calls of a participant are carried evenly after it called too often.
const EVENLY_FOR: Duration = Duration::from_secs(2);
/// How often to forget whoever has not called for a while.
const FORGET_EVERY: Duration = Duration::from_secs(60);

type Limiter<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The rates.
pub struct Quotas<C: Clock = DefaultClock> {
    calls: Limiter<Participant, C>,
    strangers: Limiter<IpAddr, C>,
    /// Until when no further credential from these places is looked at that costs something.
    turned_away: Mutex<HashMap<IpAddr, C::Instant>>,
    /// Those who called too often a while ago.
    hasty: Mutex<HashMap<Participant, Hasty<C::Instant>>>,
    /// What lies between two calls that come evenly.
    pause: Duration,
    clock: C,
}

/// A participant whose calls are carried evenly: what it may make at once comes in a heap again and again while more wait behind it, and
/// others would wait behind each heap.
struct Hasty<I> {
    until: I,
    next_turn: I,
}

impl<C: Clock> fmt::Debug for Quotas<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quotas").field("participants", &self.calls.len()).finish_non_exhaustive()
    }
}

impl Quotas {
    /// So many calls a second by each participant, and so many a minute from each address with credentials that nobody knows; either may
    /// come at once.
    pub fn new(calls_per_s: NonZeroU32, strangers_per_min: NonZeroU32) -> Self {
        Self::with_clock(calls_per_s, strangers_per_min, DefaultClock::default())
    }
}

impl Quotas {
    /// Forgets for ever whoever has not called for so long that it makes no difference.
    pub async fn keep_forgetting(self: Arc<Self>) {
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            self.forget();
        }
    }
}

impl<C: Clock + Clone> Quotas<C> {
    fn with_clock(calls_per_s: NonZeroU32, strangers_per_min: NonZeroU32, clock: C) -> Self {
        Self {
            calls: RateLimiter::hashmap_with_clock(Quota::per_second(calls_per_s), clock.clone()),
            strangers: RateLimiter::hashmap_with_clock(Quota::per_minute(strangers_per_min), clock.clone()),
            turned_away: Mutex::default(),
            hasty: Mutex::default(),
            pause: Duration::from_secs(1) / calls_per_s.get(),
            clock,
        }
    }

    /// Counts a call of a participant, and returns after what time it has its turn: at once, unless the participant called too often a while
    /// ago. No turn is further away than the second whose calls may come at once.
    ///
    /// # Errors
    /// When it has made as many as it may, with when it may again.
    pub fn admit(&self, participant: &Participant) -> Result<Duration, Fault> {
        let now = self.clock.now();
        let Err(early) = self.calls.check_key(participant) else { return Ok(self.turn(participant, now)) };
        let until = now + EVENLY_FOR.into();
        let mut hasty = self.hasty();
        match hasty.get_mut(participant) {
            Some(hasty) => hasty.until = until,
            None => drop(hasty.insert(participant.clone(), Hasty { until, next_turn: now })),
        }
        let message = "this participant calls more often than it may; nothing was begun";
        Err(Fault::exhausted("QUOTA_EXCEEDED", message).retry_after(early.wait_time_from(now)))
    }

    fn turn(&self, participant: &Participant, now: C::Instant) -> Duration {
        let mut hasty = self.hasty();
        let Some(caller) = hasty.get_mut(participant) else { return Duration::ZERO };
        if caller.is_over(now) {
            hasty.remove(participant);
            return Duration::ZERO;
        }
        let turn = caller.next_turn.max(now);
        caller.next_turn = turn + self.pause.into();
        turn.duration_since(now).into()
    }

    /// What a caller at this address is to hear who was not let in. Counts those whom nobody knows.
    pub fn turn_away(&self, why: NotLetIn, address: Option<IpAddr>) -> Fault {
        let (NotLetIn::Unknown(_) | NotLetIn::KeyNotKnown, Some(address)) = (why, address) else {
            return why.into();
        };
        let Err(early) = self.strangers.check_key(&network_of(address)) else { return why.into() };
        self.turned_away().insert(network_of(address), early.earliest_possible());
        let message = "too many calls with unknown credentials came from this address";
        Fault::exhausted("TOO_MANY_BAD_CREDENTIALS", message)
            .retry_after(early.wait_time_from(self.clock.now()))
    }

    /// Whether a credential from this address may be verified that costs something: not while it is turned away.
    pub fn may_try(&self, address: Option<IpAddr>) -> bool {
        let until = address.and_then(|address| self.turned_away().get(&network_of(address)).copied());
        until.is_none_or(|until| self.clock.now() >= until)
    }

    fn turned_away(&self) -> MutexGuard<'_, HashMap<IpAddr, C::Instant>> {
        self.turned_away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hasty(&self) -> MutexGuard<'_, HashMap<Participant, Hasty<C::Instant>>> {
        self.hasty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        let now = self.clock.now();
        self.hasty().retain(|_, hasty| !hasty.is_over(now));
        self.turned_away().retain(|_, until| *until > now);
        forget(&self.calls);
        forget(&self.strangers);
    }
}

impl<I: Reference> Hasty<I> {
    /// Whether nothing is to be carried evenly any more. Nobody overtakes whoever waits still.
    fn is_over(&self, now: I) -> bool {
        self.until <= now && self.next_turn <= now
    }
}

fn forget<K: Hash + Eq + Clone, C: Clock>(limiter: &Limiter<K, C>) {
    limiter.retain_recent();
    limiter.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use std::iter;

    use governor::clock::FakeRelativeClock;
    use tonic::{Code, Status};
    use tonic_types::StatusExt;

    use super::*;
    use crate::cell::Cell;

    fn quotas(calls: u32, strangers: u32) -> (Quotas<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let number = |number| NonZeroU32::new(number).expect("not 0");
        (Quotas::with_clock(number(calls), number(strangers), clock.clone()), clock)
    }

    fn stranger(quotas: &Quotas<FakeRelativeClock>, address: Option<IpAddr>) -> Fault {
        quotas.turn_away(NotLetIn::Unknown("a test"), address)
    }

    fn delay(fault: Fault) -> Option<Duration> {
        let status = Status::from(fault);
        assert_eq!(status.code(), Code::ResourceExhausted);
        status.get_error_details().retry_info().and_then(|info| info.retry_delay)
    }

    #[test]
    fn who_calls_too_often_waits_and_nobody_else_does() {
        let (quotas, clock) = quotas(4, 1);
        let [noisy, quiet] = ["noisy", "quiet"].map(|name| Participant::new(Cell::default(), name));
        for _ in 0..4 {
            assert_eq!(quotas.admit(&noisy), Ok(Duration::ZERO));
        }
        let refused = quotas.admit(&noisy).expect_err("a fifth");
        assert_eq!(refused.reason(), "QUOTA_EXCEEDED");
        assert_eq!(delay(refused), Some(Duration::from_millis(250)));
        assert_eq!(quotas.admit(&quiet), Ok(Duration::ZERO));
        let elsewhere = Participant { cell: Cell::try_from(2).expect("a cell"), ..noisy.clone() };
        assert_eq!(quotas.admit(&elsewhere), Ok(Duration::ZERO), "its namesake in another cell");
        clock.advance(Duration::from_millis(250));
        assert_eq!(quotas.admit(&noisy), Ok(Duration::ZERO));
        assert!(quotas.admit(&noisy).is_err());
    }

    #[test]
    fn who_called_too_often_has_its_calls_carried_evenly_for_a_while() {
        let (quotas, clock) = quotas(4, 1);
        let [noisy, quiet] = ["noisy", "quiet"].map(|name| Participant::new(Cell::default(), name));
        let all_at_once = |participant| {
            let admitted: Vec<u128> =
                iter::from_fn(|| quotas.admit(participant).ok()).map(|turn| turn.as_millis()).collect();
            admitted
        };
        assert_eq!(all_at_once(&noisy), [0; 4]);
        clock.advance(Duration::from_secs(1));
        assert_eq!(all_at_once(&noisy), [0, 250, 500, 750]);
        assert_eq!(quotas.admit(&quiet), Ok(Duration::ZERO));
        clock.advance(Duration::from_millis(500));
        assert_eq!(all_at_once(&noisy), [500, 750], "behind those that wait");
        clock.advance(Duration::from_secs(2));
        quotas.forget();
        assert!(quotas.hasty().is_empty());
        assert_eq!(quotas.admit(&noisy), Ok(Duration::ZERO));
        assert_eq!(quotas.admit(&noisy), Ok(Duration::ZERO), "it keeps within its rate");
    }

    #[test]
    fn who_guesses_hears_nothing_more_for_a_while_and_the_neighbours_do() {
        let (quotas, clock) = quotas(1, 2);
        let address = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        for _ in 0..2 {
            assert_eq!(stranger(&quotas, address("192.0.2.1")).reason(), "UNAUTHENTICATED");
        }
        let refused = stranger(&quotas, address("::ffff:192.0.2.1"));
        assert_eq!(refused.reason(), "TOO_MANY_BAD_CREDENTIALS");
        assert_eq!(delay(refused), Some(Duration::from_secs(30)));
        assert!(!quotas.may_try(address("192.0.2.1")) && quotas.may_try(address("192.0.2.2")));
        assert_eq!(stranger(&quotas, address("192.0.2.2")).reason(), "UNAUTHENTICATED");
        for host in 1..=2 {
            stranger(&quotas, address(&format!("2001:db8::{host}")));
        }
        assert_eq!(stranger(&quotas, address("2001:db8::3")).reason(), "TOO_MANY_BAD_CREDENTIALS");
        assert_eq!(stranger(&quotas, address("2001:db8:0:1::3")).reason(), "UNAUTHENTICATED");
        clock.advance(Duration::from_secs(120));
        quotas.forget();
        assert!(quotas.strangers.is_empty() && quotas.turned_away().is_empty());
        assert!(quotas.may_try(address("192.0.2.1")));
        assert_eq!(stranger(&quotas, address("192.0.2.1")).reason(), "UNAUTHENTICATED");
    }
}
