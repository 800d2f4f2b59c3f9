//! What people should look at. One round trip each.

use std::time::{Duration, SystemTime};

use common::{
    clock::Clock,
    id::{AlarmId, PaymentId},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, archive, to_sql};
use crate::domain::{alarm::AlarmKind, ledger::Alarm};

/// Saves alarms, and gives them their numbers; a payment's second one of a kind is dropped.
pub(super) async fn save(connection: &mut PgConnection, alarms: &[Alarm]) -> Result<(), StoreError> {
    if alarms.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO alarms (id, kind, payment_id, detail, created_at) \
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[]) \
         ON CONFLICT (payment_id, kind) DO NOTHING",
    )
    .bind(alarms.iter().map(|alarm| AlarmId::at(alarm.at).uuid()).collect::<Vec<Uuid>>())
    .bind(alarms.iter().map(|alarm| alarm.kind.name()).collect::<Vec<_>>())
    .bind(alarms.iter().map(|alarm| alarm.payment.uuid()).collect::<Vec<Uuid>>())
    .bind(alarms.iter().map(|alarm| alarm.detail.as_str()).collect::<Vec<_>>())
    .bind(alarms.iter().map(|alarm| to_sql(alarm.at)).collect::<Vec<OffsetDateTime>>())
    .execute(connection)
    .await?;
    for alarm in alarms {
        tracing::error!(kind = alarm.kind.name(), payment = %alarm.payment, detail = alarm.detail, "ALARM");
    }
    Ok(())
}

impl Store {
    /// Raises one alarm. A payment in the archive comes back and stays: it is not over for people.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn raise(&self, alarm: Alarm) -> Result<(), StoreError> {
        let mut transaction = self.pool().begin().await?;
        archive::bring_back(&mut transaction, &[alarm.payment.uuid()]).await?;
        save(&mut transaction, std::slice::from_ref(&alarm)).await?;
        Ok(transaction.commit().await?)
    }

    /// Raises an alarm for payments to a bank that came to be more than `bound` ago and have no end yet. Returns how many
    /// are new, at most `limit`. Payments' numbers are ordered by time, so that the oldest are found without reading the
    /// queue.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn raise_overdue(
        &self,
        bank_id: &str,
        bound: Duration,
        clock: &Clock,
        limit: i64,
    ) -> Result<usize, StoreError> {
        let oldest = Uuid::new_v7(uuid::Timestamp::from_unix_time(
            clock
                .now()
                .checked_sub(bound)
                .and_then(|then| then.duration_since(SystemTime::UNIX_EPOCH).ok())
                .map_or(0, |since| since.as_secs()),
            0,
            0,
            0,
        ));
        let mut transaction = self.pool().begin().await?;
        let overdue: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE dispatches SET is_overdue = true WHERE payment_id = ANY(ARRAY( \
               SELECT payment_id FROM dispatches WHERE payment_id < $1 AND bank_id = $2 AND work <> 'EXPIRE' \
                 AND NOT is_overdue ORDER BY payment_id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)) \
             RETURNING payment_id",
        )
        .bind(oldest)
        .bind(bank_id)
        .bind(limit)
        .fetch_all(&mut *transaction)
        .await?;
        let detail = format!("no end after {} s; it is still being worked on", bound.as_secs());
        let alarm = |payment| Alarm {
            kind: AlarmKind::PaymentOverdue,
            payment: PaymentId::from_uuid(payment),
            detail: detail.clone(),
            at: clock.now(),
        };
        let alarms: Vec<Alarm> = overdue.into_iter().map(alarm).collect();
        save(&mut transaction, &alarms).await?;
        transaction.commit().await?;
        Ok(alarms.len())
    }

    /// The alarms about a participant's payments and what the house takes back of them, newest first, from behind `before`
    /// on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn alarms(
        &self,
        participant: &str,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<(AlarmId, Alarm)>, StoreError> {
        let rows: Vec<(Uuid, String, Uuid, String, OffsetDateTime)> = sqlx::query_as(
            "SELECT a.id, a.kind, a.payment_id, a.detail, a.created_at FROM alarms a \
             WHERE a.id < $2 AND $1 = (SELECT CASE p.kind WHEN 'RETURN' THEN \
                 (SELECT o.participant_id FROM payments o WHERE o.id = p.original_id) ELSE p.participant_id END \
               FROM payments p WHERE p.id = a.payment_id) \
             ORDER BY a.id DESC LIMIT $3",
        )
        .bind(participant)
        .bind(before.unwrap_or(Uuid::max()))
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|(id, kind, payment, detail, at)| {
                let kind = AlarmKind::from_name(&kind).ok_or(StoreError::Corrupt("alarms.kind"))?;
                let payment = PaymentId::from_uuid(payment);
                Ok((AlarmId::from_uuid(id), Alarm { kind, payment, detail, at: at.into() }))
            })
            .collect()
    }
}
