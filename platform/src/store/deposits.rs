//! Deposits: their row, and the look-up by request id. One round trip.

use std::collections::BTreeMap;

use common::{
    id::{AccountId, DepositId},
    money::{Currency, Money},
    order::DepositOrder,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::domain::ledger::{Arrival, Deposit, RequestKey};

#[derive(sqlx::FromRow)]
struct DepositRow {
    id: Uuid,
    participant_id: String,
    request_id: String,
    request_fingerprint: Uuid,
    account_id: Uuid,
    amount: i64,
    currency: String,
    bank_id: String,
    reference: String,
    created_at: OffsetDateTime,
}

impl TryFrom<DepositRow> for Deposit {
    type Error = StoreError;

    fn try_from(row: DepositRow) -> Result<Self, StoreError> {
        let currency = Currency::parse(&row.currency).ok_or(StoreError::Corrupt("deposits.currency"))?;
        Ok(Self {
            id: DepositId::from_uuid(row.id),
            participant: row.participant_id,
            order: DepositOrder {
                request_id: row.request_id,
                account: AccountId::from_uuid(row.account_id),
                amount: Money::new(row.amount, currency),
                bank_id: row.bank_id,
                reference: row.reference,
            },
            fingerprint: row.request_fingerprint.into_bytes(),
            created_at: row.created_at.into(),
        })
    }
}

/// The deposits that earlier requests with the same ids made.
pub(super) async fn by_request(
    connection: &mut PgConnection,
    arrivals: &[&Arrival],
) -> Result<BTreeMap<RequestKey, Deposit>, StoreError> {
    let participants: Vec<&str> = arrivals.iter().map(|arrival| arrival.participant.as_str()).collect();
    let request_ids: Vec<&str> = arrivals.iter().map(|arrival| arrival.order.request_id.as_str()).collect();
    let rows: Vec<DepositRow> = sqlx::query_as(
        "SELECT d.* FROM unnest($1::text[], $2::text[]) AS k (participant_id, request_id) \
         JOIN deposits d ON d.participant_id = k.participant_id AND d.request_id = k.request_id",
    )
    .bind(participants)
    .bind(request_ids)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let deposit = Deposit::try_from(row)?;
            Ok(((deposit.participant.clone(), deposit.order.request_id.clone()), deposit))
        })
        .collect()
}
