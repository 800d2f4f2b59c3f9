//! Who may call, as the database last said: what every gateway is told when its stream opens and at each change, with a sign
//! each second that it is still so.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::clock::Clock;
use proto::{convert, platform};
use tokio::sync::{Notify, watch};

use crate::store::{Store, StoreError, acts::WorkingKey};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who may call. Clones share it.
#[derive(Clone, Debug)]
pub struct Callers {
    seen: watch::Receiver<Option<Seen>>,
    look: Arc<Notify>,
}

/// One look.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How many acts there were: as long as they are as many, nothing has changed.
    pub acts: i64,
    /// Who may call.
    pub known: Arc<platform::KnownCallers>,
    /// When the look began.
    pub looked_at: Instant,
}

impl Callers {
    /// Looks each second, until nobody wants to know any more.
    pub fn watch(store: Store, clock: Clock) -> Self {
        let (sender, seen) = watch::channel(None);
        let look = Arc::new(Notify::new());
        tokio::spawn(keep_looking(store, clock, sender, Arc::clone(&look)));
        Self { seen, look }
    }

    /// Looks at once, since something has just been changed here.
    pub fn look_again(&self) {
        self.look.notify_one();
    }

    /// What was seen, and what will be.
    pub fn seen(&self) -> watch::Receiver<Option<Seen>> {
        self.seen.clone()
    }
}

async fn keep_looking(store: Store, clock: Clock, sender: watch::Sender<Option<Seen>>, look: Arc<Notify>) {
    let mut is_failing = false;
    while !sender.is_closed() {
        let last = sender.borrow().clone();
        match see(&store, &clock, last).await {
            Ok(seen) => {
                is_failing = false;
                sender.send_replace(Some(seen));
            }
            // Gateways notice that they hear nothing.
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::warn!(%error, "cannot see who may call; trying again each second");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = look.notified() => {}
        }
    }
}

/// Reads the count first: whatever is committed meanwhile is read now or at the next look, never missed.
async fn see(store: &Store, clock: &Clock, last: Option<Seen>) -> Result<Seen, StoreError> {
    let looked_at = Instant::now();
    let acts = store.acts().await?;
    if let Some(last) = last.filter(|last| last.acts == acts) {
        return Ok(Seen { looked_at, ..last });
    }
    let (keys, disabled_participants) = store.callers(clock.now()).await?;
    tracing::info!(
        acts,
        keys = keys.len(),
        disabled = disabled_participants.len(),
        "who may call has changed"
    );
    let api_keys = keys.into_iter().map(known_key).collect();
    let known = Arc::new(platform::KnownCallers { api_keys, disabled_participants });
    Ok(Seen { acts, known, looked_at })
}

fn known_key(key: WorkingKey) -> platform::KnownApiKey {
    platform::KnownApiKey {
        hash: key.hash,
        participant: key.participant_id,
        roles: key.roles,
        credential: key.credential,
        expire_time: key.expires_at.map(|at| convert::time_to_wire(at.into())),
    }
}
