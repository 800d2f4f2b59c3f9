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
    payment::{Authorization, Payment, State, Work},
    transfer::Cause,
};
use common::id::{PaymentId, TransferId};

const SAVE: &str = "
WITH new_payments AS (
  INSERT INTO payments (id, participant_id, request_id, request_fingerprint, payer_account, credit_account, payee, amount,
    currency, remittance_information, end_to_end_id, metadata, bank_id, uetr, state, reason_code, reason_iso_code,
    reason_message, sequence, created_at, updated_at, kind, original_id, held, hold_id, capturing, captured, expires_at)
  SELECT id, participant_id, request_id, fingerprint, payer, credit, payee::jsonb, amount, currency, remittance, end_to_end,
    metadata::jsonb, bank_id, uetr, state, code, iso, message, 1, at, at, kind, original, held, hold, capturing, captured, expires
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::uuid[], $7::text[], $8::bigint[], $9::text[],
    $10::text[], $11::text[], $12::text[], $13::text[], $14::uuid[], $15::text[], $16::text[], $17::text[], $18::text[],
    $19::timestamptz[], $20::text[], $21::uuid[], $22::bigint[], $23::uuid[], $24::bigint[], $25::bigint[], $26::timestamptz[])
    AS g (id, participant_id, request_id, fingerprint, payer, credit, payee, amount, currency, remittance, end_to_end,
      metadata, bank_id, uetr, state, code, iso, message, at, kind, original, held, hold, capturing, captured, expires)
  RETURNING 1
), changed_payments AS (
  UPDATE payments p SET state = g.state, reason_code = g.code, reason_iso_code = g.iso, reason_message = g.message,
    sequence = g.sequence, updated_at = g.at, held = g.held, hold_id = g.hold, capturing = g.capturing,
    captured = g.captured, closing = g.closing
  FROM unnest($27::uuid[], $28::text[], $29::text[], $30::text[], $31::text[], $32::int[], $33::timestamptz[],
    $34::bigint[], $35::uuid[], $36::bigint[], $37::bigint[], $38::text[], $39::int[])
    AS g (id, state, code, iso, message, sequence, at, held, hold, capturing, captured, closing, from_sequence)
  WHERE p.id = g.id AND p.sequence = g.from_sequence
  RETURNING 1
), new_deposits AS (
  INSERT INTO deposits (id, participant_id, request_id, request_fingerprint, account_id, amount, currency, bank_id, reference,
    created_at)
  SELECT * FROM unnest($40::uuid[], $41::text[], $42::text[], $43::bytea[], $44::uuid[], $45::bigint[], $46::text[],
    $47::text[], $48::text[], $49::timestamptz[])
  RETURNING 1
), new_transfers AS (
  INSERT INTO transfers (id, kind, payment_id, deposit_id, hold_id, debit_account, credit_account, amount, created_at)
  SELECT * FROM unnest($50::uuid[], $51::text[], $52::uuid[], $53::uuid[], $54::uuid[], $55::uuid[], $56::uuid[],
    $57::bigint[], $58::timestamptz[])
  RETURNING 1
), new_events AS (
  INSERT INTO payment_events (payment_id, sequence, state, reason_code, reason_iso_code, bank_message_id, created_at)
  SELECT * FROM unnest($59::uuid[], $60::int[], $61::text[], $62::text[], $63::text[], $64::text[], $65::timestamptz[])
  RETURNING 1
), new_attempts AS (
  INSERT INTO attempts (payment_id, number, accept_time, valid_until)
  SELECT * FROM unnest($66::uuid[], $67::int[], $68::timestamptz[], $69::timestamptz[])
  RETURNING 1
), entered AS (
  INSERT INTO dispatches (payment_id, bank_id, work, due_at)
  SELECT id, bank_id, work, clock_timestamp() + due_after * interval '1 microsecond'
  FROM unnest($70::uuid[], $71::text[], $72::text[], $73::bigint[]) AS g (id, bank_id, work, due_after)
  RETURNING 1
), postponed AS (
  UPDATE dispatches d SET due_at = clock_timestamp() + g.due_after * interval '1 microsecond', work = g.work, fruitless = 0
  FROM unnest($74::uuid[], $75::bigint[], $76::text[], $77::bigint[]) AS g (id, token, work, due_after)
  WHERE d.payment_id = g.id AND d.token = g.token
  RETURNING 1
), left_queue AS (
  DELETE FROM dispatches d USING unnest($78::uuid[], $79::bigint[]) AS g (id, token)
  WHERE d.payment_id = g.id AND d.token = g.token
  RETURNING 1
), moved AS (
  UPDATE accounts a SET debits_pending = a.debits_pending + g.dp, debits_posted = a.debits_posted + g.d,
    credits_pending = a.credits_pending + g.cp, credits_posted = a.credits_posted + g.c
  FROM unnest($80::uuid[], $81::bigint[], $82::bigint[], $83::bigint[], $84::bigint[]) AS g (id, dp, d, cp, c)
  WHERE a.id = g.id
  RETURNING 1
)
SELECT expect_rows('changed_payments', (SELECT count(*) FROM changed_payments), cardinality($27)),
  expect_rows('moved', (SELECT count(*) FROM moved), cardinality($80)),
  expect_rows('new_payments', (SELECT count(*) FROM new_payments), cardinality($1)),
  expect_rows('new_deposits', (SELECT count(*) FROM new_deposits), cardinality($40)),
  expect_rows('new_transfers', (SELECT count(*) FROM new_transfers), cardinality($50)),
  expect_rows('new_events', (SELECT count(*) FROM new_events), cardinality($59)),
  expect_rows('new_attempts', (SELECT count(*) FROM new_attempts), cardinality($66)),
  expect_rows('entered', (SELECT count(*) FROM entered), cardinality($70)),
  expect_rows('postponed', (SELECT count(*) FROM postponed), cardinality($74)),
  expect_rows('left_queue', (SELECT count(*) FROM left_queue), cardinality($78))";

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
    let query = bind_attempts(query, writes);
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
        .bind(column(rows, |p| p.end_to_end_id.as_str()))
        .bind(metadata)
        .bind(column(rows, |p| p.bank_id.as_deref()))
        .bind(column(rows, |p| p.uetr))
        .bind(column(rows, |p| p.state.name()))
        .bind(column(rows, |p| p.reason.as_ref().map(|reason| reason.code.as_str())))
        .bind(column(rows, |p| p.reason.as_ref().map(|reason| reason.iso_code.as_str())))
        .bind(column(rows, |p| p.reason.as_ref().map(|reason| reason.message.as_str())))
        .bind(column(rows, |p| to_sql(p.created_at)))
        .bind(column(rows, |p| p.kind.name()))
        .bind(column(rows, |p| p.original.map(PaymentId::uuid)))
        .bind(sums(rows, |sums| sums.held))
        .bind(
            sums(rows, |sums| sums.hold.map(TransferId::uuid))
                .into_iter()
                .map(Option::flatten)
                .collect::<Vec<_>>(),
        )
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
        .bind(sums(&rows, |sums| sums.held))
        .bind(
            sums(&rows, |sums| sums.hold.map(TransferId::uuid))
                .into_iter()
                .map(Option::flatten)
                .collect::<Vec<_>>(),
        )
        .bind(sums(&rows, |sums| sums.capturing))
        .bind(sums(&rows, |sums| sums.captured))
        .bind(
            sums(&rows, |sums| sums.closing.map(State::name))
                .into_iter()
                .map(Option::flatten)
                .collect::<Vec<_>>(),
        )
        .bind(writes.changed_payments.values().map(|change| change.from_sequence).collect::<Vec<_>>())
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
        .bind(column(rows, |t| t.kind.name()))
        .bind(column(rows, |t| payment(t.cause)))
        .bind(column(rows, |t| deposit(t.cause)))
        .bind(column(rows, |t| t.hold.map(|hold| hold.uuid())))
        .bind(column(rows, |t| t.debit.uuid()))
        .bind(column(rows, |t| t.credit.uuid()))
        .bind(column(rows, |t| t.amount.minor_units()))
        .bind(column(rows, |t| to_sql(t.at)))
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
}

fn bind_attempts<'q>(query: Query<'q>, writes: &'q Writes) -> Query<'q> {
    let rows = &writes.attempts;
    query
        .bind(column(rows, |(payment, _)| payment.uuid()))
        .bind(column(rows, |(_, attempt)| attempt.number))
        .bind(column(rows, |(_, attempt)| to_sql(attempt.accept_time)))
        .bind(column(rows, |(_, attempt)| to_sql(attempt.valid_until)))
}

/// The writes to the queue of work, by kind.
#[derive(Default)]
struct Queue<'a> {
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
