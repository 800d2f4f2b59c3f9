//! Observe: looks at the database as a whole, again and again, for whoever reads the metrics.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use common::{lifecycle::Lifecycle, metrics};

use super::Flow;
use crate::{
    metrics::{observe_broker, observe_ledger},
    store::figures::Figures,
};

/// How often to look, at most.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A look is followed by a pause of so many times what it took, so that it costs the database next to nothing, however large it is.
const PAUSE_FACTOR: u32 = 100;

/// When the database was looked at, and what it looked like.
type Look = (Instant, Arc<Figures>);

/// What was seen last.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<Option<Look>>>);

impl Seen {
    /// When it was seen, and what; none before the first look.
    pub fn last(&self) -> Option<Look> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn see(&self, figures: Figures) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::new(figures)));
    }
}

/// Looks until the lifecycle drains, if anybody can read of it.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle, has_broker: bool) {
    if !metrics::are_read() {
        return;
    }
    let seen = Seen::default();
    observe_ledger(&seen);
    if has_broker {
        observe_broker(&seen);
    }
    while !lifecycle.is_draining() {
        let began = Instant::now();
        match flow.store.figures().await {
            Ok(figures) => {
                for (invariant, places) in figures.violations.iter().filter(|(_, places)| *places > 0) {
                    tracing::error!(
                        invariant,
                        places,
                        "ALARM: the ledger does not add up: take a trial balance"
                    );
                }
                seen.see(figures);
            }
            Err(error) => tracing::warn!(%error, "cannot look at the ledger as a whole"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY.max(began.elapsed() * PAUSE_FACTOR)) => {}
            () = lifecycle.draining() => {}
        }
    }
}
