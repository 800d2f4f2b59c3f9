//! What is measured of events on their way to endpoints and to the broker.

use std::sync::LazyLock;

use common::metrics::{self, Counter, label};

use super::{Values, count, seconds, shown};
use crate::flow::observe::Seen;

static PUBLISHED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what = "Messages that the broker has said it has, repeats among them.";
    metrics::counter("rialto.broker.published", "{message}", what)
});

/// The broker has so many more messages.
pub fn published(messages: usize) {
    PUBLISHED.add(u64::try_from(messages).unwrap_or(u64::MAX), &[]);
}

/// Has whoever reads see how far endpoints are behind.
pub(super) fn observe_told(seen: &Seen) {
    let show = |name, unit, what, values: Values| shown(name, unit, what, seen, values);
    let what =
        "Participants' endpoints, by whether the last attempt to post to them failed, or they are disabled.";
    show("rialto.webhook.endpoint.count", "{endpoint}", what, |figures| {
        let labels = |state| vec![label("rialto.webhook.endpoint.state", state)];
        figures.told.endpoints.iter().map(|(state, number)| (count(*number), labels(*state))).collect()
    });
    let what = "For how long the oldest delivery has been due to an endpoint that does not fail.";
    show("rialto.webhook.due.age", "s", what, |figures| {
        vec![(seconds(figures.told.oldest_due_ms), Vec::new())]
    });
    let what = "Events that are not queued for endpoints yet.";
    show("rialto.webhook.unqueued.count", "{event}", what, |figures| {
        vec![(count(figures.told.unqueued), Vec::new())]
    });
}

/// Has whoever reads see how far the broker is behind.
pub fn observe_broker(seen: &Seen) {
    let show = |name, unit, what, values: Values| shown(name, unit, what, seen, values);
    show("rialto.broker.lag.count", "{event}", "Events that the broker does not have yet.", |figures| {
        figures.told.broker.iter().map(|lag| (count(lag.events), Vec::new())).collect()
    });
    let what = "How long ago the first event that the broker does not have happened.";
    show("rialto.broker.lag.age", "s", what, |figures| {
        figures.told.broker.iter().map(|lag| (seconds(lag.oldest_ms), Vec::new())).collect()
    });
    let what = "Events that were forgotten before the broker had them, ever.";
    show("rialto.broker.missed.count", "{event}", what, |figures| {
        figures.told.broker.iter().map(|lag| (count(lag.missed), Vec::new())).collect()
    });
}
