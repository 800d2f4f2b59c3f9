//! A cap on what is under way, so that one slow bank can't take the room of the others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many may be under way at once; nobody waits.
#[derive(Debug, Clone)]
pub struct Bulkhead(Arc<Semaphore>);

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Bulkhead {
    /// Lets `places` be under way at once.
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes a place, if one is free.
    pub fn enter(&self) -> Option<Place> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_are_places_and_each_comes_back() {
        let bulkhead = Bulkhead::new(2);
        let first = bulkhead.enter().expect("a place");
        let _second = bulkhead.enter().expect("a place");
        assert!(bulkhead.enter().is_none());
        drop(first);
        assert!(bulkhead.enter().is_some());
    }
}
