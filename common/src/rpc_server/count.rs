//! How many connections there are, in all and from each address, and how fast new ones come from one.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use opentelemetry::metrics::Counter;

use super::under_way::UnderWay;
use crate::{metrics, network::network_of};

/// How often to forget whoever has opened no connection for a while.
const FORGET_EVERY: Duration = Duration::from_secs(60);

static REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what =
        "Connections that were one too many, in all or from their address, or came too soon after others.";
    metrics::counter("rialto.server.connection.refused", "{connection}", what)
});

/// How many connections there may be. An address of IPv6 is its network ([`network_of`]).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub max_connections: usize,
    /// At once from one address.
    pub max_connections_per_address: usize,
    /// New ones a second from one address, once as many have come as there may be at once; any number if there is none. To shake hands
    /// costs more than all else that a stranger can ask for.
    pub max_new_per_s: Option<NonZeroU32>,
}

type Arrivals<C> = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counts connections.
pub struct Count<C: Clock = DefaultClock> {
    limits: Limits,
    open: Mutex<Open<C>>,
    arrivals: Option<Arrivals<C>>,
    clock: C,
}

/// Those that are open.
struct Open<C: Clock> {
    connections: usize,
    by_address: HashMap<IpAddr, Callers>,
    forget_at: C::Instant,
}

/// Who connected from one address.
#[derive(Debug, Default)]
struct Callers {
    connections: usize,
    under_way: Arc<UnderWay>,
}

/// A counted connection; dropping it gives the place back.
pub struct Place<C: Clock = DefaultClock> {
    count: Arc<Count<C>>,
    address: IpAddr,
    under_way: Arc<UnderWay>,
}

impl Count {
    /// None yet.
    pub fn new(limits: Limits) -> Arc<Self> {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Count<C> {
    fn with_clock(limits: Limits, clock: C) -> Arc<Self> {
        let arrivals = limits.max_new_per_s.map(|per_s| {
            let at_once = u32::try_from(limits.max_connections_per_address).unwrap_or(u32::MAX);
            let quota = Quota::per_second(per_s).allow_burst(NonZeroU32::new(at_once).unwrap_or(per_s));
            RateLimiter::hashmap_with_clock(quota, clock.clone())
        });
        let open = Open { connections: 0, by_address: HashMap::new(), forget_at: clock.now() };
        Arc::new(Self { limits, open: Mutex::new(open), arrivals, clock })
    }
}

impl<C: Clock> Count<C> {
    /// Counts a connection from this address, unless it is one too many or comes too soon.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place<C>> {
        let address = network_of(address);
        let mut open = self.open();
        self.forget(&mut open);
        let here = open.by_address.get(&address).map_or(0, |callers| callers.connections);
        if open.connections >= self.limits.max_connections
            || here >= self.limits.max_connections_per_address
            || self.arrivals.as_ref().is_some_and(|arrivals| arrivals.check_key(&address).is_err())
        {
            REFUSED.add(1, &[]);
            return None;
        }
        open.connections += 1;
        let callers = open.by_address.entry(address).or_default();
        callers.connections += 1;
        Some(Place { count: Arc::clone(self), address, under_way: Arc::clone(&callers.under_way) })
    }

    /// Forgets now and then whose connections came so long ago that it makes no difference.
    fn forget(&self, open: &mut Open<C>) {
        let now = self.clock.now();
        if let Some(arrivals) = self.arrivals.as_ref().filter(|_| open.forget_at <= now) {
            open.forget_at = now + FORGET_EVERY.into();
            arrivals.retain_recent();
            arrivals.shrink_to_fit();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open<C>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// What callers from there have under way, on this connection and others.
    pub(super) fn under_way(&self) -> &Arc<UnderWay> {
        &self.under_way
    }
}

impl<C: Clock> Drop for Place<C> {
    fn drop(&mut self) {
        let mut open = self.count.open();
        open.connections -= 1;
        if let Some(callers) = open.by_address.get_mut(&self.address) {
            callers.connections -= 1;
            if callers.connections == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

impl<C: Clock> fmt::Debug for Count<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Count").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<C: Clock> fmt::Debug for Place<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn count(max_new_per_s: Option<u32>) -> (Arc<Count<FakeRelativeClock>>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let max_new_per_s = max_new_per_s.and_then(NonZeroU32::new);
        let limits = Limits { max_connections: 4, max_connections_per_address: 3, max_new_per_s };
        (Count::with_clock(limits, clock.clone()), clock)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_no_more_than_an_address_may_have_and_all_no_more_than_all() {
        let (count, _) = count(None);
        let here = |host: u32| address(&format!("2001:db8::{host}"));
        let places: Vec<_> = (1..=4).filter_map(|host| count.take(here(host))).collect();
        assert_eq!(places.len(), 3);
        let neighbour = count.take(address("2001:db8:0:1::1"));
        assert!(neighbour.is_some());
        assert!(count.take(address("192.0.2.1")).is_none(), "one too many in all");
        drop(places);
        drop(neighbour);
        assert!((0..10).all(|_| count.take(here(1)).is_some()), "each gives its place back");
    }

    #[test]
    fn who_connects_again_and_again_is_slowed_down_and_nobody_else_is() {
        let (count, clock) = count(Some(2));
        let connect = |text: &str| count.take(address(text)).is_some();
        assert_eq!([0; 5].map(|_| connect("2001:db8::1")), [true, true, true, false, false]);
        assert!(!connect("2001:db8::2") && connect("2001:db8:0:1::1") && connect("192.0.2.1"));
        clock.advance(Duration::from_millis(500));
        assert_eq!([0; 2].map(|_| connect("2001:db8::1")), [true, false]);
        clock.advance(FORGET_EVERY);
        assert_eq!([0; 4].map(|_| connect("2001:db8::1")), [true, true, true, false]);
        assert_eq!(count.arrivals.as_ref().map(RateLimiter::len), Some(1), "the others are forgotten");
    }
}
