//! Both halves of an internal hop: one long-lived stream to each address of the next service, which carries whatever is waiting in
//! each message and answers each item on its own.
//!
//! Nothing waits for a batch to fill: an idle hop sends at once, a busy one sends what has queued up while the last
//! message was on its way. Every queue is bounded, and what does not fit is refused before anything is begun.

mod addresses;
mod answer;
mod ask;
mod measured;
mod stream;

pub use answer::{Answering, FAREWELL, Leaving, answer};
pub use ask::{Able, Asker, Hop, Lost, NotAsked, ask};
