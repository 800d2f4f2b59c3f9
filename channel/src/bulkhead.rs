//! A cap on what is under way, so that one slow bank can't take the room of the others, nor payments that of enquiries.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::instruction::Instruction;

/// Enquiries have this part of the places that payments and return requests have, besides those,
const ENQUIRY_PART: usize = 8;
/// and at least so many.
const MIN_ENQUIRY_PLACES: usize = 4;

/// So many may be under way at once; nobody waits.
#[derive(Debug, Clone)]
pub struct Bulkhead {
    instructions: Arc<Semaphore>,
    enquiries: Arc<Semaphore>,
    /// How many there are of either.
    places: [usize; 2],
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Bulkhead {
    /// Lets `places` payments and return requests be under way at once, and an eighth as many enquiries, at least 4.
    pub fn new(places: usize) -> Self {
        let places = places.min(Semaphore::MAX_PERMITS);
        let enquiries = (places / ENQUIRY_PART).max(MIN_ENQUIRY_PLACES);
        let semaphore = |places: usize| Arc::new(Semaphore::new(places));
        Self { instructions: semaphore(places), enquiries: semaphore(enquiries), places: [places, enquiries] }
    }

    /// Of either kind: its name, how many places are taken, and how many there are.
    pub fn in_use(&self) -> [(&'static str, u64, u64); 2] {
        let [instructions, enquiries] = self.places;
        let count = |name, room: &Semaphore, places: usize| {
            let number = |places| u64::try_from(places).unwrap_or(u64::MAX);
            (name, number(places.saturating_sub(room.available_permits())), number(places))
        };
        [
            count("instructions", &self.instructions, instructions),
            count("enquiries", &self.enquiries, enquiries),
        ]
    }

    /// Takes a place for the instruction, if one is free.
    pub fn enter(&self, instruction: &Instruction) -> Option<Place> {
        let room = if instruction.is_enquiry() { &self.enquiries } else { &self.instructions };
        let permit = Arc::clone(room).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction::tests::{credit_transfer, return_enquiry, return_request, status_enquiry};

    fn parsed(instruction: proto::channel::Instruction) -> Instruction {
        Instruction::parse(instruction).expect("well-formed")
    }

    #[test]
    fn as_many_as_there_are_places_and_each_comes_back() {
        let bulkhead = Bulkhead::new(2);
        let first = bulkhead.enter(&parsed(credit_transfer())).expect("a place");
        let _second = bulkhead.enter(&parsed(return_request())).expect("a place");
        for more in [credit_transfer(), return_request()] {
            assert!(bulkhead.enter(&parsed(more)).is_none(), "they share the places");
        }
        drop(first);
        assert!(bulkhead.enter(&parsed(credit_transfer())).is_some());
    }

    #[test]
    fn neither_payments_nor_enquiries_take_the_others_room() {
        for (places, enquiries) in [(1, 4), (32, 4), (40, 5), (512, 64)] {
            let bulkhead = Bulkhead::new(places);
            let taken = |instruction: &Instruction| -> Vec<Place> {
                std::iter::from_fn(|| bulkhead.enter(instruction)).take(1_000).collect()
            };
            let flood = taken(&parsed(credit_transfer()));
            assert_eq!(flood.len(), places);
            let asked = taken(&parsed(status_enquiry()));
            assert_eq!(asked.len(), enquiries, "with {places} payments under way");
            assert!(bulkhead.enter(&parsed(return_enquiry())).is_none());
            drop(flood);
            assert_eq!(
                taken(&parsed(return_request())).len(),
                places,
                "with {enquiries} enquiries under way"
            );
        }
    }
}
