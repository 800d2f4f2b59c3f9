//! What operators do to endpoints: the record, which the audit log seals.

use common::id::WebhookEndpointId;
use sqlx::PgConnection;

use crate::store::{StoreError, acts::By, to_sql};

/// What an operator does to an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Create,
    Update,
    Rotate,
    Replay,
    Delete,
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Rotate => "ROTATE",
            Self::Replay => "REPLAY",
            Self::Delete => "DELETE",
        }
    }
}

/// Puts an act on record, in the transaction that does it: with what the endpoint is from then on.
pub(super) async fn record(
    connection: &mut PgConnection,
    act: Act,
    endpoint: WebhookEndpointId,
    by: &By<'_>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO webhook_acts (id, endpoint_id, act, url_hash, states, is_disabled, by_participant, by_credential, created_at) \
         SELECT $1, id, $2, url_hash, states, disabled_at IS NOT NULL, $3, $4, $5 FROM webhook_endpoints WHERE id = $6";
    sqlx::query(sql)
        .bind(by.act.uuid())
        .bind(act.name())
        .bind(by.participant)
        .bind(by.credential)
        .bind(to_sql(by.at))
        .bind(endpoint.uuid())
        .execute(connection)
        .await?;
    Ok(())
}
