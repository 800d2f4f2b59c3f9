//! Has somebody hear of a library's warnings that nothing but its log tells.

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Calls a function at each warning of one target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    pub(super) target: &'static str,
    pub(super) heard: fn(),
}

impl<S: Subscriber> Layer<S> for Hearing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == self.target && *event.metadata().level() <= Level::WARN {
            (self.heard)();
        }
    }
}
