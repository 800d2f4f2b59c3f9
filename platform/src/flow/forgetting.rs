//! Forgetting: what is kept for a while only is deleted, a few rows at once, until none is left that is old enough.

use std::{sync::Arc, time::Duration};

use common::lifecycle::Lifecycle;
use tokio::time::timeout;

use super::Flow;
use crate::store::StoreError;

/// How often to look for what is old enough.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How many nonces, which are small, and how many other rows are deleted at once.
const NONCES_AT_ONCE: u32 = 10_000;
const ROWS_AT_ONCE: i64 = 1_000;

/// Begins to forget the nonces of signatures that nobody believes any more, and old events, traces, messages of banks and deliveries, until the lifecycle drains.
pub(super) fn begin(flow: &Arc<Flow>, lifecycle: &Lifecycle) {
    let keep = flow.limits.keep_events;
    let store = flow.store.clone();
    let forget = async move || store.forget_nonces(NONCES_AT_ONCE).await.map(u64::from);
    tokio::spawn(run(lifecycle.clone(), "nonces of signatures", forget));
    let store = flow.store.clone();
    let forget = async move || store.forget_events(keep, ROWS_AT_ONCE).await;
    tokio::spawn(run(lifecycle.clone(), "events", forget));
    let store = flow.store.clone();
    let forget = async move || store.forget_traces(keep, ROWS_AT_ONCE).await;
    tokio::spawn(run(lifecycle.clone(), "traces of payments", forget));
    let (store, keep_messages) = (flow.store.clone(), flow.limits.keep_bank_messages);
    let forget = async move || store.forget_bank_messages(keep_messages, ROWS_AT_ONCE).await;
    tokio::spawn(run(lifecycle.clone(), "messages of banks", forget));
    let store = flow.store.clone();
    let forget = async move || store.forget_webhooks(keep, ROWS_AT_ONCE).await;
    tokio::spawn(run(lifecycle.clone(), "deliveries of webhooks", forget));
}

async fn run(lifecycle: Lifecycle, what: &'static str, forget: impl AsyncFn() -> Result<u64, StoreError>) {
    while !lifecycle.is_draining() {
        match forget().await {
            Ok(1..) => continue,
            Ok(0) => {}
            Err(error) => tracing::warn!(%error, what, "cannot forget what is old; trying again later"),
        }
        let _ = timeout(LOOK_EVERY, lifecycle.draining()).await;
    }
}
