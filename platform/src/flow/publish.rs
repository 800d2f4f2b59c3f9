//! Publish: gives what was committed its place in the log of events, some milliseconds later and off the path of payments, and tells
//! those who watch.
//!
//! Every platform does so for all of them, whoever comes first. Who watches reads the log up to its end, and from there on hears of
//! what comes through [`Published`]: one reading for all of a platform's watches. Who falls behind reads the log again.

use std::{sync::Arc, time::Duration};

use common::lifecycle::Lifecycle;
use tokio::{
    sync::{Notify, broadcast},
    time::{Instant, sleep_until, timeout},
};

use super::Flow;
use crate::store::{
    Store, StoreError,
    event_log::{LoggedEvent, Placing},
};

/// Places are given this often at most: many commits then cost one.
const PLACE_EVERY: Duration = Duration::from_millis(25);
/// How often to look for what other platforms have committed or placed, while somebody watches.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often, while nobody does: a platform that went away may have left what it committed without a place.
const LOOK_EVERY_UNWATCHED: Duration = Duration::from_secs(1);
/// How many steps are read at once.
const STEPS_AT_ONCE: i64 = 500;
/// How many readings a watch may be behind before it reads the log itself.
const READINGS_KEPT: usize = 64;

/// What was placed, as it comes.
#[derive(Debug)]
pub struct Published {
    readings: broadcast::Sender<Reading>,
    watched: Notify,
    placed: Notify,
}

/// Steps that follow each other.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Behind which place they begin.
    pub behind: i64,
    /// The place of the last.
    pub end: i64,
    /// The steps.
    pub events: Arc<Vec<LoggedEvent>>,
}

impl Default for Published {
    fn default() -> Self {
        Self { readings: broadcast::channel(READINGS_KEPT).0, watched: Notify::new(), placed: Notify::new() }
    }
}

impl Published {
    /// Hears of what comes from now on.
    pub fn watch(&self) -> broadcast::Receiver<Reading> {
        let readings = self.readings.subscribe();
        self.watched.notify_one();
        readings
    }

    /// Completes when something was placed here since the last time that this completed. For one who waits.
    pub(super) async fn placed(&self) {
        self.placed.notified().await;
    }

    fn is_watched(&self) -> bool {
        self.readings.receiver_count() > 0
    }
}

/// Places and tells, until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle) {
    let mut told_up_to = None;
    while !lifecycle.is_draining() {
        let began = Instant::now();
        let placing = match round(&flow, &mut told_up_to).await {
            Ok(placing) => placing,
            Err(error) => {
                tracing::warn!(%error, "cannot go on with the log of events; trying again");
                sleep_until(began + LOOK_EVERY_UNWATCHED).await;
                continue;
            }
        };
        sleep_until(began + PLACE_EVERY).await;
        if placing == Placing::Elsewhere {
            continue;
        }
        let pause = if flow.published.is_watched() { LOOK_EVERY } else { LOOK_EVERY_UNWATCHED };
        tokio::select! {
            () = flow.book.committed() => {}
            () = flow.published.watched.notified() => {}
            _ = timeout(pause, lifecycle.draining()) => {}
        }
    }
}

/// Places what waits for it, and tells what was placed behind `told_up_to`, which is none while nobody watches.
async fn round(flow: &Flow, told_up_to: &mut Option<i64>) -> Result<Placing, StoreError> {
    let placing = place(&flow.store).await?;
    if placing == Placing::All(true) {
        flow.published.placed.notify_one();
    }
    if !flow.published.is_watched() {
        *told_up_to = None;
        return Ok(placing);
    }
    let mut behind = match *told_up_to {
        Some(behind) => behind,
        None => flow.store.last_position().await?,
    };
    *told_up_to = Some(behind);
    loop {
        let stretch = flow.store.stretch_behind(behind, STEPS_AT_ONCE).await?;
        let Some(end) = stretch.end() else { return Ok(placing) };
        let events = Arc::new(flow.store.events(&stretch, None).await?);
        // Whoever watched may have gone meanwhile.
        let _ = flow.published.readings.send(Reading { behind, end, events });
        behind = end;
        *told_up_to = Some(end);
    }
}

/// Gives places to all that has committed, unless another platform is at it.
///
/// # Errors
/// When the database fails.
pub async fn place(store: &Store) -> Result<Placing, StoreError> {
    let mut any = false;
    loop {
        match store.place_events().await? {
            Placing::More => any = true,
            Placing::All(more) => return Ok(Placing::All(any || more)),
            Placing::Elsewhere => return Ok(Placing::Elsewhere),
        }
    }
}
