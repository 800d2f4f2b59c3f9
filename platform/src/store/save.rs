//! Saves what the rules decided: one fused statement, one round trip, all or nothing. What is rare (alarms, refunds,
//! resolutions) has statements of its own in the same transaction, only when there is any.
//!
//! The statement refuses what was decided on something that has changed since: a payment by its sequence number, a lease by
//! its token, a request id by its unique key, too little money by the account's constraint. Every part counts the rows it
//! wrote, and any other number than was sent undoes the whole. Payments and deposits are inserted in the order of their
//! request keys and ids, payments and accounts changed in that of their ids. The parts are done in the order in which they are counted:
//! payments that there are, then accounts, then what is new, which is also the order under locks, so that two platforms cannot
//! deadlock.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{
    StoreError, alarms,
    payments::{PayeeColumns, request_key},
    refunds, resolutions, to_micros, to_sql,
};
use crate::domain::{
    ledger::{QueueWrite, Writes},
    payment::{Authorization, Payment, State, Work, own_end_to_end_id},
    transfer::Cause,
};
use common::id::PaymentId;

const SAVE: &str = "
WITH new_payments AS (
  INSERT INTO payments (id, participant_id, request_id, request_key, request_fingerprint, payer_account, credit_account, payee_name,
    payee_iban, payee_account_number, payee_account, payee_bank_id, payee_bic, amount, currency, remittance_information,
    end_to_end_id, metadata, bank_id, uetr, state, reason_code, reason_iso_code, reason_message, is_queued, created_at,
    kind, original_id, held, capturing, captured, expires_at, sequence, updated_at)
  SELECT id, participant_id, request_id, request_key, fingerprint, payer, credit, payee_name, payee_iban, payee_number,
    payee_account, payee_bank_id, payee_bic, amount, currency, remittance, end_to_end, metadata::jsonb, bank_id, uetr,
    state::payment_state, code, iso, message, is_queued, at, kind::payment_kind, original, held, capturing, captured,
    expires, 1, at
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::text[],
    $10::text[], $11::uuid[], $12::text[], $13::text[], $14::bigint[], $15::text[], $16::text[], $17::text[], $18::text[],
    $19::text[], $20::uuid[], $21::text[], $22::text[], $23::text[], $24::text[], $25::boolean[], $26::timestamptz[],
    $27::text[], $28::uuid[], $29::bigint[], $30::bigint[], $31::bigint[], $32::timestamptz[])
    AS g (id, participant_id, request_id, request_key, fingerprint, payer, credit, payee_name, payee_iban, payee_number,
      payee_account, payee_bank_id, payee_bic, amount, currency, remittance, end_to_end, metadata, bank_id, uetr, state,
      code, iso, message, is_queued, at, kind, original, held, capturing, captured, expires)
  RETURNING 1
), changed_payments AS (
  UPDATE payments p SET state = g.state::payment_state, reason_code = g.code, reason_iso_code = g.iso,
    reason_message = g.message, sequence = g.sequence, updated_at = g.at, is_queued = g.is_queued, held = g.held,
    capturing = g.capturing, captured = g.captured, closing = g.closing::payment_state
  FROM unnest($33::uuid[], $34::text[], $35::text[], $36::text[], $37::text[], $38::int[], $39::timestamptz[],
    $40::boolean[], $41::bigint[], $42::bigint[], $43::bigint[], $44::text[], $45::int[], $46::boolean[])
    AS g (id, state, code, iso, message, sequence, at, is_queued, held, capturing, captured, closing, from_sequence, was_queued)
  WHERE p.id = g.id AND p.sequence = g.from_sequence AND p.is_queued = g.was_queued
  RETURNING 1
), new_deposits AS (
  INSERT INTO deposits (id, participant_id, request_id, request_fingerprint, account_id, amount, currency, bank_id, reference,
    created_at)
  SELECT * FROM unnest($47::uuid[], $48::text[], $49::text[], $50::uuid[], $51::uuid[], $52::bigint[], $53::text[],
    $54::text[], $55::text[], $56::timestamptz[])
  RETURNING 1
), new_transfers AS (
  INSERT INTO transfers (id, debit_account, credit_account, amount, created_at, is_deposit, credit_is_house)
  SELECT * FROM unnest($57::uuid[], $58::uuid[], $59::uuid[], $60::bigint[], $61::timestamptz[],
    $62::boolean[], $63::boolean[])
  RETURNING 1
), new_events AS (
  INSERT INTO payment_events (payment_id, sequence, state, reason_code, reason_iso_code, bank_message_id, created_at, valid_until)
  SELECT payment_id, sequence, state::payment_state, code, iso, bank_message_id, at, valid_until
  FROM unnest($64::uuid[], $65::int[], $66::text[], $67::text[], $68::text[], $69::text[], $70::timestamptz[],
    $71::timestamptz[]) AS g (payment_id, sequence, state, code, iso, bank_message_id, at, valid_until)
  RETURNING 1
), lent AS (
  INSERT INTO first_leases (ends_at, payments)
  SELECT clock_timestamp() + lease * interval '1 microsecond', array_agg(id)
  FROM unnest($72::uuid[], $73::bigint[], $74::int[]) AS g (id, lease, part) GROUP BY lease, part
  RETURNING cardinality(payments) AS n
), entered AS (
  INSERT INTO dispatches (payment_id, bank_id, work, due_at)
  SELECT id, bank_id, work::work, clock_timestamp() + due_after * interval '1 microsecond'
  FROM unnest($75::uuid[], $76::text[], $77::text[], $78::bigint[]) AS g (id, bank_id, work, due_after)
  RETURNING 1
), postponed AS (
  UPDATE dispatches d SET due_at = clock_timestamp() + g.due_after * interval '1 microsecond', work = g.work::work, fruitless = 0
  FROM unnest($79::uuid[], $80::bigint[], $81::text[], $82::bigint[]) AS g (id, token, work, due_after)
  WHERE d.payment_id = g.id AND d.token = g.token
  RETURNING 1
), left_queue AS (
  DELETE FROM dispatches d USING unnest($83::uuid[], $84::bigint[]) AS g (id, token)
  WHERE d.payment_id = g.id AND d.token = g.token
  RETURNING 1
), moved AS (
  UPDATE accounts a SET debits_pending = a.debits_pending + g.dp, debits_posted = a.debits_posted + g.d,
    credits_pending = a.credits_pending + g.cp, credits_posted = a.credits_posted + g.c
  FROM unnest($85::uuid[], $86::bigint[], $87::bigint[], $88::bigint[], $89::bigint[]) AS g (id, dp, d, cp, c)
  WHERE a.id = g.id
  RETURNING 1
)
SELECT expect_rows('changed_payments', (SELECT count(*) FROM changed_payments), cardinality($33)),
  expect_rows('moved', (SELECT count(*) FROM moved), cardinality($85)),
  expect_rows('new_payments', (SELECT count(*) FROM new_payments), cardinality($1)),
  expect_rows('new_deposits', (SELECT count(*) FROM new_deposits), cardinality($47)),
  expect_rows('new_transfers', (SELECT count(*) FROM new_transfers), cardinality($57)),
  expect_rows('new_events', (SELECT count(*) FROM new_events), cardinality($64)),
  expect_rows('lent', (SELECT coalesce(sum(n), 0) FROM lent), cardinality($72)),
  expect_rows('entered', (SELECT count(*) FROM entered), cardinality($75)),
  expect_rows('postponed', (SELECT count(*) FROM postponed), cardinality($79)),
  expect_rows('left_queue', (SELECT count(*) FROM left_queue), cardinality($83))";

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
    new_payments.sort_by_cached_key(|payment| request_key(&payment.participant, &payment.request_id));
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
    let payees: Vec<PayeeColumns> = rows.iter().map(|p| PayeeColumns::from(&p.payee)).collect();
    let metadata = |p: &&Payment| (!p.metadata.is_empty()).then(|| json(&p.metadata)).transpose();
    let metadata: Vec<Option<String>> = rows.iter().map(metadata).collect::<Result<_, _>>()?;
    Ok(query
        .bind(column(rows, |p| p.id.uuid()))
        .bind(column(rows, |p| p.participant.as_str()))
        .bind(column(rows, |p| p.request_id.as_str()))
        .bind(column(rows, |p| request_key(&p.participant, &p.request_id)))
        .bind(column(rows, |p| Uuid::from_bytes(p.fingerprint)))
        .bind(column(rows, |p| p.payer_account.uuid()))
        .bind(column(rows, |p| p.credit_account.uuid()))
        .bind(payees.iter().map(|p| p.payee_name.clone()).collect::<Vec<_>>())
        .bind(payees.iter().map(|p| p.payee_iban.clone()).collect::<Vec<_>>())
        .bind(payees.iter().map(|p| p.payee_account_number.clone()).collect::<Vec<_>>())
        .bind(column(&payees, |p| p.payee_account))
        .bind(payees.iter().map(|p| p.payee_bank_id.clone()).collect::<Vec<_>>())
        .bind(payees.iter().map(|p| p.payee_bic.clone()).collect::<Vec<_>>())
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
        .bind(column(&rows, |d| Uuid::from_bytes(d.fingerprint)))
        .bind(column(&rows, |d| d.order.account.uuid()))
        .bind(column(&rows, |d| d.order.amount.minor_units()))
        .bind(column(&rows, |d| d.order.amount.currency().code()))
        .bind(column(&rows, |d| d.order.bank_id.as_str()))
        .bind(column(&rows, |d| d.order.reference.as_str()))
        .bind(column(&rows, |d| to_sql(d.created_at)))
}

fn bind_transfers<'q>(query: Query<'q>, writes: &'q Writes) -> Query<'q> {
    let rows = &writes.transfers;
    query
        .bind(column(rows, |t| t.cause.transfer().uuid()))
        .bind(column(rows, |t| t.debit.uuid()))
        .bind(column(rows, |t| t.credit.uuid()))
        .bind(column(rows, |t| t.amount.minor_units()))
        .bind(column(rows, |t| to_sql(t.at)))
        .bind(column(rows, |t| matches!(t.cause, Cause::Deposit(_))))
        .bind(column(rows, |t| t.credit_is_house))
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
