//! The parts that write to the queue of work, and where to find what was traced.

use std::collections::BTreeMap;

use common::id::PaymentId;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        ledger::{QueueWrite, Writes},
        payment::{Payment, Work},
    },
    store::{
        save::{Traces, statement::Statement},
        to_micros,
    },
};

/// First leases in one row: few enough that the row stays in one piece.
const LEASES_IN_A_ROW: usize = 64;

/// The writes to the queue of work, by kind.
pub(super) fn queue(statement: &mut Statement, writes: &Writes, traces: &Traces) {
    let (mut lent, mut entered, mut postponed, mut left) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (payment, write) in &writes.queue {
        let id = payment.uuid();
        match write {
            QueueWrite::Lend(lease) => lent.push((to_micros(*lease), id)),
            QueueWrite::Enter { work, bank_id, due_after } => {
                let trace = traces.get(payment).map(String::as_str);
                entered.push((
                    id,
                    bank_id.as_deref().unwrap_or_default(),
                    *work,
                    to_micros(*due_after),
                    trace,
                ));
            }
            QueueWrite::Postpone { token, work, due_after } => {
                postponed.push((id, *token, *work, to_micros(*due_after)));
            }
            QueueWrite::Leave(token) => left.push((id, *token)),
        }
    }
    first_leases(statement, lent, traces);
    statement.part(
        "entered",
        entered.len(),
        "INSERT INTO dispatches (payment_id, bank_id, work, due_at, traceparent) \
         SELECT id, bank_id, work::work, clock_timestamp() + due_after * interval '1 microsecond', traceparent FROM",
        |columns| {
            columns.add(&entered, |(id, ..)| *id).add(&entered, |(_, bank, ..)| *bank);
            columns
                .add(&entered, |(_, _, work, ..)| Work::name(*work))
                .add(&entered, |(.., due_after, _)| *due_after);
            columns.add(&entered, |(.., trace)| *trace);
        },
        "AS g (id, bank_id, work, due_after, traceparent)",
    );
    statement.part(
        "postponed",
        postponed.len(),
        "UPDATE dispatches d SET due_at = clock_timestamp() + g.due_after * interval '1 microsecond', work = g.work::work, \
           fruitless = 0 FROM",
        |columns| {
            columns.add(&postponed, |(id, ..)| *id).add(&postponed, |(_, token, ..)| *token);
            columns.add(&postponed, |(_, _, work, _)| Work::name(*work)).add(&postponed, |(.., due_after)| *due_after);
        },
        "AS g (id, token, work, due_after) WHERE d.payment_id = g.id AND d.token = g.token",
    );
    statement.part(
        "left_queue",
        left.len(),
        "DELETE FROM dispatches d USING",
        |columns| {
            columns.add(&left, |(id, _)| *id).add(&left, |(_, token)| *token);
        },
        "AS g (id, token) WHERE d.payment_id = g.id AND d.token = g.token",
    );
}

/// Leases of one length stand in one row, up to so many.
fn first_leases(statement: &mut Statement, mut leases: Vec<(i64, Uuid)>, traces: &Traces) {
    leases.sort_unstable();
    let rows: Vec<_> = leases
        .chunk_by(|a, b| a.0 == b.0)
        .flat_map(|same| same.chunks(LEASES_IN_A_ROW))
        .filter_map(|same| Some((same.first()?.0, same.iter().map(|(_, id)| *id).collect::<Vec<Uuid>>())))
        .collect();
    statement.few(
        "lent",
        "INSERT INTO first_leases (ends_at, payments, traces) VALUES ",
        rows,
        |sql, (lease, payments)| {
            sql.push("(clock_timestamp() + interval '1 microsecond' * ").push_bind(lease);
            let traced = traced(&payments, traces);
            sql.push(", ").push_bind(payments).push(", ").push_bind(traced).push(")");
        },
    );
}

/// Where to find what was traced of new payments: of those that are sampled, which are few.
pub(super) fn traced_payments(statement: &mut Statement, payments: &[Payment], traces: &Traces) {
    let trace = |payment: &Payment| Some((payment.id.uuid(), trace_id(traces.get(&payment.id)?)?));
    let rows: Vec<(Uuid, Uuid)> = payments.iter().filter_map(trace).collect();
    let begin = "INSERT INTO payment_traces (payment_id, trace_id) VALUES ";
    statement.few("traced_payments", begin, rows, |sql, (payment, trace)| {
        sql.push("(").push_bind(payment).push(", ").push_bind(trace).push(")");
    });
}

/// The trace that a `traceparent` is of (W3C Trace Context).
fn trace_id(traceparent: &str) -> Option<Uuid> {
    Uuid::try_parse(traceparent.split('-').nth(1)?).ok()
}

/// The traces of those payments that have one here, by payment; none if there are none, as nearly always.
fn traced(payments: &[Uuid], traces: &Traces) -> Option<Json<BTreeMap<Uuid, String>>> {
    if traces.is_empty() {
        return None;
    }
    let of = |id: &Uuid| Some((*id, traces.get(&PaymentId::from_uuid(*id))?.clone()));
    let traced: BTreeMap<_, _> = payments.iter().filter_map(of).collect();
    (!traced.is_empty()).then_some(Json(traced))
}
