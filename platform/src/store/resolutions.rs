//! What operators found out about payments.

use std::collections::BTreeMap;

use common::id::PaymentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, to_sql};
use crate::domain::ledger::{Finding, Proposal, ResolutionAct};

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

/// Puts on record for ever who proposed and approved what. A batch that is done again brings the same acts.
pub(super) async fn save_acts(
    connection: &mut PgConnection,
    acts: &[ResolutionAct],
) -> Result<(), StoreError> {
    for act in acts {
        sqlx::query(
            "INSERT INTO resolution_acts (id, payment_id, is_approval, succeeded, evidence_reference, by_credential, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        )
        .bind(act.id.uuid())
        .bind(act.payment.uuid())
        .bind(act.is_approval)
        .bind(act.finding.succeeded)
        .bind(&act.finding.evidence_reference)
        .bind(&act.by)
        .bind(to_sql(act.at))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
