//! How much of payments is refunded. The payment's row, which is final, stays as it is; its lock guards this one.

use std::collections::BTreeMap;

use common::id::PaymentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// How much of these payments is refunded, refunds under way included.
pub(super) async fn of(
    connection: &mut PgConnection,
    payments: Vec<Uuid>,
) -> Result<BTreeMap<PaymentId, i64>, StoreError> {
    let sql = "SELECT payment_id, refunded FROM refundable WHERE payment_id = ANY($1)";
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(sql).bind(payments).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(payment, refunded)| (PaymentId::from_uuid(payment), refunded)).collect())
}

/// Adds to how much is refunded; the database refuses more than the payment's amount.
pub(super) async fn save(
    connection: &mut PgConnection,
    refunded: &BTreeMap<PaymentId, (i64, i64)>,
) -> Result<(), StoreError> {
    if refunded.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = refunded.keys().map(|id| id.uuid()).collect();
    let amounts: Vec<i64> = refunded.values().map(|(amount, _)| *amount).collect();
    sqlx::query(
        "INSERT INTO refundable (payment_id, amount, refunded) \
         SELECT id, amount, 0 FROM unnest($1::uuid[], $2::bigint[]) AS g (id, amount) ON CONFLICT DO NOTHING",
    )
    .bind(&ids)
    .bind(amounts)
    .execute(&mut *connection)
    .await?;
    let changes: Vec<i64> = refunded.values().map(|(_, change)| *change).collect();
    sqlx::query(
        "UPDATE refundable r SET refunded = r.refunded + g.change \
         FROM unnest($1::uuid[], $2::bigint[]) AS g (id, change) WHERE r.payment_id = g.id",
    )
    .bind(ids)
    .bind(changes)
    .execute(connection)
    .await?;
    Ok(())
}
