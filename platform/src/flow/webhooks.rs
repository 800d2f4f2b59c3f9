//! Webhooks: queues what was placed in the log of events for the endpoints that hear of it, off the path of payments.
//!
//! Every platform does so for all of them, whoever comes first. Gateways take deliveries over and post them.

use std::{sync::Arc, time::Duration};

use common::lifecycle::Lifecycle;
use tokio::time::timeout;

use super::Flow;
use crate::store::{Store, StoreError};

/// How often to look for what other platforms have placed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many steps are queued by one commit.
const STEPS_AT_ONCE: i64 = 500;

/// Queues, until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle) {
    while !lifecycle.is_draining() {
        if let Err(error) = round(&flow.store).await {
            tracing::warn!(%error, "cannot queue events for webhooks; trying again");
            let _ = timeout(LOOK_EVERY, lifecycle.draining()).await;
        }
        tokio::select! {
            () = flow.published.placed() => {}
            _ = timeout(LOOK_EVERY, lifecycle.draining()) => {}
        }
    }
}

/// Queues all that was placed, and what is to be replayed.
///
/// # Errors
/// When the database fails.
pub async fn round(store: &Store) -> Result<(), StoreError> {
    while step(store).await? {}
    Ok(())
}

/// Queues a few of what was placed, and a few of each replay, so that a long replay holds up nothing new. Says whether there may be more.
///
/// # Errors
/// When the database fails.
pub async fn step(store: &Store) -> Result<bool, StoreError> {
    let queued = queue(store).await?;
    let replayed = replay(store).await?;
    Ok(queued || replayed)
}

/// Queues the next steps. Says whether there may be more.
async fn queue(store: &Store) -> Result<bool, StoreError> {
    let (behind, last) = store.webhooks_queued().await?;
    if behind >= last {
        return Ok(false);
    }
    if !store.has_webhook_endpoints().await? {
        return store.queue_webhooks((behind, last), None).await;
    }
    let stretch = store.stretch_behind(behind, STEPS_AT_ONCE).await?;
    let Some(end) = stretch.end() else { return Ok(false) };
    let events = store.events(&stretch, None).await?;
    store.queue_webhooks((behind, end), Some(&events)).await
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
