//! Open ends: requests of which it is not known yet what came of them, read until it is.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use harness::{BenchError, client::Client};

use super::{
    BETWEEN_READS, World,
    call::{Call, Message},
    caller::{Manner, ask},
};
use crate::{
    check::is_at_rest,
    journal::{Heard, Method},
};

/// How long a read of a follower may take.
const READ_WITHIN: Duration = Duration::from_millis(1_500);
/// How long after its last call a request that came to nothing is looked for: a command may still be on its way.
const STILL_ON_ITS_WAY: Duration = Duration::from_millis(400);

/// What is known of one request.
#[derive(Debug)]
struct End {
    call: Call,
    began: Duration,
    /// Calls under way.
    calling: u32,
    last_call_ended: Duration,
    /// The last time that it was looked for in vain.
    not_found: Option<Duration>,
}

#[derive(Debug, Default)]
struct Ends {
    open: HashMap<String, End>,
    to_read: VecDeque<String>,
    /// Those that were seen to be at rest.
    certain: HashSet<String>,
    /// From the first intent to the first sight of a state that lasts.
    certain_after: Vec<Duration>,
}

/// The requests of which it is not known yet what came of them.
#[derive(Debug, Default)]
pub struct OpenEnds(Mutex<Ends>);

impl OpenEnds {
    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins.
    pub fn begin(&self, call: &Call, now: Duration) {
        let mut ends = self.lock();
        let request_id = &call.request_id;
        if ends.certain.contains(request_id) {
            return;
        }
        if let Some(end) = ends.open.get_mut(request_id) {
            end.calling += 1;
            return;
        }
        let end = End { call: call.clone(), began: now, calling: 1, last_call_ended: now, not_found: None };
        ends.open.insert(request_id.clone(), end);
        ends.to_read.push_back(request_id.clone());
    }

    /// A call has ended.
    pub fn heard(&self, request_id: &str, method: Method, heard: &Heard, now: Duration) {
        let mut ends = self.lock();
        let state = heard.payment.as_ref().map(|payment| payment.state.as_str());
        let is_certain = state.is_some_and(is_at_rest);
        let is_booked = method == Method::Deposit && heard.code == "Ok";
        let Some(end) = ends.open.get_mut(request_id) else { return };
        if method.makes() {
            end.calling = end.calling.saturating_sub(1);
            end.last_call_ended = now;
        } else if method == Method::Read && heard.code == "NotFound" {
            end.not_found = Some(now);
        }
        if is_certain {
            let after = now.saturating_sub(end.began);
            ends.certain_after.push(after);
        }
        if is_certain || is_booked {
            ends.open.remove(request_id);
            ends.certain.insert(request_id.to_owned());
        }
    }

    /// Forgets requests that certainly came to nothing: looked for in vain well after their last call, and after `since`.
    pub fn forget_those_that_came_to_nothing(&self, since: Duration) {
        let came_to_nothing = |end: &End| {
            let from = since.max(end.last_call_ended + STILL_ON_ITS_WAY);
            end.calling == 0 && end.not_found.is_some_and(|looked| looked > from)
        };
        self.lock().open.retain(|_, end| !came_to_nothing(end));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// Which they are.
    pub fn names(&self) -> Vec<String> {
        self.lock().open.keys().cloned().collect()
    }

    /// Gives up on those that there are.
    pub fn clear(&self) {
        self.lock().open.clear();
    }

    /// How long each payment took to be certain, since this was last asked.
    pub fn take_certain_after(&self) -> Vec<Duration> {
        std::mem::take(&mut self.lock().certain_after)
    }

    /// The next one to read; those that are no longer open leave the queue here.
    fn next(&self) -> Option<Call> {
        let mut ends = self.lock();
        while let Some(request_id) = ends.to_read.pop_front() {
            if let Some(end) = ends.open.get(&request_id) {
                return Some(match &end.call.message {
                    // A deposit has no read by its request: it is asked for again.
                    Message::Deposit(_) => end.call.clone(),
                    _ => end.call.read(),
                });
            }
        }
        None
    }

    fn again_later(&self, request_id: String) {
        self.lock().to_read.push_back(request_id);
    }
}

/// Reads open ends, one after the other, for ever.
///
/// # Errors
/// When the journal can't be written.
pub async fn follow(world: &World, client: &Client) -> Result<(), BenchError> {
    loop {
        tokio::time::sleep(BETWEEN_READS / 4).await;
        if let Some(call) = world.open_ends.next() {
            ask(world, client, &call, Manner::Within(READ_WITHIN)).await?;
            world.open_ends.again_later(call.request_id);
        }
    }
}
