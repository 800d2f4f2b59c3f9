//! What a bank may get from this platform: so much at once, so much a second, and nothing while it is down.

use std::{
    num::NonZeroU32,
    sync::{Arc, OnceLock},
};

use common::planted;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use proto::channel::{Bank, OfflinePolicy};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Enquiries have this share of a bank's places to themselves.
const ENQUIRIES_ONE_IN: usize = 8;
const FEWEST_ENQUIRIES: usize = 4;

/// What one bank may get.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    instruction_places: Arc<Semaphore>,
    enquiry_places: Arc<Semaphore>,
    instruction_rate: DefaultDirectRateLimiter,
    enquiry_rate: DefaultDirectRateLimiter,
}

/// What a gate is made from; a bank whose limits stay keeps its gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions under way at once.
    pub max_in_flight: u32,
    max_instructions_per_s: u32,
    max_enquiries_per_s: u32,
}

/// A place at a bank, taken until this is dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// What may be done at a bank now.
#[derive(Debug)]
pub enum Admission {
    /// An instruction may be sent.
    Send(Place),
    /// It waits for the bank.
    Wait,
    /// The bank is known to be down.
    Offline,
    /// The bank has as much under way as it takes.
    Busy,
}

impl Limits {
    /// The limits that a bank's entry in the directory says.
    pub fn of(bank: &Bank) -> Self {
        Self {
            max_in_flight: bank.max_in_flight,
            max_instructions_per_s: bank.max_instructions_per_s,
            max_enquiries_per_s: bank.max_enquiries_per_s,
        }
    }
}

/// Whether payments to a bank that is down wait for it.
pub fn waits(bank: &Bank) -> bool {
    bank.offline_policy() == OfflinePolicy::Queue
}

impl Gate {
    /// A gate with these limits.
    pub fn new(limits: Limits) -> Self {
        let places = usize::try_from(limits.max_in_flight).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let enquiries = (places / ENQUIRIES_ONE_IN).max(FEWEST_ENQUIRIES);
        Self {
            limits,
            instruction_places: if planted::is("M23") {
                shared(places)
            } else {
                Arc::new(Semaphore::new(places))
            },
            enquiry_places: Arc::new(Semaphore::new(enquiries)),
            instruction_rate: rate(limits.max_instructions_per_s),
            enquiry_rate: rate(limits.max_enquiries_per_s),
        }
    }

    /// What the gate was made from.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many instructions are under way.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.limits.max_in_flight)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS)
            .saturating_sub(self.instruction_places.available_permits())
    }

    /// Lets a new payment in, if the bank can take it now.
    pub fn admit(&self, online: bool, waits: bool) -> Admission {
        match (online, self.instruction()) {
            (true, Some(place)) => Admission::Send(place),
            _ if waits => Admission::Wait,
            (true, None) => Admission::Busy,
            (false, _) => Admission::Offline,
        }
    }

    /// A place for one instruction, if there is one and the rate allows it.
    pub fn instruction(&self) -> Option<Place> {
        take(&self.instruction_places, &self.instruction_rate)
    }

    /// A place for one enquiry, if there is one and the rate allows it.
    pub fn enquiry(&self) -> Option<Place> {
        take(&self.enquiry_places, &self.enquiry_rate)
    }
}

/// The planted bug M23: one room for all banks.
fn shared(places: usize) -> Arc<Semaphore> {
    static ROOM: OnceLock<Arc<Semaphore>> = OnceLock::new();
    Arc::clone(ROOM.get_or_init(|| Arc::new(Semaphore::new(places))))
}

fn take(places: &Arc<Semaphore>, rate: &DefaultDirectRateLimiter) -> Option<Place> {
    let permit = Arc::clone(places).try_acquire_owned().ok()?;
    rate.check().ok().map(|()| Place(permit))
}

/// A token bucket that fills evenly and holds a twentieth of a second's worth: what the bank may see above its rate.
fn rate(per_s: u32) -> DefaultDirectRateLimiter {
    let per_s = NonZeroU32::new(per_s).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(per_s.get() / 20).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(per_s).allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max_in_flight: u32, per_s: u32) -> Gate {
        let limits = Limits { max_in_flight, max_instructions_per_s: per_s, max_enquiries_per_s: per_s };
        Gate::new(limits)
    }

    #[test]
    fn places_come_back_and_rates_hold() {
        let places = gate(2, 1_000_000);
        let (first, _second) = (places.instruction().expect("free"), places.instruction().expect("free"));
        assert!(places.instruction().is_none());
        assert!(places.enquiry().is_some(), "enquiries have places of their own");
        drop(first);
        assert!(places.instruction().is_some());
        let rate = gate(1_000, 100);
        let taken: Vec<_> = std::iter::from_fn(|| rate.instruction()).collect();
        assert!((5..=7).contains(&taken.len()), "{}", taken.len());
    }

    #[test]
    fn a_bank_that_is_down_gets_nothing() {
        let gate = gate(1, 1_000);
        assert!(matches!(gate.admit(false, false), Admission::Offline));
        assert!(matches!(gate.admit(false, true), Admission::Wait));
        let Admission::Send(_place) = gate.admit(true, false) else { panic!("free") };
        assert!(matches!(gate.admit(true, false), Admission::Busy));
        assert!(matches!(gate.admit(true, true), Admission::Wait));
    }
}
