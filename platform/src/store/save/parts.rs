//! The parts of the statement that saves a batch, in the order in which they are done.

mod queue;

use std::collections::HashMap;

use common::{
    id::PaymentId,
    order::{BankKey, Payee, PayeeAccount},
};
use time::OffsetDateTime;
use uuid::Uuid;

use queue::{queue, traced_payments};

use super::{Traces, statement::Statement};
use crate::{
    domain::{
        deposit::{Decision, Deposit, DepositState},
        ledger::{Change, Event, Writes},
        limits::Limits,
        payment::{Authorization, Payment, State},
        refusal::Reason,
        transfer::{Cause, Transfer},
    },
    encryption::{
        Keyring,
        contents::{OfPayment, OfReason},
    },
    store::{StoreError, conversation, limits::subject_key, load::Guards, payments::request_key, to_sql},
};

/// Steps in one row: few enough that the row stays in one piece.
const STEPS_IN_A_ROW: usize = 64;

/// The statement that saves `writes`, but for what is rare, if what the guards say is so.
pub(super) fn of(
    writes: &Writes,
    guards: &Guards,
    keys: &Keyring,
    traces: &Traces,
) -> Result<Statement, StoreError> {
    let mut statement = Statement::new();
    moved(&mut statement, writes, guards);
    let (last, before) = last_steps(&writes.events);
    changed_payments(&mut statement, writes, &last, keys)?;
    used_limits(&mut statement, writes);
    ended_deposits(&mut statement, &writes.ended_deposits);
    new_payments(&mut statement, &writes.new_payments, &last, keys)?;
    new_deposits(&mut statement, &writes.new_deposits);
    new_transfers(&mut statement, &writes.transfers);
    new_events(&mut statement, &before);
    kept_steps(&mut statement, writes);
    conversation::save_with_steps(&mut statement, &writes.bank_messages, keys)?;
    queue(&mut statement, writes, traces);
    traced_payments(&mut statement, &writes.new_payments, traces);
    if !guards.foreign_ibans.is_empty() {
        let lookup = keys.lookup().ok_or(StoreError::NoDataKey)?;
        let foreign: Vec<Uuid> = guards.foreign_ibans.iter().map(|iban| lookup.iban_hash(iban)).collect();
        statement.none("foreign_ibans", "SELECT FROM accounts WHERE iban_hash = ANY(", foreign, ")");
    }
    logged(&mut statement, &writes.events);
    Ok(statement)
}

/// The last of these steps of each payment, which the payment's row tells of, and those before, which payment_events has.
fn last_steps(events: &[Event]) -> (HashMap<PaymentId, &Event>, Vec<&Event>) {
    let (mut last, mut before) = (HashMap::with_capacity(events.len()), Vec::new());
    for event in events {
        before.extend(last.insert(event.payment, event));
    }
    (last, before)
}

fn changed_payments(
    statement: &mut Statement,
    writes: &Writes,
    last: &HashMap<PaymentId, &Event>,
    keys: &Keyring,
) -> Result<(), StoreError> {
    let rows: Vec<&Change> = writes.changed_payments.values().collect();
    let messages = messages(rows.iter().map(|change| &change.payment), keys)?;
    let closing = |sums: &Authorization| sums.closing.map(State::name);
    statement.part(
        "changed_payments",
        rows.len(),
        "UPDATE payments p SET state = g.state::payment_state, reason_code = g.code, reason_iso_code = g.iso, \
           reason_message = g.message, sequence = g.sequence, updated_at = g.at, is_queued = g.is_queued, held = g.held, \
           capturing = g.capturing, captured = g.captured, closing = g.closing::payment_state, valid_until = g.valid_until, \
           bank_message_id = g.bank_message_id FROM",
        |columns| {
            columns.add(&rows, |change| change.payment.id.uuid()).add(&rows, |change| change.payment.state.name());
            columns.add(&rows, |change| reason(&change.payment.reason, |reason| &reason.code));
            columns.add(&rows, |change| reason(&change.payment.reason, |reason| &reason.iso_code));
            columns.add(&messages, Option::as_deref);
            columns.add(&rows, |change| change.payment.sequence).add(&rows, |change| to_sql(change.payment.updated_at));
            columns.add(&rows, |change| change.payment.is_queued);
            columns.add(&rows, |change| sum(&change.payment, |sums| sums.held));
            columns.add(&rows, |change| sum(&change.payment, |sums| sums.capturing));
            columns.add(&rows, |change| sum(&change.payment, |sums| sums.captured));
            columns.add(&rows, |change| change.payment.authorization.as_ref().and_then(closing));
            columns.add(&rows, |change| valid_until(last, &change.payment));
            columns.add(&rows, |change| bank_message_id(last, &change.payment));
            columns.add(&rows, |change| change.from_sequence).add(&rows, |change| change.was_queued);
        },
        "AS g (id, state, code, iso, message, sequence, at, is_queued, held, capturing, captured, closing, valid_until, \
           bank_message_id, from_sequence, was_queued) \
         WHERE p.id = g.id AND p.sequence = g.from_sequence AND p.is_queued = g.was_queued",
    );
    Ok(())
}

fn moved(statement: &mut Statement, writes: &Writes, guards: &Guards) {
    let rows: Vec<_> = writes.deltas.iter().collect();
    statement.part(
        "moved",
        rows.len(),
        "UPDATE accounts a SET debits_pending = a.debits_pending + g.dp, debits_posted = a.debits_posted + g.d, \
           credits_pending = a.credits_pending + g.cp, credits_posted = a.credits_posted + g.c FROM",
        |columns| {
            columns.add(&rows, |(id, _)| id.uuid());
            columns.add(&rows, |(_, delta)| delta.debits_pending).add(&rows, |(_, delta)| delta.debits_posted);
            columns.add(&rows, |(_, delta)| delta.credits_pending).add(&rows, |(_, delta)| delta.credits_posted);
            columns.add(&rows, |(id, _)| guards.revisions.get(id).copied());
        },
        "AS g (id, dp, d, cp, c, revision) WHERE a.id = g.id AND a.revision = COALESCE(g.revision, a.revision)",
    );
}

fn used_limits(statement: &mut Statement, writes: &Writes) {
    let rows: Vec<_> = writes
        .limits
        .iter()
        .map(|(subject, (limits, loaded))| (limits, *loaded, subject_key(subject)))
        .collect();
    statement.part(
        "used_limits",
        rows.len(),
        "UPDATE limits l SET hour_since = g.hour_since, hour_amount = g.hour_amount, hour_count = g.hour_count, \
           day_since = g.day_since, day_amount = g.day_amount, day_count = g.day_count, version = l.version + 1 FROM",
        |columns| {
            columns.add(&rows, |(_, _, key)| *key).add(&rows, |(_, loaded, _)| *loaded);
            for used in [|limits: &Limits| limits.hour, |limits: &Limits| limits.day] {
                columns.add(&rows, |(limits, ..)| to_sql(used(limits).since));
                columns.add(&rows, |(limits, ..)| used(limits).minor_units);
                columns.add(&rows, |(limits, ..)| used(limits).payments);
            }
        },
        "AS g (subject, version, hour_since, hour_amount, hour_count, day_since, day_amount, day_count) \
         WHERE l.subject = g.subject AND l.version = g.version",
    );
}

fn new_payments(
    statement: &mut Statement,
    payments: &[Payment],
    last: &HashMap<PaymentId, &Event>,
    keys: &Keyring,
) -> Result<(), StoreError> {
    let mut rows: Vec<(Uuid, &Payment)> =
        payments.iter().map(|p| (request_key(&p.participant, &p.request_id), p)).collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    let encrypt = |(_, payment): &(Uuid, &Payment)| {
        keys.encrypt_payment(payment.id.uuid(), &OfPayment::from(*payment)).ok_or(StoreError::NoDataKey)
    };
    let personal: Vec<Vec<u8>> = rows.iter().map(encrypt).collect::<Result<_, _>>()?;
    let messages = messages(rows.iter().map(|(_, payment)| *payment), keys)?;
    statement.part(
        "new_payments",
        rows.len(),
        "INSERT INTO payments (id, uetr, request_key, request_fingerprint, participant_id, request_id, payer_account, \
           credit_account, amount, currency, personal, payee_account, payee_bank_id, payee_bic, bank_id, state, kind, is_queued, created_at, updated_at, \
           sequence, reason_code, reason_iso_code, reason_message, original_id, held, capturing, captured, expires_at, \
           is_counted_on_account, is_counted_on_participant, first_valid_until, \
           bank_message_id) \
         SELECT id, uetr, request_key, fingerprint, participant_id, request_id, payer, credit, amount, currency, personal, \
           payee_account, payee_bank_id, payee_bic, bank_id, \
           state::payment_state, kind::payment_kind, is_queued, at, at, 1, code, iso, message, original, held, capturing, \
           captured, expires, on_account, on_participant, first_valid_until, message_id FROM",
        |columns| {
            columns.add(&rows, |(_, p)| p.id.uuid()).add(&rows, |(_, p)| p.uetr).add(&rows, |(key, _)| *key);
            columns.add(&rows, |(_, p)| Uuid::from_bytes(p.fingerprint));
            columns.add(&rows, |(_, p)| p.participant.as_str()).add(&rows, |(_, p)| p.request_id.as_str());
            columns.add(&rows, |(_, p)| p.payer_account.uuid()).add(&rows, |(_, p)| p.credit_account.uuid());
            columns.add(&rows, |(_, p)| p.amount.minor_units()).add(&rows, |(_, p)| p.amount.currency().code());
            columns.add(&personal, Vec::as_slice).add(&rows, |(_, p)| ledger_account(&p.payee));
            columns.add(&rows, |(_, p)| bank_id(&p.payee)).add(&rows, |(_, p)| bic(&p.payee));
            columns.add(&rows, |(_, p)| p.bank_id.as_deref());
            columns.add(&rows, |(_, p)| p.state.name()).add(&rows, |(_, p)| p.kind.name());
            columns.add(&rows, |(_, p)| p.is_queued).add(&rows, |(_, p)| to_sql(p.created_at));
            columns.add(&rows, |(_, p)| reason(&p.reason, |reason| &reason.code));
            columns.add(&rows, |(_, p)| reason(&p.reason, |reason| &reason.iso_code));
            columns.add(&messages, Option::as_deref);
            columns.add(&rows, |(_, p)| p.original.map(PaymentId::uuid));
            columns.add(&rows, |(_, p)| sum(p, |sums| sums.held)).add(&rows, |(_, p)| sum(p, |sums| sums.capturing));
            columns.add(&rows, |(_, p)| sum(p, |sums| sums.captured));
            columns.add(&rows, |(_, p)| sum(p, |sums| to_sql(sums.expires_at)));
            columns.add(&rows, |(_, p)| p.counted.account).add(&rows, |(_, p)| p.counted.participant);
            columns.add(&rows, |(_, p)| valid_until(last, p)).add(&rows, |(_, p)| bank_message_id(last, p));
        },
        "AS g (id, uetr, request_key, fingerprint, participant_id, request_id, payer, credit, amount, currency, personal, \
           payee_account, payee_bank_id, payee_bic, bank_id, state, kind, \
            is_queued, at, code, iso, message, original, held, capturing, captured, expires, on_account, on_participant, \
           first_valid_until, message_id)",
    );
    Ok(())
}

fn new_deposits(statement: &mut Statement, deposits: &[Deposit]) {
    let mut rows: Vec<&Deposit> = deposits.iter().collect();
    rows.sort_by(|a, b| (&a.participant, &a.order.request_id).cmp(&(&b.participant, &b.order.request_id)));
    statement.part(
        "new_deposits",
        rows.len(),
        "INSERT INTO deposits (id, participant_id, request_id, request_fingerprint, account_id, settlement_account, amount, \
           currency, bank_id, reference, proposed_by, created_at, expires_at) SELECT * FROM",
        |columns| {
            columns.add(&rows, |d| d.id.uuid()).add(&rows, |d| d.participant.as_str());
            columns.add(&rows, |d| d.order.request_id.as_str()).add(&rows, |d| Uuid::from_bytes(d.fingerprint));
            columns.add(&rows, |d| d.order.account.uuid()).add(&rows, |d| d.settlement_account.uuid());
            columns.add(&rows, |d| d.order.amount.minor_units()).add(&rows, |d| d.order.amount.currency().code());
            columns.add(&rows, |d| d.order.bank_id.as_str()).add(&rows, |d| d.order.reference.as_str());
            columns.add(&rows, |d| d.proposed_by.as_str());
            columns.add(&rows, |d| to_sql(d.created_at)).add(&rows, |d| to_sql(d.expires_at));
        },
        "AS g",
    );
}

fn ended_deposits(statement: &mut Statement, deposits: &[Deposit]) {
    let decided = |deposit: &Deposit| deposit.decision.clone().map(|decision| (deposit.id.uuid(), decision));
    let mut rows: Vec<(Uuid, Decision)> = deposits.iter().filter_map(decided).collect();
    rows.sort_unstable_by_key(|(id, _)| *id);
    statement.part(
        "ended_deposits",
        rows.len(),
        "UPDATE deposits d SET state = g.state::deposit_state, decision_id = g.decision_id, decided_by = g.decided_by, \
           decided_at = g.decided_at, reject_reason = g.reason FROM",
        |columns| {
            columns.add(&rows, |(id, _)| *id).add(&rows, |(_, made)| made.verdict.state().name());
            columns.add(&rows, |(_, made)| made.id.uuid()).add(&rows, |(_, made)| made.verdict.by());
            columns.add(&rows, |(_, made)| to_sql(made.at)).add(&rows, |(_, made)| made.verdict.reason());
            // As a value: if the statement said it, the index of all that are pending would be an index to choose.
            columns.add(&rows, |_| DepositState::PendingApproval.name());
        },
        "AS g (id, state, decision_id, decided_by, decided_at, reason, was) WHERE d.id = g.id AND d.state = g.was::deposit_state",
    );
}

fn new_transfers(statement: &mut Statement, rows: &[Transfer]) {
    statement.part(
        "new_transfers",
        rows.len(),
        "INSERT INTO transfers (id, debit_account, credit_account, amount, created_at, is_deposit, credit_is_house) SELECT * FROM",
        |columns| {
            columns.add(rows, |t| t.cause.transfer().uuid()).add(rows, |t| t.debit.uuid());
            columns.add(rows, |t| t.credit.uuid()).add(rows, |t| t.amount.minor_units()).add(rows, |t| to_sql(t.at));
            columns.add(rows, |t| matches!(t.cause, Cause::Deposit(_))).add(rows, |t| t.credit_is_house);
        },
        "AS g",
    );
}

fn new_events(statement: &mut Statement, rows: &[&Event]) {
    statement.part(
        "new_events",
        rows.len(),
        "INSERT INTO payment_events (payment_id, sequence, state, reason_code, reason_iso_code, bank_message_id, created_at, \
           valid_until) SELECT id, sequence, state::payment_state, code, iso, bank_message_id, at, valid_until FROM",
        |columns| {
            columns.add(rows, |e| e.payment.uuid()).add(rows, |e| e.sequence).add(rows, |e| e.state.name());
            columns.add(rows, |e| reason(&e.reason, |reason| &reason.code));
            columns.add(rows, |e| reason(&e.reason, |reason| &reason.iso_code));
            columns.add(rows, |e| e.bank_message_id.as_str()).add(rows, |e| to_sql(e.at));
            columns.add(rows, |e| e.attempt.map(|attempt| to_sql(attempt.valid_until)));
        },
        "AS g (id, sequence, state, code, iso, bank_message_id, at, valid_until)",
    );
}

/// The last steps that payments told of so far, but for first attempts, which stay where they are.
fn kept_steps(statement: &mut Statement, writes: &Writes) {
    let is_kept = |change: &&Change| change.from_sequence > 1 || change.from != State::Submitted;
    let rows: Vec<&Change> = writes.changed_payments.values().filter(is_kept).collect();
    statement.part(
        "kept_steps",
        rows.len(),
        "INSERT INTO payment_events (payment_id, sequence, state, reason_code, reason_iso_code, bank_message_id, created_at, \
           valid_until) SELECT p.id, p.sequence, p.state, p.reason_code, p.reason_iso_code, p.bank_message_id, p.updated_at, \
           p.valid_until FROM",
        |columns| {
            columns.add(&rows, |change| change.payment.id.uuid());
        },
        "AS g (id) CROSS JOIN LATERAL (SELECT * FROM payments p WHERE p.id = g.id OFFSET 0) AS p",
    );
}

/// The steps once more, as the commit's rows of the log of events. The last part, since the numbers of these rows say which of two commits
/// waited for the other's locks.
fn logged(statement: &mut Statement, events: &[Event]) {
    let rows: Vec<(Vec<Uuid>, Vec<i32>)> = events
        .chunks(STEPS_IN_A_ROW)
        .map(|steps| steps.iter().map(|step| (step.payment.uuid(), step.sequence)).unzip())
        .collect();
    statement.few(
        "logged",
        "INSERT INTO event_log (payments, sequences) VALUES ",
        rows,
        |sql, (payments, sequences)| {
            sql.push("(").push_bind(payments).push(", ").push_bind(sequences).push(")");
        },
    );
}

/// Why payments are as they are, for people, encrypted.
fn messages<'a>(
    payments: impl Iterator<Item = &'a Payment>,
    keys: &Keyring,
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let encrypt = |payment: &Payment| {
        let Some(reason) = &payment.reason else { return Ok(None) };
        let contents = OfReason { message: reason.message.clone() };
        keys.encrypt_reason(payment.id.uuid(), &contents).map(Some).ok_or(StoreError::NoDataKey)
    };
    payments.map(encrypt).collect()
}

/// Of a payment whose last step is an attempt.
fn valid_until(last: &HashMap<PaymentId, &Event>, payment: &Payment) -> Option<OffsetDateTime> {
    last.get(&payment.id).and_then(|step| step.attempt).map(|attempt| to_sql(attempt.valid_until))
}

fn bank_message_id<'a>(last: &HashMap<PaymentId, &'a Event>, payment: &Payment) -> &'a str {
    last.get(&payment.id).map_or("", |step| step.bank_message_id.as_str())
}

/// A column that only authorizations have.
fn sum<T>(payment: &Payment, value: impl Fn(&Authorization) -> T) -> Option<T> {
    payment.authorization.as_ref().map(value)
}

fn reason<'a>(reason: &'a Option<Reason>, part: impl Fn(&'a Reason) -> &'a String) -> Option<&'a str> {
    reason.as_ref().map(|reason| part(reason).as_str())
}

fn ledger_account(payee: &Payee) -> Option<Uuid> {
    if let PayeeAccount::Ledger(account) = &payee.account { Some(account.uuid()) } else { None }
}

fn bank_key(payee: &Payee) -> Option<&BankKey> {
    match &payee.account {
        PayeeAccount::Iban(_, bank) => bank.as_ref(),
        PayeeAccount::Number(_, bank) => Some(bank),
        PayeeAccount::Ledger(_) => None,
    }
}

fn bank_id(payee: &Payee) -> Option<&str> {
    if let Some(BankKey::Id(id)) = bank_key(payee) { Some(id.as_str()) } else { None }
}

fn bic(payee: &Payee) -> Option<&str> {
    if let Some(BankKey::Bic(bic)) = bank_key(payee) { Some(bic.as_str()) } else { None }
}
