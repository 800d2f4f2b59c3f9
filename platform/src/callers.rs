//! Who may call, as the database last said: what every gateway is told when its stream opens and at each change, with a sign
//! each second that it is still so.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::clock::Clock;
use proto::{convert, platform};
use tokio::sync::{Notify, watch};

use crate::store::{
    Store, StoreError,
    acts::{Callers as Found, Lookout, WorkingKey},
};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a look may take: what it saw would hardly count any more.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

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
    let mut lookout = Lookout::new(store);
    let mut is_failing = false;
    while !sender.is_closed() {
        let last = sender.borrow().clone();
        let looking = see(&mut lookout, &clock, last);
        let problem = match tokio::time::timeout(LOOK_TIMEOUT, looking).await {
            Ok(Ok(seen)) => {
                is_failing = false;
                sender.send_replace(Some(seen));
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        // Gateways notice that they hear nothing.
        if let Some(problem) = problem.filter(|_| !is_failing) {
            is_failing = true;
            tracing::warn!(problem, "cannot see who may call; trying again each second");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = look.notified() => {}
        }
    }
}

async fn see(lookout: &mut Lookout, clock: &Clock, last: Option<Seen>) -> Result<Seen, StoreError> {
    let looked_at = Instant::now();
    let found = lookout.look(last.as_ref().map(|last| last.acts), clock.now()).await?;
    match (found, last) {
        (None, Some(last)) => Ok(Seen { looked_at, ..last }),
        (found, _) => Ok(seen(found.unwrap_or_default(), looked_at)),
    }
}

fn seen(Found { acts, keys, disabled }: Found, looked_at: Instant) -> Seen {
    tracing::info!(acts, keys = keys.len(), disabled = disabled.len(), "who may call has changed");
    let api_keys = keys.into_iter().map(known_key).collect();
    let known = platform::KnownCallers { api_keys, disabled_participants: disabled };
    Seen { acts, known: Arc::new(known), looked_at }
}

fn known_key(key: WorkingKey) -> platform::KnownApiKey {
    platform::KnownApiKey {
        hash: key.hash,
        participant: key.participant_id,
        roles: key.roles,
        credential: key.credential,
        expire_time: key.expires_at.map(|at| convert::time_to_wire(at.into())),
        verification_key: key.verification_key.unwrap_or_default(),
    }
}
