//! Deposits: their rows, by their numbers, by their requests, and as lists. One round trip each.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use common::{
    id::{AccountId, DecisionId, DepositId},
    money::{Currency, Money},
    order::DepositOrder,
};
use sqlx::{PgConnection, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, to_sql};
use crate::domain::{
    deposit::{Decision, Deposit, DepositState, Verdict},
    ledger::Arrival,
};

#[derive(sqlx::FromRow)]
struct DepositRow {
    id: Uuid,
    participant_id: String,
    request_id: String,
    request_fingerprint: Uuid,
    account_id: Uuid,
    settlement_account: Uuid,
    amount: i64,
    currency: String,
    bank_id: String,
    reference: String,
    proposed_by: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    state: String,
    decision_id: Option<Uuid>,
    decided_by: Option<String>,
    decided_at: Option<OffsetDateTime>,
    reject_reason: Option<String>,
}

const COLUMNS: &str = "d.id, d.participant_id, d.request_id, d.request_fingerprint, d.account_id, d.settlement_account, d.amount, \
    d.currency, d.bank_id, d.reference, d.proposed_by, d.created_at, d.expires_at, d.state::text, d.decision_id, d.decided_by, \
    d.decided_at, d.reject_reason";

impl TryFrom<DepositRow> for Deposit {
    type Error = StoreError;

    fn try_from(row: DepositRow) -> Result<Self, StoreError> {
        let currency = Currency::parse(&row.currency).ok_or(StoreError::Corrupt("deposits.currency"))?;
        let verdict = match (row.state.as_str(), row.decided_by, row.reject_reason) {
            ("PENDING_APPROVAL", None, None) => None,
            ("BOOKED", Some(by), None) => Some(Verdict::Booked { by }),
            ("REJECTED", Some(by), Some(reason)) => Some(Verdict::Rejected { by, reason }),
            ("LAPSED", None, None) => Some(Verdict::Lapsed),
            _ => return Err(StoreError::Corrupt("deposits.state")),
        };
        let decision = match (verdict, row.decision_id, row.decided_at) {
            (None, None, None) => None,
            (Some(verdict), Some(id), Some(at)) => {
                Some(Decision { id: DecisionId::from_uuid(id), verdict, at: at.into() })
            }
            _ => return Err(StoreError::Corrupt("deposits.decision_id")),
        };
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
            settlement_account: AccountId::from_uuid(row.settlement_account),
            proposed_by: row.proposed_by,
            created_at: row.created_at.into(),
            expires_at: row.expires_at.into(),
            decision,
        })
    }
}

/// The deposits that earlier requests with the same ids proposed.
pub(super) async fn by_request(
    connection: &mut PgConnection,
    arrivals: &[&Arrival],
) -> Result<Vec<Deposit>, StoreError> {
    let participants: Vec<&str> = arrivals.iter().map(|arrival| arrival.participant.as_str()).collect();
    let request_ids: Vec<&str> = arrivals.iter().map(|arrival| arrival.order.request_id.as_str()).collect();
    let rows: Vec<DepositRow> = sqlx::query_as(const_format::concatcp!(
        "SELECT ",
        COLUMNS,
        " FROM unnest($1::text[], $2::text[]) AS k (participant_id, request_id) \
         JOIN deposits d ON d.participant_id = k.participant_id AND d.request_id = k.request_id"
    ))
    .bind(participants)
    .bind(request_ids)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Deposit::try_from).collect()
}

/// How many deposits of the participants of `arrivals` are pending. Those that others write meanwhile are not seen.
pub(super) async fn pending(
    connection: &mut PgConnection,
    arrivals: &[&Arrival],
) -> Result<BTreeMap<String, usize>, StoreError> {
    let participants: BTreeSet<&str> = arrivals.iter().map(|arrival| arrival.participant.as_str()).collect();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT k.id, (SELECT count(*) FROM deposits WHERE participant_id COLLATE \"C\" = k.id AND state = $2::deposit_state) \
         FROM unnest($1::text[]) AS k (id)",
    )
    .bind(participants.into_iter().collect::<Vec<_>>())
    .bind(DepositState::PendingApproval.name())
    .fetch_all(connection)
    .await?;
    let count = |count: i64| usize::try_from(count).unwrap_or_default();
    Ok(rows.into_iter().map(|(participant, pending)| (participant, count(pending))).collect())
}

/// The deposits with these numbers.
pub(super) async fn by_id(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
) -> Result<BTreeMap<DepositId, Deposit>, StoreError> {
    let sql = const_format::concatcp!("SELECT ", COLUMNS, " FROM deposits d WHERE d.id = ANY($1)");
    let rows: Vec<DepositRow> = sqlx::query_as(sql).bind(ids).fetch_all(connection).await?;
    rows.into_iter().map(|row| Deposit::try_from(row).map(|deposit| (deposit.id, deposit))).collect()
}

impl Store {
    /// A participant's deposit.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deposit(&self, participant: &str, id: DepositId) -> Result<Option<Deposit>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let found = by_id(&mut connection, vec![id.uuid()]).await?.remove(&id);
        Ok(found.filter(|deposit| deposit.participant == participant))
    }

    /// A participant's deposits in one state, or in any, newest first, from behind `before` on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deposits(
        &self,
        participant: &str,
        state: Option<DepositState>,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Deposit>, StoreError> {
        // Each state by the one index, newest first, then the newest of all. The limit as a number: of one that it does not see, the
        // planner expects a tenth of all rows.
        let states = state.map_or(DepositState::ALL.to_vec(), |state| vec![state]);
        let mut query = QueryBuilder::new(const_format::concatcp!("SELECT ", COLUMNS, " FROM ("));
        for (number, state) in states.into_iter().enumerate() {
            query.push(if number > 0 { " UNION ALL (" } else { "(" });
            query.push("SELECT * FROM deposits WHERE participant_id COLLATE \"C\" = ").push_bind(participant);
            query.push(" AND state = ").push_bind(state.name()).push("::deposit_state AND id < ");
            query
                .push_bind(before.unwrap_or(Uuid::max()))
                .push(" ORDER BY id DESC LIMIT ")
                .push(limit)
                .push(")");
        }
        query.push(") AS d ORDER BY d.id DESC LIMIT ").push(limit);
        let rows: Vec<DepositRow> = query.build_query_as().fetch_all(self.pool()).await?;
        rows.into_iter().map(Deposit::try_from).collect()
    }

    /// Deposits that nobody decided on in their time, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deposits_past_their_time(
        &self,
        now: SystemTime,
        limit: i64,
    ) -> Result<Vec<Deposit>, StoreError> {
        let sql = const_format::concatcp!(
            "SELECT ",
            COLUMNS,
            " FROM deposits d WHERE d.state = 'PENDING_APPROVAL' AND d.expires_at <= $1 ORDER BY d.expires_at LIMIT $2"
        );
        let rows: Vec<DepositRow> =
            sqlx::query_as(sql).bind(to_sql(now)).bind(limit).fetch_all(self.pool()).await?;
        rows.into_iter().map(Deposit::try_from).collect()
    }
}
