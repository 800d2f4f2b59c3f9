//! All that is on record of one payment. A round trip for each kind of thing, by index.

use std::time::{Duration, SystemTime};

use common::{
    id::{AccountId, AlarmId, PaymentId, TransferId},
    money::Money,
};
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, conversation::Heard, to_micros};
use crate::domain::{
    alarm::AlarmKind,
    ledger::Alarm,
    payment::{Attempt, Payment, State},
};

/// What is on record of a payment, beside the payment itself.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its steps, first to last.
    pub steps: Vec<Step>,
    /// What it moved; none until it has.
    pub transfer: Option<Moved>,
    /// What is to be done about it.
    pub work: Option<Pending>,
    /// Alarms about it, first to last.
    pub alarms: Vec<(AlarmId, Alarm)>,
    /// What operators proposed and approved, first to last.
    pub acts: Vec<Act>,
    /// Its trace.
    pub trace: Option<Uuid>,
    /// What its bank said about it and is kept, first to last.
    pub heard: Vec<Heard>,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The how-manieth.
    pub sequence: i32,
    /// The state that it led to.
    pub state: State,
    /// When.
    pub at: SystemTime,
    /// Why, for programs; empty for no reason.
    pub reason_code: String,
    /// Why, as an ISO 20022 reason; empty if none fits.
    pub reason_iso_code: String,
    /// The bank's message that it follows from; empty if it follows from none.
    pub bank_message_id: String,
    /// The attempt that it put on record.
    pub attempt: Option<Attempt>,
}

/// A transfer. The house's accounts are nobody's business.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Which.
    pub id: TransferId,
    /// Who is debited; none for the house.
    pub debit: Option<AccountId>,
    /// Who is credited; none for the house.
    pub credit: Option<AccountId>,
    /// How much.
    pub amount: Money,
    /// When it was booked.
    pub at: SystemTime,
}

/// Work that is queued.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What.
    pub work: String,
    /// When somebody may take it up.
    pub due_at: SystemTime,
    /// How often it was.
    pub tries: i32,
}

/// What an operator said of its end.
#[derive(Clone, Debug)]
pub struct Act {
    /// Whether it approves what another proposed.
    pub is_approval: bool,
    /// Whether the payee is credited.
    pub succeeded: bool,
    /// Where the evidence is found.
    pub evidence_reference: String,
    /// Whose credential.
    pub by: String,
    /// When.
    pub at: SystemTime,
}

impl Store {
    /// What is on record of a payment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn story(&self, payment: &Payment) -> Result<Story, StoreError> {
        Ok(Story {
            steps: self.steps(payment.id).await?,
            transfer: self.transfer(payment).await?,
            work: self.pending(payment.id).await?,
            alarms: self.alarms_of(payment.id).await?,
            acts: self.acts_of(payment.id).await?,
            trace: self.trace_of(payment.id).await?,
            heard: self.heard(payment.id).await?,
        })
    }

    /// A payment's steps, first to last.
    pub(super) async fn steps(&self, payment: PaymentId) -> Result<Vec<Step>, StoreError> {
        let rows = sqlx::query(
            "SELECT sequence, state::text, created_at, reason_code, reason_iso_code, bank_message_id, valid_until \
             FROM all_payment_events WHERE payment_id = $1 ORDER BY sequence",
        )
        .bind(payment.uuid())
        .fetch_all(self.pool())
        .await?;
        let mut attempts = 0;
        let mut steps = Vec::new();
        for row in rows {
            let at: SystemTime = row.try_get::<OffsetDateTime, _>("created_at")?.into();
            let valid_until: Option<OffsetDateTime> = row.try_get("valid_until")?;
            attempts += i32::from(valid_until.is_some());
            steps.push(Step {
                sequence: row.try_get("sequence")?,
                state: State::from_name(row.try_get("state")?)
                    .ok_or(StoreError::Corrupt("payment_events.state"))?,
                at,
                reason_code: row.try_get::<Option<String>, _>("reason_code")?.unwrap_or_default(),
                reason_iso_code: row.try_get::<Option<String>, _>("reason_iso_code")?.unwrap_or_default(),
                bank_message_id: row.try_get("bank_message_id")?,
                attempt: valid_until.map(|until| Attempt {
                    number: attempts,
                    accept_time: at,
                    valid_until: until.into(),
                }),
            });
        }
        Ok(steps)
    }

    /// What a payment moved: a transfer is found by the account that it debits, and its number is the payment's.
    async fn transfer(&self, payment: &Payment) -> Result<Option<Moved>, StoreError> {
        let row: Option<(Uuid, bool, Uuid, bool, i64, OffsetDateTime)> = sqlx::query_as(
            "SELECT t.debit_account, d.may_overdraw, t.credit_account, t.credit_is_house, t.amount, t.created_at \
             FROM transfers t JOIN accounts d ON d.id = t.debit_account \
             WHERE t.debit_account = $1 AND t.id = $2 AND NOT t.is_deposit",
        )
        .bind(payment.payer_account.uuid())
        .bind(payment.id.uuid())
        .fetch_optional(self.pool())
        .await?;
        let account = |id, is_house: bool| (!is_house).then(|| AccountId::from_uuid(id));
        Ok(row.map(|(debit, debit_is_house, credit, credit_is_house, minor_units, at)| Moved {
            id: TransferId::from_uuid(payment.id.uuid()),
            debit: account(debit, debit_is_house),
            credit: account(credit, credit_is_house),
            amount: Money::new(minor_units, payment.amount.currency()),
            at: at.into(),
        }))
    }

    async fn pending(&self, payment: PaymentId) -> Result<Option<Pending>, StoreError> {
        let row: Option<(String, OffsetDateTime, i32)> =
            sqlx::query_as("SELECT work::text, due_at, tries FROM dispatches WHERE payment_id = $1")
                .bind(payment.uuid())
                .fetch_optional(self.pool())
                .await?;
        Ok(row.map(|(work, due_at, tries)| Pending { work, due_at: due_at.into(), tries }))
    }

    async fn alarms_of(&self, payment: PaymentId) -> Result<Vec<(AlarmId, Alarm)>, StoreError> {
        let rows: Vec<(Uuid, String, String, OffsetDateTime)> = sqlx::query_as(
            "SELECT id, kind, detail, created_at FROM alarms WHERE payment_id = $1 ORDER BY id",
        )
        .bind(payment.uuid())
        .fetch_all(self.pool())
        .await?;
        let alarm = |(id, kind, detail, at): (Uuid, String, String, OffsetDateTime)| {
            let kind = AlarmKind::from_name(&kind).ok_or(StoreError::Corrupt("alarms.kind"))?;
            Ok((AlarmId::from_uuid(id), Alarm { kind, payment, detail, at: at.into() }))
        };
        rows.into_iter().map(alarm).collect()
    }

    async fn acts_of(&self, payment: PaymentId) -> Result<Vec<Act>, StoreError> {
        let rows: Vec<(bool, bool, String, String, OffsetDateTime)> = sqlx::query_as(
            "SELECT is_approval, succeeded, evidence_reference, by_credential, created_at FROM resolution_acts \
             WHERE payment_id = $1 ORDER BY id",
        )
        .bind(payment.uuid())
        .fetch_all(self.pool())
        .await?;
        let act = |(is_approval, succeeded, evidence_reference, by, at): (_, _, _, _, OffsetDateTime)| Act {
            is_approval,
            succeeded,
            evidence_reference,
            by,
            at: at.into(),
        };
        Ok(rows.into_iter().map(act).collect())
    }

    async fn trace_of(&self, payment: PaymentId) -> Result<Option<Uuid>, StoreError> {
        let sql = "SELECT trace_id FROM payment_traces WHERE payment_id = $1";
        Ok(sqlx::query_scalar(sql).bind(payment.uuid()).fetch_optional(self.pool()).await?)
    }

    /// Forgets the traces of payments that came to be longer ago than `keep`, the oldest `limit` at most. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_traces(&self, keep: Duration, limit: i64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM payment_traces WHERE payment_id IN ( \
               SELECT payment_id FROM payment_traces \
               WHERE payment_id < first_id(statement_timestamp() - $1 * interval '1 microsecond') \
               ORDER BY payment_id LIMIT $2)";
        let forgotten = sqlx::query(sql).bind(to_micros(keep)).bind(limit).execute(self.pool()).await?;
        Ok(forgotten.rows_affected())
    }
}
