//! Webhooks: a participant's endpoints, and what is on its way to them.

use std::time::SystemTime;

use common::{fault::Fault, id::WebhookEndpointId};
use proto::{
    convert::{self, Destinations},
    platform::reply,
    webhooks::{
        CreateWebhookEndpointRequest, CreateWebhookEndpointResponse, DeleteWebhookEndpointRequest,
        DeleteWebhookEndpointResponse, ListWebhookDeliveriesRequest, ListWebhookDeliveriesResponse,
        ListWebhookEndpointsRequest, ListWebhookEndpointsResponse, ReplayWebhookEventsRequest,
        ReplayWebhookEventsResponse, RotateWebhookSecretRequest, RotateWebhookSecretResponse,
        UpdateWebhookEndpointRequest, UpdateWebhookEndpointResponse,
    },
};

use super::{Commands, Done, parse_id};
use crate::{
    domain::{ledger::Declined, payment::State},
    encryption::contents::OfWebhook,
    flow::intake::Caller,
    store::webhooks::{Change, Endpoint, NewEndpoint, Written, queue::ReplayBegun},
    webhook, wire,
};

impl Commands {
    pub(super) async fn create_webhook_endpoint(
        &self,
        caller: &Caller,
        request: CreateWebhookEndpointRequest,
    ) -> Done {
        let by = self.operator(caller)?;
        // Where is posted to is the gateway's to say, which is the one that does.
        let order = convert::webhook_order(&request, Destinations::Any).map_err(Fault::invalid)?;
        let keys = webhook::new_keys().ok_or_else(Fault::internal)?;
        let secret = webhook::secret(&keys);
        let new = NewEndpoint {
            id: WebhookEndpointId::new(self.flow.clock()),
            request_id: order.request_id,
            fingerprint: self.fingerprints.of_operation("CreateWebhookEndpoint", &request),
            contents: OfWebhook { url: order.url, keys: Some(keys), previous_keys: None },
            states: states(&request.states),
        };
        let (endpoint, secret, replayed) = match self.flow.store().make_webhook_endpoint(&new, &by).await? {
            Written::Before(before) if before.fingerprint != new.fingerprint => {
                return Err(Declined::RequestIdReused.into());
            }
            Written::Before(before) => (before, String::new(), true),
            written => (there(written)?, secret, false),
        };
        let webhook_endpoint = Some(wire::webhook_endpoint(&endpoint));
        let response = CreateWebhookEndpointResponse { webhook_endpoint, secret };
        Ok((reply::Result::CreateWebhookEndpoint(response), replayed))
    }

    pub(super) async fn list_webhook_endpoints(
        &self,
        caller: &Caller,
        request: ListWebhookEndpointsRequest,
    ) -> Done {
        let list = format!("{}/webhook-endpoints", caller.participant);
        let page = self.page(&list, request.page_size, &request.page_token, Vec::new())?;
        let store = self.flow.store();
        let mut endpoints = store.webhook_endpoints(&caller.participant, page.before, page.size + 1).await?;
        let next_page_token = self.next(&list, &page, &mut endpoints, |endpoint| endpoint.id.uuid());
        let webhook_endpoints = endpoints.iter().map(wire::webhook_endpoint).collect();
        let response = ListWebhookEndpointsResponse { webhook_endpoints, next_page_token };
        Ok((reply::Result::ListWebhookEndpoints(response), false))
    }

    pub(super) async fn update_webhook_endpoint(
        &self,
        caller: &Caller,
        request: UpdateWebhookEndpointRequest,
    ) -> Done {
        let by = self.operator(caller)?;
        let wanted = convert::webhook_change(&request, Destinations::Any).map_err(Fault::invalid)?;
        let change = Change {
            url: wanted.url,
            states: request.filter.map(|filter| states(&filter.states)),
            disabled: wanted.disabled,
        };
        let written = self.flow.store().change_webhook_endpoint(wanted.endpoint, &change, &by).await?;
        let webhook_endpoint = Some(wire::webhook_endpoint(&there(written)?));
        let response = UpdateWebhookEndpointResponse { webhook_endpoint };
        Ok((reply::Result::UpdateWebhookEndpoint(response), false))
    }

    pub(super) async fn rotate_webhook_secret(
        &self,
        caller: &Caller,
        request: RotateWebhookSecretRequest,
    ) -> Done {
        let by = self.operator(caller)?;
        let rotation = convert::webhook_rotation(&request).map_err(Fault::invalid)?;
        let keys = webhook::new_keys().ok_or_else(Fault::internal)?;
        let secret = webhook::secret(&keys);
        let overlap_ends_at = by.at.checked_add(rotation.overlap).filter(|_| !rotation.overlap.is_zero());
        let (id, request_id) = (rotation.endpoint, rotation.request_id.as_str());
        let written =
            self.flow.store().rotate_webhook_keys(id, request_id, keys, overlap_ends_at, &by).await?;
        let (endpoint, secret, replayed) = match written {
            Written::Before(before) => (before, String::new(), true),
            written => (there(written)?, secret, false),
        };
        let webhook_endpoint = Some(wire::webhook_endpoint(&endpoint));
        let response = RotateWebhookSecretResponse { webhook_endpoint, secret };
        Ok((reply::Result::RotateWebhookSecret(response), replayed))
    }

    pub(super) async fn list_webhook_deliveries(
        &self,
        caller: &Caller,
        request: ListWebhookDeliveriesRequest,
    ) -> Done {
        let mut violations = Vec::new();
        let (field, text) = ("webhook_endpoint", &request.webhook_endpoint);
        let id = convert::id(field, text, "we_", WebhookEndpointId::parse, &mut violations);
        let list = format!("{}/webhook-deliveries/{}", caller.participant, request.webhook_endpoint);
        let size = convert::page_size(request.page_size, &mut violations);
        let before = match request.page_token.as_str() {
            "" => Some(i64::MAX),
            token => self.page_tokens.read_name(&list, token).and_then(|position| position.parse().ok()),
        };
        if before.is_none() {
            violations.push(super::bad_page_token());
        }
        let (Some(id), Some(size), Some(before)) = (id, size, before) else {
            return Err(Fault::invalid(violations));
        };
        let store = self.flow.store();
        store.webhook_endpoint(&caller.participant, id).await?.ok_or_else(no_endpoint)?;
        let mut deliveries = store.webhook_deliveries(id, before, size + 1).await?;
        let has_more = super::cut(&mut deliveries, size);
        let last = deliveries.last().filter(|_| has_more);
        let token = |position: i64| self.page_tokens.make_name(&list, &position.to_string());
        let next_page_token = last.map(|last| token(last.position)).unwrap_or_default();
        let webhook_deliveries = deliveries.iter().map(wire::webhook_delivery).collect();
        let response = ListWebhookDeliveriesResponse { webhook_deliveries, next_page_token };
        Ok((reply::Result::ListWebhookDeliveries(response), false))
    }

    pub(super) async fn replay_webhook_events(
        &self,
        caller: &Caller,
        request: ReplayWebhookEventsRequest,
    ) -> Done {
        let by = self.operator(caller)?;
        let replay = convert::webhook_replay(&request).map_err(Fault::invalid)?;
        let store = self.flow.store();
        let endpoint = store.webhook_endpoint(&caller.participant, replay.endpoint).await?;
        let endpoint = endpoint.ok_or_else(no_endpoint)?;
        let place = async |time: SystemTime| store.position_at(time).await?.ok_or_else(not_kept);
        let behind = match replay.start {
            Some(start) => place(start).await?,
            None => store.first_position().await?,
        };
        let queued = store.webhooks_queued().await?.up_to;
        let up_to = match replay.end {
            Some(end) => place(end).await?.min(queued),
            None => queued,
        };
        let mut is_replaying = false;
        if behind < up_to {
            match store.begin_replay(replay.endpoint, behind, up_to, &by).await? {
                ReplayBegun::Yes => is_replaying = true,
                ReplayBegun::Another => {
                    let message = "a replay is under way: wait until the endpoint's is_replaying is false";
                    return Err(Fault::precondition("REPLAY_UNDER_WAY", message));
                }
            }
        }
        let endpoint = Endpoint { is_replaying, ..endpoint };
        let response =
            ReplayWebhookEventsResponse { webhook_endpoint: Some(wire::webhook_endpoint(&endpoint)) };
        Ok((reply::Result::ReplayWebhookEvents(response), false))
    }

    pub(super) async fn delete_webhook_endpoint(
        &self,
        caller: &Caller,
        request: DeleteWebhookEndpointRequest,
    ) -> Done {
        let by = self.operator(caller)?;
        let (field, text) = ("webhook_endpoint", &request.webhook_endpoint);
        let id = parse_id(field, text, "we_", WebhookEndpointId::parse)?;
        match self.flow.store().delete_webhook_endpoint(id, &by).await? {
            true => Ok((reply::Result::DeleteWebhookEndpoint(DeleteWebhookEndpointResponse {}), false)),
            false => Err(no_endpoint()),
        }
    }
}

/// The endpoint that was written.
fn there(written: Written) -> Result<Endpoint, Fault> {
    match written {
        Written::Now(endpoint) | Written::Before(endpoint) => Ok(endpoint),
        Written::NotFound => Err(no_endpoint()),
        Written::TooMany => {
            let message = "the participant has 100 webhook endpoints: delete some first";
            Err(Fault::precondition("TOO_MANY_WEBHOOK_ENDPOINTS", message))
        }
        Written::UrlTaken => {
            let message = "another webhook endpoint of the participant has this URL";
            Err(Fault::already_exists("WEBHOOK_URL_TAKEN", message))
        }
    }
}

fn no_endpoint() -> Fault {
    Fault::not_found("webhook endpoint")
}

fn not_kept() -> Fault {
    Fault::out_of_range(
        "TIME_NOT_KEPT",
        "the log of events is not kept for so long: leave out the time for all that is",
    )
}

/// The states of a filter that was checked.
fn states(wire: &[i32]) -> Vec<State> {
    let only = |state: &i32| match wire::state_filter(*state) {
        Some(wire::StateFilter::Only(state)) => Some(state),
        _ => None,
    };
    wire.iter().filter_map(only).collect()
}
