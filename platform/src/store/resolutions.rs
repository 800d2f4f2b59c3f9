//! What operators found out about payments.

use std::collections::BTreeMap;

use common::id::PaymentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::ledger::{Finding, Proposal};

/// What operators found out about these payments.
pub(super) async fn of(
    connection: &mut PgConnection,
    payments: Vec<Uuid>,
) -> Result<BTreeMap<PaymentId, Proposal>, StoreError> {
    let sql = "SELECT payment_id, succeeded, evidence_reference, proposed_by, approved_by FROM resolutions \
               WHERE payment_id = ANY($1)";
    let rows: Vec<(Uuid, bool, String, String, Option<String>)> =
        sqlx::query_as(sql).bind(payments).fetch_all(connection).await?;
    let proposal = |(payment, succeeded, evidence_reference, proposed_by, approved_by)| {
        let finding = Finding { succeeded, evidence_reference };
        (PaymentId::from_uuid(payment), Proposal { finding, proposed_by, approved_by })
    };
    Ok(rows.into_iter().map(proposal).collect())
}

/// Saves what operators found out. What was approved never changes.
pub(super) async fn save(
    connection: &mut PgConnection,
    proposals: &BTreeMap<PaymentId, Proposal>,
) -> Result<(), StoreError> {
    for (payment, proposal) in proposals {
        let saved = sqlx::query(
            "INSERT INTO resolutions (payment_id, succeeded, evidence_reference, proposed_by, approved_by) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (payment_id) DO UPDATE SET succeeded = EXCLUDED.succeeded, \
             evidence_reference = EXCLUDED.evidence_reference, proposed_by = EXCLUDED.proposed_by, \
             approved_by = EXCLUDED.approved_by WHERE resolutions.approved_by IS NULL",
        )
        .bind(payment.uuid())
        .bind(proposal.finding.succeeded)
        .bind(&proposal.finding.evidence_reference)
        .bind(&proposal.proposed_by)
        .bind(&proposal.approved_by)
        .execute(&mut *connection)
        .await?;
        if saved.rows_affected() != 1 {
            return Err(StoreError::Conflict("resolutions"));
        }
    }
    Ok(())
}
