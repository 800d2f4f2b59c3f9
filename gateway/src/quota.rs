//! How often who may call: each participant at its rate, and each address a few times with a credential that nobody knows.
//!
//! Each gateway counts for itself: with several, a participant may call as many times as often.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::fault::Fault;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use crate::{caller::Participant, participant::NotLetIn};

/// How often to forget whoever has not called for a while.
const FORGET_EVERY: Duration = Duration::from_secs(60);

type Limiter<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The rates.
pub struct Quotas<C: Clock = DefaultClock> {
    calls: Limiter<Participant, C>,
    strangers: Limiter<IpAddr, C>,
    /// Until when no further credential from these places is looked at that costs something.
    turned_away: Mutex<HashMap<IpAddr, C::Instant>>,
    clock: C,
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
            clock,
        }
    }

    /// Counts a call of a participant.
    ///
    /// # Errors
    /// When it has made as many as it may, with when it may again.
    pub fn admit(&self, participant: &Participant) -> Result<(), Fault> {
        let Err(early) = self.calls.check_key(participant) else { return Ok(()) };
        let message = "this participant calls more often than it may; nothing was begun";
        Err(Fault::exhausted("QUOTA_EXCEEDED", message).retry_after(early.wait_time_from(self.clock.now())))
    }

    /// What a caller at this address is to hear who was not let in. Counts those whom nobody knows.
    pub fn turn_away(&self, why: NotLetIn, address: Option<IpAddr>) -> Fault {
        let (NotLetIn::Unknown(_) | NotLetIn::KeyNotKnown, Some(address)) = (why, address) else {
            return why.into();
        };
        let Err(early) = self.strangers.check_key(&place(address)) else { return why.into() };
        self.turned_away().insert(place(address), early.earliest_possible());
        let message = "too many calls with unknown credentials came from this address";
        Fault::exhausted("TOO_MANY_BAD_CREDENTIALS", message)
            .retry_after(early.wait_time_from(self.clock.now()))
    }

    /// Whether a credential from this address may be verified that costs something: not while it is turned away.
    pub fn may_try(&self, address: Option<IpAddr>) -> bool {
        let until = address.and_then(|address| self.turned_away().get(&place(address)).copied());
        until.is_none_or(|until| self.clock.now() >= until)
    }

    fn turned_away(&self) -> MutexGuard<'_, HashMap<IpAddr, C::Instant>> {
        self.turned_away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        let now = self.clock.now();
        self.turned_away().retain(|_, until| *until > now);
        forget(&self.calls);
        forget(&self.strangers);
    }
}

fn forget<K: Hash + Eq + Clone, C: Clock>(limiter: &Limiter<K, C>) {
    limiter.retain_recent();
    limiter.shrink_to_fit();
}

/// Whose address it is: a network of IPv6 is one customer's down to 64 bits (RFC 6177).
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(quotas.admit(&noisy), Ok(()));
        }
        let refused = quotas.admit(&noisy).expect_err("a fifth");
        assert_eq!(refused.reason(), "QUOTA_EXCEEDED");
        assert_eq!(delay(refused), Some(Duration::from_millis(250)));
        assert_eq!(quotas.admit(&quiet), Ok(()));
        let elsewhere = Participant { cell: Cell::try_from(2).expect("a cell"), ..noisy.clone() };
        assert_eq!(quotas.admit(&elsewhere), Ok(()), "its namesake in another cell");
        clock.advance(Duration::from_millis(250));
        assert_eq!(quotas.admit(&noisy), Ok(()));
        assert!(quotas.admit(&noisy).is_err());
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
