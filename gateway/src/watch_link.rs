//! Watches: what callers are told as it happens, passed on from the platform for as long as their credentials hold.
//!
//! They travel over connections of their own, one to each cell, whose windows are as large as those of all their streams together, so that
//! whoever does not read holds up neither payments nor other watches.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{fault::Fault, lifecycle::Lifecycle, metrics};
use proto::{
    payments::{WatchPaymentsRequest, WatchPaymentsResponse},
    platform::{WatchRequest, WatchResponse, platform_service_client::PlatformServiceClient},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, metadata::MetadataMap, transport::Channel};

use crate::{caller::Participant, participant::Participants};

/// How often to look whether the credential still holds.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long why a watch ended may stay unread; and while the server is going.
const LONGEST_FAREWELL: Duration = Duration::from_secs(60);
const LONGEST_LEAVING: Duration = Duration::from_secs(1);
/// How long the platform may take to begin.
const LONGEST_BEGINNING: Duration = Duration::from_secs(5);

/// How many watches there may be.
#[derive(Clone, Copy, Debug)]
pub struct WatchLimits {
    /// In all.
    pub in_all: u32,
    /// Of one participant.
    pub per_participant: u32,
}

/// Begins watches.
#[derive(Clone, Debug)]
pub struct Watches {
    /// One for each cell, in their order.
    platforms: Arc<[PlatformServiceClient<Channel>]>,
    participants: Arc<Participants>,
    lifecycle: Lifecycle,
    places: Arc<Places>,
}

/// What a caller reads.
pub type Watch = ReceiverStream<Result<WatchPaymentsResponse, Status>>;

impl Watches {
    /// Watches of what the platforms behind these channels say, one to each cell, until the lifecycle drains.
    pub fn new(
        platforms: impl IntoIterator<Item = Channel>,
        participants: Arc<Participants>,
        limits: WatchLimits,
        lifecycle: Lifecycle,
    ) -> Self {
        let places = Arc::new(Places { limits, taken: Mutex::default() });
        let watches = Arc::clone(&places);
        metrics::observed("rialto.watch.count", "{watch}", "Watches that there are.", move |seen| {
            seen.observe(metrics::figure(watches.taken().values().map(|own| u64::from(*own)).sum()), &[]);
        });
        let platforms = platforms.into_iter().map(PlatformServiceClient::new).collect();
        Self { platforms, participants, lifecycle, places }
    }

    /// Begins a watch of a participant, which lasts no longer than the credential in this metadata.
    ///
    /// # Errors
    /// When there are too many, or the platform has none.
    pub async fn begin(
        &self,
        participant: &Participant,
        credential: MetadataMap,
        request: WatchPaymentsRequest,
    ) -> Result<Watch, Status> {
        let place = Places::take(&self.places, participant)?;
        let request = WatchRequest { participant: participant.name.clone(), request: Some(request) };
        let platform = self.platforms.get(participant.cell.place());
        let mut platform = platform.ok_or_else(Fault::internal)?.clone();
        let begun = timeout(LONGEST_BEGINNING, platform.watch(request)).await;
        let from = begun.map_err(|_| lost())?.map_err(passed_on)?.into_inner();
        let (responses, watch) = mpsc::channel(1);
        let passing = Passing {
            from,
            to: responses,
            credential,
            participants: Arc::clone(&self.participants),
            lifecycle: self.lifecycle.clone(),
            _place: place,
        };
        tokio::spawn(passing.run());
        Ok(ReceiverStream::new(watch))
    }
}

/// One watch.
struct Passing {
    from: Streaming<WatchResponse>,
    to: mpsc::Sender<Result<WatchPaymentsResponse, Status>>,
    credential: MetadataMap,
    participants: Arc<Participants>,
    lifecycle: Lifecycle,
    _place: Place,
}

impl Passing {
    async fn run(mut self) {
        let (to, lifecycle) = (self.to.clone(), self.lifecycle.clone());
        let end = tokio::select! {
            end = self.pass() => end,
            () = lifecycle.draining() => Err(Status::from(lost())),
            () = to.closed() => return,
        };
        if let Err(status) = end {
            // Behind what is unread; who does not read it in time sees the stream's end.
            let patience = if lifecycle.is_draining() { LONGEST_LEAVING } else { LONGEST_FAREWELL };
            let _ = to.send_timeout(Err(status), patience).await;
        }
    }

    async fn pass(&mut self) -> Result<(), Status> {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                _ = looks.tick() => {
                    self.participants.identify_at_once(&self.credential).map_err(Fault::from)?;
                }
                said = self.from.message() => match said {
                    Ok(Some(said)) => {
                        // Nobody there: `run` has seen it too.
                        let _ = self.to.send(Ok(said.response.unwrap_or_default())).await;
                    }
                    Ok(None) => return Ok(()),
                    Err(status) => return Err(passed_on(status)),
                }
            }
        }
    }
}

/// What a caller is to hear of the platform's end of a watch: its word, or that it is gone.
fn passed_on(status: Status) -> Status {
    if status.details().is_empty() { lost().into() } else { status }
}

fn lost() -> Fault {
    Fault::unavailable("PLATFORM_LOST", "a server is going, or not there: call again with the last position")
}

/// Which watches there are.
#[derive(Debug)]
struct Places {
    limits: WatchLimits,
    taken: Mutex<HashMap<Participant, u32>>,
}

/// A counted watch; dropping it gives the place back.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    participant: Participant,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, HashMap<Participant, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(places: &Arc<Self>, participant: &Participant) -> Result<Place, Fault> {
        let mut taken = places.taken();
        let own = taken.get(participant).copied().unwrap_or_default();
        let what = match () {
            () if own >= places.limits.per_participant => "this participant has as many watches as it may",
            () if taken.values().sum::<u32>() >= places.limits.in_all => {
                "there are as many watches as may be"
            }
            () => {
                taken.insert(participant.clone(), own + 1);
                drop(taken);
                return Ok(Place { places: Arc::clone(places), participant: participant.clone() });
            }
        };
        let message = format!("{what}: end one, use another gateway, or come back");
        Err(Fault::exhausted("TOO_MANY_WATCHES", message).retry_after(Duration::from_secs(1)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(own) = taken.get_mut(&self.participant) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.participant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    #[test]
    fn a_participant_has_its_own_places_and_its_namesake_in_another_cell_too() {
        let places = Arc::new(Places {
            limits: WatchLimits { in_all: 3, per_participant: 1 },
            taken: Mutex::default(),
        });
        let take = |cell: Cell, name: &str| Places::take(&places, &Participant::new(cell, name));
        let [first, second] = [1, 2].map(|number| Cell::try_from(number).expect("a cell"));
        let own = take(first, "shop").expect("room");
        assert!(take(first, "shop").is_err(), "it has as many as it may");
        let _namesake = take(second, "shop").expect("room of its own");
        let _other = take(first, "cafe").expect("room");
        assert!(take(second, "cafe").is_err(), "there are as many as may be");
        drop(own);
        assert!(take(first, "shop").is_ok());
    }
}
