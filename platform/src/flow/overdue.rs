//! Raises an alarm for payments whose end is overdue. Nothing fails by getting old: the work on them goes on.

use std::{sync::Arc, time::Duration};

use common::lifecycle::Lifecycle;

use super::Flow;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Payments that one look raises alarms for, for each bank.
const MAX_AT_ONCE: i64 = 1_000;

/// Looks for overdue payments until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle) {
    while !lifecycle.is_draining() {
        for bank in flow.directory.all() {
            let raised = flow.store.raise_overdue(&bank.id, bank.overdue_after, &flow.clock, MAX_AT_ONCE);
            match raised.await {
                Ok(0) => {}
                Ok(payments) => tracing::error!(bank = bank.id, payments, "ALARM: payments are overdue"),
                Err(error) => tracing::warn!(%error, "cannot look for overdue payments"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = lifecycle.draining() => {}
        }
    }
}
