//! The queue of work: who may speak with the bank about which payment. One round trip to claim.

use std::time::Duration;

use common::{
    id::PaymentId,
    money::{Currency, Money},
};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, accounts, data_keys::decrypted, payments, to_micros};
use crate::{
    domain::payment::{
        Attempt, Lease, MAX_FRUITLESS, Original, Payment, Submission, Work, own_end_to_end_id,
    },
    encryption::Keyring,
};

/// How long work that never came to an end is left alone before it is tried once more.
const QUARANTINE: Duration = Duration::from_secs(60 * 60);

/// Takes over what is due of one kind of work with one bank, oldest first, skipping what others are taking. What is due is
/// found by `statement_timestamp()`: an index cannot be searched by the volatile `clock_timestamp()`, so that every look
/// would read the whole queue.
const CLAIM: &str = const_format::concatcp!(
    "WITH claimed AS ( \
       UPDATE dispatches SET due_at = clock_timestamp() + CASE WHEN fruitless >= $5 THEN $6 ELSE $4 END * \
         interval '1 microsecond', token = token + 1, tries = tries + 1, fruitless = fruitless + 1 \
       WHERE payment_id = ANY(ARRAY( \
         SELECT payment_id FROM dispatches WHERE bank_id = $1 AND work = $2::work AND due_at <= statement_timestamp() \
         ORDER BY due_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)) \
         AND due_at <= clock_timestamp() \
       RETURNING payment_id, token, tries, fruitless, traceparent) \
     SELECT ",
    payments::COLUMNS,
    ", c.token, c.tries, c.fruitless, c.traceparent, t.attempt, t.created_at AS accept_time, t.valid_until, a.personal AS debtor, \
       o.id AS o_id, o.uetr AS o_uetr, o.personal AS o_personal, \
       o.amount AS o_amount, o.currency AS o_currency, ot.attempt AS o_attempt, ot.created_at AS o_accept_time, \
       ot.valid_until AS o_valid_until \
     FROM claimed c JOIN payments p ON p.id = c.payment_id JOIN accounts a ON a.id = p.payer_account \
     LEFT JOIN LATERAL (SELECT count(*)::int AS attempt, max(created_at) AS created_at, max(valid_until) AS valid_until \
       FROM current_payment_events WHERE payment_id = c.payment_id AND state = 'SUBMITTED' HAVING count(*) > 0) t ON true \
     LEFT JOIN payments o ON o.id = p.original_id AND p.kind IN ('REFUND', 'RETURN') \
     LEFT JOIN LATERAL (SELECT count(*)::int AS attempt, max(created_at) AS created_at, max(valid_until) AS valid_until \
       FROM current_payment_events WHERE payment_id = o.id AND state = 'SUBMITTED' HAVING count(*) > 0) ot ON true \
     ORDER BY p.id"
);

/// Work that somebody has to do: whoever took it over holds its lease.
#[derive(Debug)]
pub struct Claimed {
    /// The payment.
    pub payment: Payment,
    /// The lease.
    pub lease: Lease,
    /// Its newest attempt with all that is to be said of it; none for a payment that nothing was sent of.
    pub submission: Option<Submission>,
    /// The trace that it entered the queue in, if that is sampled.
    pub traceparent: Option<String>,
}

impl Store {
    /// Takes over up to `limit` pieces of one kind of work with one bank (none: the house's own) that are due. Work that
    /// never comes to an end is taken ever more rarely.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_due(
        &self,
        bank_id: Option<&str>,
        work: Work,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let rows = sqlx::query(CLAIM)
            .bind(bank_id.unwrap_or_default())
            .bind(work.name())
            .bind(limit)
            .bind(to_micros(lease))
            .bind(MAX_FRUITLESS)
            .bind(to_micros(QUARANTINE))
            .fetch_all(self.pool())
            .await?;
        let keys = payments::keys_of(
            self.keys(),
            self.pool(),
            &rows,
            &["personal", "reason_message", "debtor", "o_personal"],
        )
        .await?;
        let mut all = Vec::new();
        for row in &rows {
            match claimed(row, &keys) {
                // What else was taken over with it must not wait for a row that somebody has changed.
                Err(StoreError::Corrupt(column)) => {
                    let payment = PaymentId::from_uuid(row.try_get("id")?);
                    tracing::error!(%payment, column, "ALARM: a payment can't be read, and is not worked on");
                }
                found => all.push(found?),
            }
        }
        Ok(all)
    }

    /// The banks with which work is due, and the work; none for the house's own. Each is found by a look at the index, however
    /// long the queue is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn banks_with_due_work(&self) -> Result<Vec<(Option<String>, Work)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "WITH RECURSIVE lanes (bank_id, work) AS ( \
               (SELECT bank_id, work FROM dispatches ORDER BY bank_id, work LIMIT 1) \
               UNION ALL \
               SELECT next.bank_id, next.work FROM lanes CROSS JOIN LATERAL ( \
                 SELECT bank_id, work FROM dispatches WHERE (bank_id, work) > (lanes.bank_id, lanes.work) \
                 ORDER BY bank_id, work LIMIT 1) next) \
             SELECT bank_id, work::text FROM lanes WHERE EXISTS (SELECT FROM dispatches d \
               WHERE d.bank_id = lanes.bank_id AND d.work = lanes.work AND d.due_at <= statement_timestamp())",
        )
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|(bank_id, name)| {
                let work = Work::ALL.into_iter().find(|work| work.name() == name);
                let work = work.ok_or(StoreError::Corrupt("dispatches.work"))?;
                Ok((Some(bank_id).filter(|id| !id.is_empty()), work))
            })
            .collect()
    }

    /// Puts payments whose first lease has ended, and that are submitted still, into the queue. Returns how many leases had
    /// ended, at most `limit`. A payment is locked meanwhile, so that who held its lease either ended it before, or is refused.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_first_leases(&self, limit: i64) -> Result<i64, StoreError> {
        let sql = "WITH ended AS ( \
               DELETE FROM first_leases WHERE ctid = ANY(ARRAY( \
                 SELECT ctid FROM first_leases WHERE ends_at <= statement_timestamp() \
                 ORDER BY ends_at LIMIT $1 FOR UPDATE SKIP LOCKED)) \
               RETURNING payments, traces \
             ), unfinished AS ( \
               SELECT id, bank_id FROM payments WHERE id = ANY(ARRAY(SELECT unnest(payments) FROM ended)) \
                 AND state = 'SUBMITTED' AND NOT is_queued ORDER BY id FOR NO KEY UPDATE \
             ), entered AS ( \
               INSERT INTO dispatches (payment_id, bank_id, work, due_at, traceparent) \
               SELECT id, bank_id, 'ENQUIRE', clock_timestamp(), \
                 (SELECT e.traces ->> u.id::text FROM ended e WHERE u.id = ANY(e.payments) AND e.traces IS NOT NULL LIMIT 1) \
               FROM unfinished u RETURNING payment_id \
             ), marked AS ( \
               UPDATE payments SET is_queued = true WHERE id = ANY(ARRAY(SELECT payment_id FROM entered)) \
             ) SELECT count(*) FROM ended";
        Ok(sqlx::query_scalar(sql).bind(limit).fetch_one(self.pool()).await?)
    }
}

fn claimed(row: &PgRow, keys: &Keyring) -> Result<Claimed, StoreError> {
    let payment = payments::from_row(row, keys)?;
    let lease = Lease {
        token: row.try_get("token")?,
        tries: row.try_get("tries")?,
        fruitless: row.try_get("fruitless")?,
    };
    let submission = match attempt(row, ["attempt", "accept_time", "valid_until"])? {
        None => None,
        Some(attempt) => {
            let debtor = keys.decrypt_account(payment.payer_account.uuid(), row.try_get("debtor")?);
            let debtor = decrypted(debtor, accounts::PERSONAL)?;
            Some(Submission {
                payment: payment.clone(),
                attempt,
                lease,
                debtor_name: debtor.display_name,
                debtor_iban: debtor.iban,
                original: original(row, keys)?,
            })
        }
    };
    Ok(Claimed { payment, lease, submission, traceparent: row.try_get("traceparent")? })
}

fn attempt(row: &PgRow, columns: [&str; 3]) -> Result<Option<Attempt>, StoreError> {
    let [number, accept_time, valid_until] = columns;
    let Some(number) = row.try_get(number)? else { return Ok(None) };
    Ok(Some(Attempt {
        number,
        accept_time: row.try_get::<OffsetDateTime, _>(accept_time)?.into(),
        valid_until: row.try_get::<OffsetDateTime, _>(valid_until)?.into(),
    }))
}

fn original(row: &PgRow, keys: &Keyring) -> Result<Option<Original>, StoreError> {
    let Some(attempt) = attempt(row, ["o_attempt", "o_accept_time", "o_valid_until"])? else {
        return Ok(None);
    };
    let currency: String = row.try_get("o_currency")?;
    let currency = Currency::parse(&currency).ok_or(StoreError::Corrupt("payments.currency"))?;
    let id = PaymentId::from_uuid(row.try_get("o_id")?);
    let personal =
        decrypted(keys.decrypt_payment(id.uuid(), row.try_get("o_personal")?), payments::PERSONAL)?;
    Ok(Some(Original {
        message_id: attempt.message_id(id),
        uetr: row.try_get::<Uuid, _>("o_uetr")?,
        end_to_end_id: personal.end_to_end_id.unwrap_or_else(|| own_end_to_end_id(id)),
        amount: Money::new(row.try_get("o_amount")?, currency),
        accept_time: attempt.accept_time,
    }))
}

/// Reads the newest attempts of payments, inside a transaction.
pub(super) async fn newest_attempts(
    connection: &mut sqlx::PgConnection,
    payments: Vec<Uuid>,
) -> Result<std::collections::BTreeMap<PaymentId, Attempt>, StoreError> {
    let rows = sqlx::query(
        "SELECT k.id, t.attempt, t.created_at AS accept_time, t.valid_until FROM unnest($1::uuid[]) AS k (id) \
         CROSS JOIN LATERAL (SELECT count(*)::int AS attempt, max(created_at) AS created_at, max(valid_until) AS valid_until \
           FROM current_payment_events WHERE payment_id = k.id AND state = 'SUBMITTED' HAVING count(*) > 0) t",
    )
    .bind(payments)
    .fetch_all(connection)
    .await?;
    let mut attempts = std::collections::BTreeMap::new();
    for row in &rows {
        if let Some(attempt) = attempt(row, ["attempt", "accept_time", "valid_until"])? {
            attempts.insert(PaymentId::from_uuid(row.try_get("id")?), attempt);
        }
    }
    Ok(attempts)
}
