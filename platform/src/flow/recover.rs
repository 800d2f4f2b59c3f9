//! Recovery: takes over payments whose worker died or whose bank has not answered, and goes on where they were left.

use std::{sync::Arc, time::Duration};

use common::{lifecycle::Lifecycle, trace::TraceParent};
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::{Flow, settle};

/// How often to look for work when there was none.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long to wait when the database is not there.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// Payments taken over at once by one process.
const MAX_AT_ONCE: usize = 128;
/// Payments taken over by one statement.
const MAX_A_CLAIM: usize = 32;

/// Recovers until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle) {
    let places = Arc::new(Semaphore::new(MAX_AT_ONCE));
    while !lifecycle.is_draining() {
        let pause = match take_over(&flow, &places).await {
            Ok(0) => LOOK_EVERY,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(%error, "recovery cannot look for work");
                PAUSE_AFTER_ERROR
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = lifecycle.draining() => {}
        }
    }
}

async fn take_over(flow: &Arc<Flow>, places: &Arc<Semaphore>) -> Result<usize, crate::store::StoreError> {
    // Without a channel nobody can be asked: the payments stay where they are.
    flow.channel.opened().await;
    let free = places.available_permits().min(MAX_A_CLAIM);
    if free == 0 {
        return Ok(0);
    }
    let limit = i64::try_from(free).unwrap_or(1);
    let claimed = flow.store.claim_due(limit, flow.directory.recovery_lease()).await?;
    let count = claimed.len();
    for submission in claimed {
        let Ok(place) = Arc::clone(places).try_acquire_owned() else { break };
        let recovering = Arc::clone(flow);
        let trace = TraceParent::new_root();
        let span = settle::span(&submission, trace);
        let trace = trace.adopt(&span);
        flow.settling.spawn(
            async move {
                tracing::info!(tries = submission.lease.tries, "taken over");
                let evidence = recovering.enquire(&submission, trace).await;
                recovering.conclude(&submission, evidence, trace).await;
                drop(place);
            }
            .instrument(span),
        );
    }
    Ok(count)
}
