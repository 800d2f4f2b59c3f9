//! Seal: has the audit log take up what was decided, some time after it was written and off the path of payments.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{audit, lifecycle::Lifecycle};

use super::Flow;
use crate::{
    metrics,
    store::{Store, StoreError},
};

/// How often to seal, at most.
const SEAL_EVERY: Duration = Duration::from_secs(10);
/// How often to look whether what was under way is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Seals what is older than `lag`, round by round, until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle, lag: Duration) {
    while !lifecycle.is_draining() {
        match round(&flow.store, lag, || !lifecycle.is_draining()).await {
            Ok(_) => metrics::sealed(),
            Err(error) => tracing::warn!(%error, "cannot seal the audit log; trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(SEAL_EVERY.min(lag)) => {}
            () = lifecycle.draining() => {}
        }
    }
}

/// Seals all that is older than `lag`, while `go_on` says so. Returns how many leaves were sealed.
///
/// # Errors
/// When the database fails; what was sealed before stays sealed.
pub async fn round(store: &Store, lag: Duration, go_on: impl Fn() -> bool) -> Result<u64, StoreError> {
    let horizon = store.advance_audit_horizon(lag).await?;
    while !store.is_audit_horizon_seen(horizon).await? {
        if !go_on() {
            return Ok(0);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let mut leaves = 0;
    let round_began = Instant::now();
    while go_on() {
        let began = Instant::now();
        let Some(seal) = store.seal(horizon).await? else { break };
        leaves += seal.log.size() - seal.first_leaf;
        // Outside of the database, so that whoever changes it cannot change this.
        let root = audit::hex(&seal.log.root());
        tracing::info!(size = seal.log.size(), root, "audit log sealed");
        // Payments under way have most of the time to themselves, and half of it while the log is behind.
        let rests = if round_began.elapsed() < SEAL_EVERY { 4 } else { 1 };
        tokio::time::sleep(began.elapsed() * rests).await;
    }
    Ok(leaves)
}
