//! Recovery: takes over what is due in the queue of work, and goes on where it was left: payments whose worker died, whose
//! bank has not answered or was not there, authorizations that nobody captured.
//!
//! Each bank has its own budget of enquiries and instructions, taken before the work is claimed: what the bank cannot take
//! stays in the queue, oldest first, and a bank that hangs takes nobody else's places.

use std::{sync::Arc, time::Duration};

use common::{
    crash_point,
    lifecycle::Lifecycle,
    planted,
    trace::{Span, SpanKind, TraceParent},
};
use tracing::Instrument;

use super::{Flow, book::Context, settle};
use crate::{
    domain::{
        alarm::AlarmKind,
        ledger::{Alarm, Command, Expire, Submit},
        payment::{MAX_FRUITLESS, Work},
    },
    gate::Place,
    store::{StoreError, dispatches::Claimed},
};

/// How often to look for work when there was none.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How soon to look again when a bank's budget was used up: before its bucket can run over.
const BUDGET_REFILLS: Duration = Duration::from_millis(20);
/// How long to wait when the database is not there.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);
/// Rows of first leases, a batch of payments each, that one statement ends.
const LEASES_AT_ONCE: i64 = 32;
/// Pieces of work taken over by one statement.
const MAX_A_CLAIM: usize = 64;

/// Recovers until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle) {
    if planted::is("X7") {
        return;
    }
    while !lifecycle.is_draining() {
        let pause = match take_over(&flow).await {
            Ok(pause) => pause,
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

/// Takes over what is due and may be done now; returns how long to wait before the next look.
async fn take_over(flow: &Arc<Flow>) -> Result<Duration, StoreError> {
    let mut pause = LOOK_EVERY;
    while flow.store.end_first_leases(LEASES_AT_ONCE).await? == LEASES_AT_ONCE {}
    for (bank_id, work) in flow.store.banks_with_due_work().await? {
        let places = places(flow, bank_id.as_deref(), work);
        if places.is_empty() {
            pause = pause.min(BUDGET_REFILLS);
            continue;
        }
        let limit = i64::try_from(places.len()).unwrap_or(1);
        let lease = flow.directory.recovery_lease();
        let claimed = flow.store.claim_due(bank_id.as_deref(), work, limit, lease).await?;
        if claimed.len() == places.len() {
            pause = pause.min(BUDGET_REFILLS);
        }
        for (claimed, place) in claimed.into_iter().zip(places) {
            go_on(flow, claimed, work, place);
        }
    }
    Ok(pause)
}

/// Places for as much work as may be done now; none while the bank is known to be down.
fn places(flow: &Flow, bank_id: Option<&str>, work: Work) -> Vec<Option<Place>> {
    let Some(bank_id) = bank_id else { return (0..MAX_A_CLAIM).map(|_| None).collect() };
    if !flow.channel.is_open() {
        return Vec::new();
    }
    let Some(bank) = flow.directory.bank_by_id(bank_id) else {
        // A bank that has left the directory: one at a time, until it is back or operators have found out.
        return vec![None];
    };
    if !bank.online {
        return Vec::new();
    }
    let take = || match work {
        Work::Send => bank.gate.instruction(),
        Work::Enquire | Work::Expire => bank.gate.enquiry(),
    };
    std::iter::from_fn(take).take(MAX_A_CLAIM).map(Some).collect()
}

/// Goes on with one piece of work, in a task of its own.
fn go_on(flow: &Arc<Flow>, claimed: Claimed, work: Work, place: Option<Place>) {
    let recovering = Arc::clone(flow);
    let traceparent = claimed.traceparent.as_deref().unwrap_or_default();
    let span = Span::begin(traceparent, "recover", SpanKind::Consumer);
    let mut span = settle::described(span, &claimed.payment);
    span.set("rialto.queue.work", work.name());
    let trace = span.context();
    let logged = settle::log_span(&claimed.payment, trace);
    flow.settling.spawn(
        async move {
            let Claimed { lease, .. } = claimed;
            tracing::info!(
                work = work.name(),
                tries = lease.tries,
                fruitless = lease.fruitless,
                "taken over"
            );
            crash_point::here("recover.after_claim");
            if lease.fruitless > MAX_FRUITLESS {
                recovering.quarantined(&claimed).await;
            }
            match work {
                Work::Send => recovering.send_again(claimed, Context { trace, place }).await,
                Work::Expire => recovering.expire(claimed, trace).await,
                Work::Enquire => recovering.ask_again(claimed, trace).await,
            }
            drop(span);
        }
        .instrument(logged),
    );
}

impl Flow {
    async fn ask_again(&self, claimed: Claimed, trace: TraceParent) {
        let Some(mut submission) = claimed.submission else {
            return tracing::error!("there is nothing to ask about: no attempt is on record");
        };
        if planted::is("X3") {
            Arc::make_mut(&mut submission.payment.terms).uetr = uuid::Uuid::new_v4();
        }
        let learnt = self.enquire(&submission, trace).await;
        crash_point::here("recover.after_enquiry");
        self.conclude(&claimed.payment, Some(claimed.lease), learnt, trace).await;
    }

    /// Has an attempt written; the book hands it to be sent once it is committed.
    async fn send_again(&self, claimed: Claimed, context: Context) {
        let payment = claimed.payment;
        let Some(bank) = payment.bank_id.as_deref().and_then(|id| self.directory.bank_by_id(id)) else {
            return tracing::warn!("the bank has left the directory: the payment waits until it is back");
        };
        let submit = Submit {
            payment: payment.id,
            original: payment.original,
            token: claimed.lease.token,
            valid_for: bank.valid_for,
            lease: bank.lease(),
        };
        if let Err(why) = self.book.write(Command::Submit(Box::new(submit)), context).await {
            tracing::warn!(?why, "not submitted; the payment stays in the queue");
        }
    }

    async fn expire(&self, claimed: Claimed, trace: TraceParent) {
        let expire = Expire { payment: claimed.payment.id, token: claimed.lease.token };
        crash_point::here("recover.before_expiry");
        if let Err(why) = self.book.write(Command::Expire(Box::new(expire)), trace).await {
            tracing::warn!(?why, "not expired; the authorization stays in the queue");
        }
        crash_point::here("recover.after_expiry");
    }

    async fn quarantined(&self, claimed: &Claimed) {
        let alarm = Alarm {
            kind: AlarmKind::WorkQuarantined,
            payment: claimed.payment.id,
            detail: format!("taken over {} times and never brought to an end", claimed.lease.fruitless),
            at: self.clock.now(),
        };
        if let Err(error) = self.store.raise(alarm).await {
            tracing::warn!(%error, "the alarm is not on record");
        }
    }
}
