//! Deliveries of webhooks: handed to gateways, which post them, signed for now; secrets stay here.

use std::{collections::BTreeMap, time::Duration};

use common::{
    clock::Clock,
    fault::{Fault, Violation},
    id::WebhookEndpointId,
};
use proto::platform::{ClaimDeliveriesRequest, Delivery, DeliveryTurn, ReportDeliveryRequest};

use crate::{
    domain::webhook::{Attempt, MAX_JITTER_PER_MILLE, Outcome},
    store::{
        Store,
        event_log::{LoggedEvent, Stretch},
        webhooks::turns::{ToDeliver, Turn},
    },
    webhook, wire,
};

/// How long a gateway has a turn: longer than an attempt and the report on it take, and no longer than a signature is good for.
const LEASE: Duration = Duration::from_secs(60);
/// How many may be taken over at once.
const MAX_AT_ONCE: u32 = 256;

/// Takes over deliveries that are due.
pub(super) async fn claim(
    store: &Store,
    clock: &Clock,
    request: &ClaimDeliveriesRequest,
) -> Result<Vec<Delivery>, Fault> {
    if !(1..=MAX_AT_ONCE).contains(&request.most) {
        return Err(Fault::invalid(vec![Violation::new("most", format!("must be from 1 to {MAX_AT_ONCE}"))]));
    }
    let claimed = store.claim_webhooks(request.most.into(), LEASE).await?;
    if claimed.is_empty() {
        return Ok(Vec::new());
    }
    let steps: BTreeMap<i64, _> =
        claimed.iter().map(|one| (one.turn.position, (one.payment, one.sequence))).collect();
    let steps: Stretch =
        steps.into_iter().map(|(position, (payment, sequence))| (position, payment, sequence)).collect();
    let events = store.events(&steps, None).await?;
    let events: BTreeMap<i64, &LoggedEvent> = events.iter().map(|event| (event.position, event)).collect();
    let mut deliveries = Vec::with_capacity(claimed.len());
    for one in &claimed {
        let event = events.get(&one.turn.position).and_then(|event| wire::event(event, &one.participant));
        match event {
            Some(event) => deliveries.push(signed(one, &event, clock)),
            None => {
                tracing::error!(endpoint = %one.turn.endpoint, "ALARM: an event can't be read, and is not posted");
                let unread =
                    Attempt { status: None, outcome: Outcome::Unreadable, retry_after: Duration::ZERO };
                store.report_webhook(&one.turn, &unread, jitter()).await?;
            }
        }
    }
    Ok(deliveries)
}

fn signed(one: &ToDeliver, event: &proto::payments::PaymentEvent, clock: &Clock) -> Delivery {
    let (timestamp, content) = (webhook::timestamp(clock.now()), webhook::content(event));
    let keys = one.contents.keys.iter().chain(&one.contents.previous_keys);
    Delivery {
        turn: Some(DeliveryTurn {
            webhook_endpoint: one.turn.endpoint.to_string(),
            position: one.turn.position,
            token: one.turn.token,
        }),
        url: one.contents.url.clone(),
        id: event.id.clone(),
        timestamp,
        signature: webhook::signature(keys, &event.id, timestamp, &content),
        content,
    }
}

/// Takes note of what came of a turn.
pub(super) async fn report(store: &Store, request: &ReportDeliveryRequest) -> Result<(), Fault> {
    let (turn, attempt) = read(request).map_err(Fault::invalid)?;
    let counted = store.report_webhook(&turn, &attempt, jitter()).await?;
    let outcome = attempt.outcome.name();
    tracing::debug!(endpoint = %turn.endpoint, outcome, status = attempt.status, counted, "a webhook was posted");
    Ok(())
}

fn read(request: &ReportDeliveryRequest) -> Result<(Turn, Attempt), Vec<Violation>> {
    let turn = request.turn.clone().unwrap_or_default();
    let endpoint = WebhookEndpointId::parse(&turn.webhook_endpoint);
    let outcome = Outcome::from_name(&request.outcome);
    let status = u16::try_from(request.status).ok().filter(|status| (100..1_000).contains(status));
    let mut violations = Vec::new();
    if endpoint.is_none() {
        violations.push(Violation::new("turn.webhook_endpoint", "must be we_ followed by 32 digits"));
    }
    if outcome.is_none() {
        violations.push(Violation::new("outcome", "must be one of those of WebhookDelivery.outcome"));
    }
    if status.is_none() && request.status != 0 {
        violations.push(Violation::new("status", "must be a status of HTTP, or 0"));
    }
    match (endpoint, outcome) {
        (Some(endpoint), Some(outcome)) if violations.is_empty() => {
            let retry_after = Duration::from_secs(request.retry_after_s.into());
            let turn = Turn { endpoint, position: turn.position, token: turn.token };
            Ok((turn, Attempt { status, outcome, retry_after }))
        }
        _ => Err(violations),
    }
}

fn jitter() -> u32 {
    rand::random_range(0..=MAX_JITTER_PER_MILLE)
}
