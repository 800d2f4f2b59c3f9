//! From started to stopped: not ready → ready → drain → hard stop.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Says when to begin to stop, and when to have stopped.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    serving: CancellationToken,
    draining: CancellationToken,
    stopped: CancellationToken,
}

impl Lifecycle {
    /// A lifecycle that only [`Lifecycle::drain`] ends.
    pub fn new() -> Self {
        Self::default()
    }

    /// A lifecycle that SIGTERM or SIGINT ends: the first begins the drain, and a second one, or `drain_timeout`, stops
    /// hard. SIGHUP ends nothing from now on; who reads files again on it listens for it.
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub fn on_signals(drain_timeout: Duration) -> std::io::Result<Self> {
        let lifecycle = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Without anybody who listens, a hangup would end a process that has only just started.
        drop(signal(SignalKind::hangup())?);
        let handle = lifecycle.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" }
            };
            let name = next().await;
            tracing::info!(signal = name, "draining: no longer ready, finishing what is under way");
            handle.draining.cancel();
            tokio::select! {
                name = next() => tracing::warn!(signal = name, "stopping hard"),
                () = tokio::time::sleep(drain_timeout) => tracing::warn!("drain timeout: stopping hard"),
            }
            handle.stopped.cancel();
        });
        Ok(lifecycle)
    }

    /// Notes that the service serves.
    pub fn serve(&self) {
        self.serving.cancel();
    }

    /// Whether new work is welcome: the service serves, and does not drain.
    pub fn is_ready(&self) -> bool {
        self.serving.is_cancelled() && !self.is_draining()
    }

    /// Begins the drain.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Completes when the drain begins.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Completes when whatever is still under way must be left as it is.
    pub async fn stopped(&self) {
        self.stopped.cancelled().await;
    }
}
