//! What is measured of commands, batches, payments and the database (`docs/telemetry.md`).

mod command;
mod told;

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use common::metrics::{self, Counter, Histogram, Label, figure, label};
use sqlx::PgPool;

pub use command::{command_done, name_of};
use told::observe_told;
pub use told::{observe_broker, published};

use crate::{
    domain::{
        ledger::Writes,
        payment::{Kind, Payment, State},
    },
    flow::observe::Seen,
    store::figures::{Figures, Lane, UnderWay},
};

const BANK: &str = "rialto.bank.id";
const STATE: &str = "rialto.payment.state";

static EVENTS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what =
        "Steps in payments' lives that this platform has written, by the state that they led to and why.";
    metrics::counter("rialto.payment.events", "{event}", what)
});
static BATCH_SIZE: LazyLock<Histogram<u64>> = LazyLock::new(|| {
    metrics::size("rialto.ledger.batch.size", "{command}", "Commands that were committed together.")
});
static BATCH_DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    let what = "Batches, from the first try to decide and save to the commit.";
    metrics::duration("rialto.ledger.batch.duration", what)
});
static REPEATED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what =
        "Batches that were decided again, since something had changed meanwhile or the database failed.";
    metrics::counter("rialto.ledger.batch.repeated", "{batch}", what)
});
/// When the audit log last had taken up all that was old enough.
static SEALED_AT: LazyLock<Mutex<Instant>> = LazyLock::new(|| Mutex::new(Instant::now()));

/// A batch was committed.
pub fn batch_done(commands: usize, took: Duration) {
    BATCH_SIZE.record(u64::try_from(commands).unwrap_or(u64::MAX), &[]);
    BATCH_DURATION.record(took.as_secs_f64(), &[]);
}

/// A batch is decided again; `refused` if the database said no, rather than failed.
pub fn batch_repeated(refused: bool) {
    REPEATED.add(1, &[label("rialto.reason", if refused { "refused" } else { "failed" })]);
}

/// These writes are committed. Counted together where they are alike, since most of a batch is.
pub fn written(writes: &Writes) {
    let mut events: BTreeMap<(&str, &str, &str, &str), u64> = BTreeMap::new();
    let new: BTreeMap<_, &Payment> =
        writes.new_payments.iter().map(|payment| (payment.id, payment)).collect();
    for event in &writes.events {
        let changed = || writes.changed_payments.get(&event.payment).map(|change| &change.payment);
        let payment = new.get(&event.payment).copied().or_else(changed);
        let kind = payment.map_or("", |payment| Kind::name(payment.kind));
        let bank = payment.and_then(|payment| payment.bank_id.as_deref()).unwrap_or_default();
        let reason = event.reason.as_ref().map_or("", |reason| reason.code.as_str());
        *events.entry((State::name(event.state), reason, kind, bank)).or_default() += 1;
    }
    for ((state, reason, kind, bank), count) in events {
        EVENTS.add(
            count,
            &[
                label(STATE, state.to_owned()),
                label("rialto.reason", reason.to_owned()),
                label("rialto.payment.kind", kind.to_owned()),
                label(BANK, bank.to_owned()),
            ],
        );
    }
}

/// The audit log has taken up all that was old enough.
pub fn sealed() {
    *SEALED_AT.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
}

/// Has whoever reads see what waits and is under way in this process, each as `look` finds it then.
pub fn observe_flow(
    waiting: impl Fn() -> usize + Send + Sync + 'static,
    settling: impl Fn() -> usize + Send + Sync + 'static,
) {
    let number = |count: usize| figure(u64::try_from(count).unwrap_or(u64::MAX));
    let what = "Commands that wait for the ledger.";
    metrics::observed("rialto.ledger.waiting.count", "{command}", what, move |seen| {
        seen.observe(number(waiting()), &[]);
    });
    let what = "Payments that this platform is settling.";
    metrics::observed("rialto.payment.settling.count", "{payment}", what, move |seen| {
        seen.observe(number(settling()), &[]);
    });
    let what = "Since when the audit log has not taken up all that was old enough.";
    sealed();
    metrics::observed("rialto.audit.seal.age", "s", what, |seen| {
        let sealed_at = *SEALED_AT.lock().unwrap_or_else(PoisonError::into_inner);
        seen.observe(sealed_at.elapsed().as_secs_f64(), &[]);
    });
}

/// Has whoever reads see the connections for reads.
pub fn observe_pool(pool: &PgPool) {
    const POOL: &str = "db.client.connection.pool.name";
    let what = "Connections to the database, by whether they are in use.";
    let connections = pool.clone();
    metrics::observed("db.client.connection.count", "{connection}", what, move |seen| {
        let idle = u64::try_from(connections.num_idle()).unwrap_or(u64::MAX);
        let used = u64::from(connections.size()).saturating_sub(idle);
        for (state, count) in [("idle", idle), ("used", used)] {
            let labels = [label(POOL, "reads"), label("db.client.connection.state", state)];
            seen.observe(figure(count), &labels);
        }
    });
    let max = u64::from(pool.options().get_max_connections());
    let what = "Connections to the database that there may be.";
    metrics::observed("db.client.connection.max", "{connection}", what, move |seen| {
        seen.observe(figure(max), &[label(POOL, "reads")]);
    });
}

/// A value of a figure, and its labels.
type Value = (f64, Vec<Label>);
/// What is made of the figures.
type Values = fn(&Figures) -> Vec<Value>;

/// Has whoever reads see the database as it was seen last. Every platform on one database says the same of it.
pub fn observe_ledger(seen: &Seen) {
    let show = |name, unit, what, values: Values| shown(name, unit, what, seen, values);
    show("rialto.queue.depth", "{payment}", "Payments in the queue of work.", |figures| {
        figures.lanes.iter().map(|lane| (count(lane.depth), lane_labels(lane))).collect()
    });
    show("rialto.queue.age", "s", "For how long the oldest work has been due.", |figures| {
        figures.lanes.iter().map(|lane| (seconds(lane.oldest_due_ms), lane_labels(lane))).collect()
    });
    let what = "Payments whose work never came to an end: it is tried once an hour.";
    show("rialto.queue.quarantined", "{payment}", what, |figures| {
        figures.lanes.iter().map(|lane| (count(lane.quarantined), lane_labels(lane))).collect()
    });
    show("rialto.queue.overdue", "{payment}", "Payments in the queue whose end is overdue.", |figures| {
        figures.lanes.iter().map(|lane| (count(lane.overdue), lane_labels(lane))).collect()
    });
    show("rialto.payment.under_way.count", "{payment}", "Payments that are not over.", |figures| {
        figures.under_way.iter().map(|some| (count(some.count), state_labels(some))).collect()
    });
    let what = "How long ago the oldest payment that is not over was made.";
    show("rialto.payment.under_way.age", "s", what, |figures| {
        figures.under_way.iter().map(|some| (seconds(some.oldest_ms), state_labels(some))).collect()
    });
    show("rialto.alarm.count", "{alarm}", "Alarms that were ever raised.", |figures| {
        let labels = |kind: &str| vec![label("rialto.alarm.kind", kind.to_owned())];
        figures.alarms.iter().map(|(kind, number)| (count(*number), labels(kind))).collect()
    });
    let what = "Where the ledger does not add up: currencies, or accounts. Anything but 0 is an emergency.";
    show("rialto.ledger.violation.count", "{violation}", what, |figures| {
        let labels = |name| vec![label("rialto.ledger.invariant", name)];
        figures.violations.iter().map(|(name, number)| (count(*number), labels(*name))).collect()
    });
    let what = "Commits that have no place in the log of events yet, so that nobody hears of them.";
    show("rialto.event.unplaced.count", "{commit}", what, |figures| {
        vec![(count(figures.unplaced), Vec::new())]
    });
    let what = "How long the last look at the database waited for a connection.";
    show("rialto.database.wait", "s", what, |figures| vec![(figures.waited.as_secs_f64(), Vec::new())]);
    let what = "Standbys of the database, by whether commits wait for them.";
    show("rialto.database.standby.count", "{standby}", what, |figures| {
        let mode = |mode| vec![label("rialto.database.standby.mode", mode)];
        figures.standbys.iter().map(|(name, number)| (count(*number), mode(*name))).collect()
    });
    observe_told(seen);
    let seen = seen.clone();
    let what = "How old the figures of the database are.";
    metrics::observed("rialto.ledger.look.age", "s", what, move |reader| {
        if let Some((at, _)) = seen.last() {
            reader.observe(at.elapsed().as_secs_f64(), &[]);
        }
    });
}

/// Has whoever reads see what `values` makes of the figures that were seen last.
fn shown(name: &'static str, unit: &'static str, what: &'static str, seen: &Seen, values: Values) {
    let seen = seen.clone();
    metrics::observed(name, unit, what, move |reader| {
        let Some((_, figures)) = seen.last() else { return };
        for (value, labels) in values(&figures) {
            reader.observe(value, &labels);
        }
    });
}

fn lane_labels(lane: &Lane) -> Vec<Label> {
    vec![label(BANK, lane.bank_id.clone()), label("rialto.queue.work", lane.work.clone())]
}

fn state_labels(some: &UnderWay) -> Vec<Label> {
    vec![label(BANK, some.bank_id.clone()), label(STATE, some.state.clone())]
}

fn count(number: i64) -> f64 {
    figure(u64::try_from(number).unwrap_or_default())
}

fn seconds(ms: i64) -> f64 {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default()).as_secs_f64()
}
