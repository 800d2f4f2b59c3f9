//! How far those have been told of events who asked to be: participants' endpoints and the broker.

use sqlx::PgConnection;

use crate::store::StoreError;

/// How far they have been told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Events that are not queued for endpoints yet.
    pub unqueued: i64,
    /// Endpoints, by how they are.
    pub endpoints: Vec<(&'static str, i64)>,
    /// For how long the oldest delivery has been due to an endpoint that does not fail, in ms; 0 if none is.
    pub oldest_due_ms: i64,
    /// How far the broker is behind; none if nothing was ever published.
    pub broker: Option<BrokerLag>,
}

/// How far the broker is behind.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BrokerLag {
    /// Events that it does not have yet.
    pub events: i64,
    /// How long ago the first of them got its place, in ms; 0 if there is none.
    pub oldest_ms: i64,
    /// Events that were forgotten before it had them, ever.
    pub missed: i64,
}

pub(super) async fn told(connection: &mut PgConnection) -> Result<Told, StoreError> {
    let unqueued = "SELECT p.next_position - 1 - q.up_to FROM webhooks_queued q, events_placed p WHERE q.singleton AND p.singleton";
    let endpoints = "SELECT count(*) FILTER (WHERE disabled_at IS NULL AND failures = 0), \
         count(*) FILTER (WHERE disabled_at IS NULL AND failures > 0), count(*) FILTER (WHERE disabled_at IS NOT NULL) \
         FROM webhook_endpoints WHERE deleted_at IS NULL";
    // What is being posted is due when its turn is over.
    let oldest_due = "SELECT coalesce(GREATEST(0, (EXTRACT(EPOCH FROM statement_timestamp() - min(d.due_at)) * 1000)::bigint), 0) \
         FROM webhook_endpoints e CROSS JOIN LATERAL (SELECT due_at FROM webhook_deliveries d \
           WHERE d.endpoint_id = e.id AND d.state = 'DUE' ORDER BY due_at LIMIT 1) AS d \
         WHERE e.disabled_at IS NULL AND e.deleted_at IS NULL AND e.failures = 0";
    // The row that the next event stands in; the first that is left, if that one is forgotten.
    let broker = "SELECT p.next_position - 1 - b.up_to AS events, b.missed, \
           CASE WHEN p.next_position - 1 = b.up_to THEN 0 ELSE coalesce(GREATEST(0, (EXTRACT(EPOCH FROM statement_timestamp() - coalesce( \
             (SELECT placed_at FROM event_log WHERE position IS NOT NULL AND position <= b.up_to + 1 ORDER BY position DESC LIMIT 1), \
             (SELECT placed_at FROM event_log WHERE position IS NOT NULL ORDER BY position LIMIT 1))) * 1000)::bigint), 0) END AS oldest_ms \
         FROM broker_published b, events_placed p WHERE b.singleton AND p.singleton";
    let (healthy, failing, disabled): (i64, i64, i64) =
        sqlx::query_as(endpoints).fetch_one(&mut *connection).await?;
    Ok(Told {
        unqueued: sqlx::query_scalar(unqueued).fetch_one(&mut *connection).await?,
        endpoints: vec![("healthy", healthy), ("failing", failing), ("disabled", disabled)],
        oldest_due_ms: sqlx::query_scalar(oldest_due).fetch_one(&mut *connection).await?,
        broker: sqlx::query_as(broker).fetch_optional(&mut *connection).await?,
    })
}
