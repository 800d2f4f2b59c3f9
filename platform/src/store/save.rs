//! Saves what the rules decided: one fused statement, one round trip, all or nothing. What is rare (alarms, refunds,
//! resolutions) has statements of its own in the same transaction, only when there is any.
//!
//! The statement refuses what was decided on something that has changed since: a payment by its sequence number, a lease by
//! its token, a request id by its unique key, too little money by the account's constraint. Every part counts the rows it
//! wrote, and any other number than was sent undoes the whole. Payments and deposits are inserted in the order of their
//! request ids, payments and accounts changed in that of their ids. The parts are done in the order in which they are counted:
//! payments that there are, then accounts, then what is new, which is also the order under locks, so that two platforms cannot
//! deadlock.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{StoreError, alarms, payments::PayeeColumn, refunds, resolutions, to_micros, to_sql};
use crate::domain::{
    ledger::{QueueWrite, Writes},
    payment::{Authorization, Payment, State, Work, own_end_to_end_id},
    transfer::Cause,
};
use common::id::PaymentId;

const SAVE: &str = "
WITH new_payments AS (
  INSERT INTO payments (id, participant_id, request_id, request_fingerprint, payer_account, credit_account, payee, amount,
    currency, remittance_information, end_to_end_id, metadata, bank_id, uetr, state, reason_code, reason_iso_code,
    reason_message, sequence, is_queued, created_at, updated_at, kind, original_id, held, capturing, captured, expires_at)
  SELECT id, participant_id, request_id, fingerprint, payer, credit, payee::jsonb, amount, currency, remittance, end_to_end,
    metadata::jsonb, bank_id, uetr, state::payment_state, code, iso, message, 1, is_queued, at, at, kind::payment_kind,
    original, held, capturing, captured, expires
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::uuid[], $7::text[], $8::bigint[], $9::text[],
    $10::text[], $11::text[], $12::text[], $13::text[], $14::uuid[], $15::text[], $16::text[], $17::text[], $18::text[],
    $19::boolean[], $20::timestamptz[], $21::text[], $22::uuid[], $23::bigint[], $24::bigint[], $25::bigint[],
    $26::timestamptz[])
    AS g (id, participant_id, request_id, fingerprint, payer, credit, payee, amount, currency, remittance, end_to_end,
      metadata, bank_id, uetr, state, code, iso, message, is_queued, at, kind, original, held, capturing, captured, expires)
  RETURNING 1
), changed_payments AS (
  UPDATE payments p SET state = g.state::payment_state, reason_code = g.code, reason_iso_code = g.iso,
    reason_message = g.message, sequence = g.sequence, updated_at = g.at, is_queued = g.is_queued, held = g.held,
    capturing = g.capturing, captured = g.captured, closing = g.closing::payment_state
  FROM unnest($27::uuid[], $28::text[], $29::text[], $30::text[], $31::text[], $32::int[], $33::timestamptz[],
    $34::boolean[], $35::bigint[], $36::bigint[], $37::bigint[], $38::text[], $39::int[], $40::boolean[])
    AS g (id, state, code, iso, message, sequence, at, is_queued, held, capturing, captured, closing, from_sequence, was_queued)
  WHERE p.id = g.id AND p.sequence = g.from_sequence AND p.is_queued = g.was_queued
  RETURNING 1
), new_deposits AS (
  INSERT INTO deposits (id, participant_id, request_id, request_fingerprint, account_id, amount, currency, bank_id, reference,
    created_at)
  SELECT * FROM unnest($41::uuid[], $42::text[], $43::text[], $44::bytea[], $45::uuid[], $46::bigint[], $47::text[],
    $48::text[], $49::text[], $50::timestamptz[])
  RETURNING 1
), new_transfers AS (
  INSERT INTO transfers (id, payment_id, deposit_id, debit_account, credit_account, amount, created_at, debit_is_house,
    credit_is_house)
  SELECT * FROM unnest($51::uuid[], $52::uuid[], $53::uuid[], $54::uuid[], $55::uuid[], $56::bigint[], $57::timestamptz[],
    $58::boolean[], $59::boolean[])
  RETURNING 1
), new_events AS (
  INSERT INTO payment_events (payment_id, sequence, state, reason_code, reason_iso_code, bank_message_id, created_at, attempt,
    valid_until)
  SELECT payment_id, sequence, state::payment_state, code, iso, bank_message_id, at, attempt, valid_until
  FROM unnest($60::uuid[], $61::int[], $62::text[], $63::text[], $64::text[], $65::text[], $66::timestamptz[], $67::int[],
    $68::timestamptz[]) AS g (payment_id, sequence, state, code, iso, bank_message_id, at, attempt, valid_until)
  RETURNING 1
), lent AS (
  INSERT INTO first_leases (ends_at, payments)
  SELECT clock_timestamp() + lease * interval '1 microsecond', array_agg(id)
  FROM unnest($69::uuid[], $70::bigint[], $71::int[]) AS g (id, lease, part) GROUP BY lease, part
  RETURNING cardinality(payments) AS n
), entered AS (
  INSERT INTO dispatches (payment_id, bank_id, work, due_at)
  SELECT id, bank_id, work::work, clock_timestamp() + due_after * interval '1 microsecond'
  FROM unnest($72::uuid[], $73::text[], $74::text[], $75::bigint[]) AS g (id, bank_id, work, due_after)
  RETURNING 1
), postponed AS (
  UPDATE dispatches d SET due_at = clock_timestamp() + g.due_after * interval '1 microsecond', work = g.work::work, fruitless = 0
  FROM unnest($76::uuid[], $77::bigint[], $78::text[], $79::bigint[]) AS g (id, token, work, due_after)
  WHERE d.payment_id = g.id AND d.token = g.token
  RETURNING 1
), left_queue AS (
  DELETE FROM dispatches d USING unnest($80::uuid[], $81::bigint[]) AS g (id, token)
  WHERE d.payment_id = g.id AND d.token = g.token
  RETURNING 1
), moved AS (
  UPDATE accounts a SET debits_pending = a.debits_pending + g.dp, debits_posted = a.debits_posted + g.d,
    credits_pending = a.credits_pending + g.cp, credits_posted = a.credits_posted + g.c
  FROM unnest($82::uuid[], $83::bigint[], $84::bigint[], $85::bigint[], $86::bigint[]) AS g (id, dp, d, cp, c)
  WHERE a.id = g.id
  RETURNING 1
)
SELECT expect_rows('changed_payments', (SELECT count(*) FROM changed_payments), cardinality($27)),
  expect_rows('moved', (SELECT count(*) FROM moved), cardinality($82)),
  expect_rows('new_payments', (SELECT count(*) FROM new_payments), cardinality($1)),
  expect_rows('new_deposits', (SELECT count(*) FROM new_deposits), cardinality($41)),
  expect_rows('new_transfers', (SELECT count(*) FROM new_transfers), cardinality($51)),
  expect_rows('new_events', (SELECT count(*) FROM new_events), cardinality($60)),
  expect_rows('lent', (SELECT coalesce(sum(n), 0) FROM lent), cardinality($69)),
  expect_rows('entered', (SELECT count(*) FROM entered), cardinality($72)),
  expect_rows('postponed', (SELECT count(*) FROM postponed), cardinality($76)),
  expect_rows('left_queue', (SELECT count(*) FROM left_queue), cardinality($80))";

/// First leases in one row: few enough that the row stays in one piece.
const LEASES_IN_A_ROW: usize = 64;

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Saves `writes` as a transaction of its own.
///
/// # Errors
/// When the database fails or refuses.
pub async fn at_once(connection: &mut PgConnection, writes: &Writes) -> Result<(), StoreError> {
    if writes.refunded.is_empty() && writes.proposals.is_empty() && writes.alarms.is_empty() {
        return fused(connection, writes).await;
    }
    let mut transaction = connection.begin().await?;
    self::writes(&mut transaction, writes).await?;
    Ok(transaction.commit().await?)
}

/// Saves `writes` inside the open transaction.
///
/// # Errors
/// When the database fails or refuses.
pub async fn writes(connection: &mut PgConnection, writes: &Writes) -> Result<(), StoreError> {
    fused(&mut *connection, writes).await?;
    refunds::save(connection, &writes.refunded).await?;
    resolutions::save(connection, &writes.proposals).await?;
    alarms::save(connection, &writes.alarms).await
}

async fn fused(connection: &mut PgConnection, writes: &Writes) -> Result<(), StoreError> {
    let mut new_payments: Vec<&Payment> = writes.new_payments.iter().collect();
    new_payments.sort_by(|a, b| (&a.participant, &a.request_id).cmp(&(&b.participant, &b.request_id)));
    let query = bind_new_payments(sqlx::query(SAVE), &new_payments)?;
    let query = bind_changed_payments(query, writes);
    let query = bind_deposits(query, writes);
    let query = bind_transfers(query, writes);
    let query = bind_events(query, writes);
    let query = Queue::of(writes).bind(query);
    // Reads on to the server's last word, which outside of a transaction is the one that it has committed: `fetch_one` would be
    // content with the row, which comes before.
    bind_deltas(query, writes).execute(connection).await?;
    Ok(())
}

fn column<'a, S, T>(rows: &'a [S], value: impl Fn(&'a S) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// A column that only authorizations have.
fn sums<T>(rows: &[&Payment], value: impl Fn(&Authorization) -> T) -> Vec<Option<T>> {
    rows.iter().map(|payment| payment.authorization.as_ref().map(&value)).collect()
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Database(sqlx::Error::Encode(error.into())))
}

fn bind_new_payments<'q>(query: Query<'q>, rows: &[&'q Payment]) -> Result<Query<'q>, StoreError> {
    let payees: Vec<String> =
        rows.iter().map(|p| json(&PayeeColumn::from(&p.payee))).collect::<Result<_, _>>()?;
    let metadata: Vec<String> = rows.iter().map(|p| json(&p.metadata)).collect::<Result<_, _>>()?;
    Ok(query
        .bind(column(rows, |p| p.id.uuid()))
        .bind(column(rows, |p| p.participant.as_str()))
        .bind(column(rows, |p| p.request_id.as_str()))
        .bind(column(rows, |p| p.fingerprint.as_slice()))
        .bind(column(rows, |p| p.payer_account.uuid()))
        .bind(column(rows, |p| p.credit_account.uuid()))
        .bind(payees)
        .bind(column(rows, |p| p.amount.minor_units()))
        .bind(column(rows, |p| p.amount.currency().code()))
        .bind(column(rows, |p| p.remittance_information.as_str()))
        .bind(column(rows, |p| Some(p.end_to_end_id.as_str()).filter(|id| *id != own_end_to_end_id(p.id))))
        .bind(metadata)
        .bind(column(rows, |p| p.bank_id.as_deref()))
        .bind(column(rows, |p| p.uetr))
        .bind(column(rows, |p| p.state.name()))
        .bind(column(rows, |p| p.reason.as_ref().map(|reason| reason.code.as_str())))
        .bind(column(rows, |p| p.reason.as_ref().map(|reason| reason.iso_code.as_str())))
        .bind(column(rows, |p| p.reason.as_ref().map(|reason| reason.message.as_str())))
        .bind(column(rows, |p| p.is_queued))
        .bind(column(rows, |p| to_sql(p.created_at)))
        .bind(column(rows, |p| p.kind.name()))
        .bind(column(rows, |p| p.original.map(PaymentId::uuid)))
        .bind(sums(rows, |sums| sums.held))
        .bind(sums(rows, |sums| sums.capturing))
        .bind(sums(rows, |sums| sums.captured))
        .bind(sums(rows, |sums| to_sql(sums.expires_at))))
}

fn bind_changed_payments<'q>(query: Query<'q>, writes: &'q Writes) -> Query<'q> {
    let rows: Vec<&Payment> = writes.changed_payments.values().map(|change| &change.payment).collect();
    query
        .bind(column(&rows, |p| p.id.uuid()))
        .bind(column(&rows, |p| p.state.name()))
        .bind(column(&rows, |p| p.reason.as_ref().map(|reason| reason.code.as_str())))
        .bind(column(&rows, |p| p.reason.as_ref().map(|reason| reason.iso_code.as_str())))
        .bind(column(&rows, |p| p.reason.as_ref().map(|reason| reason.message.as_str())))
        .bind(column(&rows, |p| p.sequence))
        .bind(column(&rows, |p| to_sql(p.updated_at)))
        .bind(column(&rows, |p| p.is_queued))
        .bind(sums(&rows, |sums| sums.held))
        .bind(sums(&rows, |sums| sums.capturing))
        .bind(sums(&rows, |sums| sums.captured))
        .bind(
            sums(&rows, |sums| sums.closing.map(State::name))
                .into_iter()
                .map(Option::flatten)
                .collect::<Vec<_>>(),
        )
        .bind(writes.changed_payments.values().map(|change| change.from_sequence).collect::<Vec<_>>())
        .bind(writes.changed_payments.values().map(|change| change.was_queued).collect::<Vec<_>>())
}

fn bind_deposits<'q>(query: Query<'q>, writes: &'q Writes) -> Query<'q> {
    let mut rows: Vec<_> = writes.deposits.iter().collect();
    rows.sort_by(|a, b| (&a.participant, &a.order.request_id).cmp(&(&b.participant, &b.order.request_id)));
    query
        .bind(column(&rows, |d| d.id.uuid()))
        .bind(column(&rows, |d| d.participant.as_str()))
        .bind(column(&rows, |d| d.order.request_id.as_str()))
        .bind(column(&rows, |d| d.fingerprint.as_slice()))
        .bind(column(&rows, |d| d.order.account.uuid()))
        .bind(column(&rows, |d| d.order.amount.minor_units()))
        .bind(column(&rows, |d| d.order.amount.currency().code()))
        .bind(column(&rows, |d| d.order.bank_id.as_str()))
        .bind(column(&rows, |d| d.order.reference.as_str()))
        .bind(column(&rows, |d| to_sql(d.created_at)))
}

fn bind_transfers<'q>(query: Query<'q>, writes: &'q Writes) -> Query<'q> {
    let rows = &writes.transfers;
    let payment = |cause: Cause| match cause {
        Cause::Payment(id) => Some(id.uuid()),
        Cause::Deposit(_) => None,
    };
    let deposit = |cause: Cause| match cause {
        Cause::Deposit(id) => Some(id.uuid()),
        Cause::Payment(_) => None,
    };
    query
        .bind(column(rows, |t| t.id.uuid()))
        .bind(column(rows, |t| payment(t.cause)))
        .bind(column(rows, |t| deposit(t.cause)))
        .bind(column(rows, |t| t.debit.account.uuid()))
        .bind(column(rows, |t| t.credit.account.uuid()))
        .bind(column(rows, |t| t.amount.minor_units()))
        .bind(column(rows, |t| to_sql(t.at)))
        .bind(column(rows, |t| t.debit.is_house))
        .bind(column(rows, |t| t.credit.is_house))
}

fn bind_events<'q>(query: Query<'q>, writes: &'q Writes) -> Query<'q> {
    let rows = &writes.events;
    query
        .bind(column(rows, |e| e.payment.uuid()))
        .bind(column(rows, |e| e.sequence))
        .bind(column(rows, |e| e.state.name()))
        .bind(column(rows, |e| e.reason.as_ref().map(|reason| reason.code.as_str())))
        .bind(column(rows, |e| e.reason.as_ref().map(|reason| reason.iso_code.as_str())))
        .bind(column(rows, |e| e.bank_message_id.as_str()))
        .bind(column(rows, |e| to_sql(e.at)))
        .bind(column(rows, |e| e.attempt.map(|attempt| attempt.number)))
        .bind(column(rows, |e| e.attempt.map(|attempt| to_sql(attempt.valid_until))))
}

/// The writes to the queue of work, by kind.
#[derive(Default)]
struct Queue<'a> {
    lent: Vec<(Uuid, i64, i32)>,
    entered: Vec<(Uuid, &'a str, Work, i64)>,
    postponed: Vec<(Uuid, i64, Work, i64)>,
    left: Vec<(Uuid, i64)>,
}

impl<'a> Queue<'a> {
    fn of(writes: &'a Writes) -> Self {
        let mut queue = Self::default();
        for (payment, write) in &writes.queue {
            let id = payment.uuid();
            match write {
                QueueWrite::Lend(lease) => {
                    let part = i32::try_from(queue.lent.len() / LEASES_IN_A_ROW).unwrap_or(i32::MAX);
                    queue.lent.push((id, to_micros(*lease), part));
                }
                QueueWrite::Enter { work, bank_id, due_after } => {
                    let bank_id = bank_id.as_deref().unwrap_or_default();
                    queue.entered.push((id, bank_id, *work, to_micros(*due_after)));
                }
                QueueWrite::Postpone { token, work, due_after } => {
                    queue.postponed.push((id, *token, *work, to_micros(*due_after)));
                }
                QueueWrite::Leave(token) => queue.left.push((id, *token)),
            }
        }
        queue
    }

    fn bind<'q>(&self, query: Query<'q>) -> Query<'q>
    where
        'a: 'q,
    {
        query
            .bind(column(&self.lent, |(id, ..)| *id))
            .bind(column(&self.lent, |(_, lease, _)| *lease))
            .bind(column(&self.lent, |(.., part)| *part))
            .bind(column(&self.entered, |(id, ..)| *id))
            .bind(column(&self.entered, |(_, bank, ..)| *bank))
            .bind(column(&self.entered, |(_, _, work, _)| work.name()))
            .bind(column(&self.entered, |(.., due_after)| *due_after))
            .bind(column(&self.postponed, |(id, ..)| *id))
            .bind(column(&self.postponed, |(_, token, ..)| *token))
            .bind(column(&self.postponed, |(_, _, work, _)| work.name()))
            .bind(column(&self.postponed, |(.., due_after)| *due_after))
            .bind(column(&self.left, |(id, _)| *id))
            .bind(column(&self.left, |(_, token)| *token))
    }
}

fn bind_deltas<'q>(query: Query<'q>, writes: &Writes) -> Query<'q> {
    let deltas: &BTreeMap<_, _> = &writes.deltas;
    let sums = |sum: fn(&crate::domain::ledger::Delta) -> i64| deltas.values().map(sum).collect::<Vec<i64>>();
    query
        .bind(deltas.keys().map(|id| id.uuid()).collect::<Vec<Uuid>>())
        .bind(sums(|delta| delta.debits_pending))
        .bind(sums(|delta| delta.debits_posted))
        .bind(sums(|delta| delta.credits_pending))
        .bind(sums(|delta| delta.credits_posted))
}
