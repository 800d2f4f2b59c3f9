//! Archive: has payments that were over long enough leave the tables that every payment writes to, so that these stay small.
//! Nothing waits for it, and whoever asks finds the payments as before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{clock::Clock, id::PaymentId, lifecycle::Lifecycle};

use super::Flow;
use crate::store::{Store, StoreError, archive::Moved};

/// How often to look for payments that have been over for long enough.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Payments without an original that one commit looks at: few, so that whoever wants one of them waits a moment only.
const AT_ONCE: i32 = 256;

/// What a round has moved so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Payments that left.
    pub payments: u64,
    /// The last one that was looked at.
    pub last: Option<PaymentId>,
    /// Whether another platform is at it, and the rest was left to that one.
    pub is_left: bool,
}

/// Archives what has been over for `keep`, round by round, until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle, keep: Duration) {
    while !lifecycle.is_draining() {
        let moved = round(&flow.store, &flow.clock, keep, |_| !lifecycle.is_draining()).await;
        match moved {
            Ok(Progress { payments: 0, .. }) => {}
            Ok(Progress { payments, .. }) => tracing::info!(payments, "moved to the archive"),
            Err(error) => tracing::warn!(%error, "cannot move payments to the archive; trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY.min(keep)) => {}
            () = lifecycle.draining() => {}
        }
    }
}

/// Looks once at all payments that have been over for `keep`, oldest first, while `go_on` says so. Rests after each commit for as
/// long as it took, so that payments under way have at least half of the time to themselves. What cannot leave yet is passed over;
/// while another platform is at it, everything is left to that one.
///
/// # Errors
/// When the database fails; what was moved before stays moved.
pub async fn round(
    store: &Store,
    clock: &Clock,
    keep: Duration,
    mut go_on: impl FnMut(&Progress) -> bool,
) -> Result<Progress, StoreError> {
    let mut progress = Progress::default();
    let Some(closed_before) = clock.now().checked_sub(keep) else { return Ok(progress) };
    while go_on(&progress) {
        let began = Instant::now();
        let moved = store.move_to_archive(closed_before, progress.last, AT_ONCE).await?;
        progress.is_left = moved.is_none();
        let Some(Moved { payments, last: Some(last) }) = moved else { break };
        progress.payments += payments;
        progress.last = Some(last);
        tokio::time::sleep(began.elapsed()).await;
    }
    Ok(progress)
}
