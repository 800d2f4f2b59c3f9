//! Webhooks: queues what was placed in the log of events for the endpoints that hear of it, off the path of payments.
//!
//! Every platform does so for all of them, whoever comes first. Gateways take deliveries over and post them.

use std::{sync::Arc, time::Duration};

use common::lifecycle::Lifecycle;
use tokio::time::{Instant, sleep_until, timeout};

use super::Flow;
use crate::store::{Store, StoreError, webhooks::queue::WebhooksQueued};

/// How often to look for what other platforms have placed, or for whether anybody is told of anything.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Steps are queued this often at most: many places then cost one round.
const QUEUE_EVERY: Duration = Duration::from_millis(100);
/// How many steps are queued by one commit.
const STEPS_AT_ONCE: i64 = 500;

/// Queues, until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle) {
    while !lifecycle.is_draining() {
        let began = Instant::now();
        let is_anybody_told = round(&flow.store).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot queue events for webhooks; trying again");
            false
        });
        tokio::select! {
            () = async { flow.published.placed().await; sleep_until(began + QUEUE_EVERY).await }, if is_anybody_told => {}
            _ = timeout(LOOK_EVERY, lifecycle.draining()) => {}
        }
    }
}

/// Queues all that was placed, and what is to be replayed. Says whether anybody is told of anything.
///
/// # Errors
/// When the database fails.
pub async fn round(store: &Store) -> Result<bool, StoreError> {
    loop {
        let Queued { may_be_more, is_anybody_told } = step(store).await?;
        if !may_be_more {
            return Ok(is_anybody_told);
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// Whether there may be more to queue.
    may_be_more: bool,
    /// Whether there is an endpoint that hears of events.
    is_anybody_told: bool,
}

/// Queues a few of what was placed, and a few of each replay, so that a long replay holds up nothing new.
///
/// # Errors
/// When the database fails.
pub async fn step(store: &Store) -> Result<Queued, StoreError> {
    let queued = queue(store).await?;
    let replayed = replay(store).await?;
    Ok(Queued { may_be_more: queued.may_be_more || replayed, ..queued })
}

/// Queues the next steps.
async fn queue(store: &Store) -> Result<Queued, StoreError> {
    let WebhooksQueued { up_to: behind, last, is_anybody_told } = store.webhooks_queued().await?;
    let queued = |may_be_more| Ok(Queued { may_be_more, is_anybody_told });
    if behind >= last {
        return queued(false);
    }
    if !is_anybody_told {
        return queued(store.queue_webhooks((behind, last), None).await?);
    }
    let stretch = store.stretch_behind(behind, STEPS_AT_ONCE).await?;
    let Some(end) = stretch.end() else { return queued(false) };
    let events = store.events(&stretch, None).await?;
    queued(store.queue_webhooks((behind, end), Some(&events)).await? && end < last)
}

/// Queues the next steps of each replay. Says whether there are any.
async fn replay(store: &Store) -> Result<bool, StoreError> {
    let replays = store.replays().await?;
    for replay in &replays {
        let stretch = store.stretch_behind(replay.replayed_up_to, STEPS_AT_ONCE).await?;
        let events = store.events(&stretch, Some(&replay.participant_id)).await?;
        store.replay(replay, stretch.end(), &events).await?;
    }
    Ok(!replays.is_empty())
}
