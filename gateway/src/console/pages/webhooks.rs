//! Webhooks: endpoints, what was delivered to each, and replays.

use askama::Template;
use axum::{
    Form,
    extract::{
        Path, Query,
        rejection::{FormRejection, QueryRejection},
    },
    response::{IntoResponse, Redirect, Response},
};
use proto::webhooks::{
    ListWebhookDeliveriesRequest, ListWebhookEndpointsRequest, ReplayWebhookEventsRequest, WebhookDelivery,
    WebhookDeliveryState, WebhookEndpoint,
};
use serde::Deserialize;
use tonic::Status;

use super::time_of_form;
use crate::console::{
    show,
    visitor::{Frame, Visitor, call, page},
};

/// A participant has so many endpoints at most.
const MAX_ENDPOINTS: i32 = 100;
const PAGE_SIZE: i32 = 50;

#[derive(Template)]
#[template(path = "webhooks.html")]
struct EndpointsPage {
    frame: Frame,
    endpoints: Vec<WebhookEndpoint>,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct EndpointPage {
    frame: Frame,
    endpoint: WebhookEndpoint,
    deliveries: Vec<WebhookDelivery>,
    next: String,
    /// Why its reader may not replay.
    no_replay: Option<&'static str>,
    has_begun: bool,
}

impl EndpointPage {
    fn delivery(&self, delivery: &WebhookDelivery) -> (&'static str, &'static str) {
        match delivery.state() {
            WebhookDeliveryState::Unspecified => ("", ""),
            WebhookDeliveryState::Waiting => (self.frame.t.delivery_waiting, "open"),
            WebhookDeliveryState::Due => (self.frame.t.delivery_due, "open"),
            WebhookDeliveryState::Delivered => (self.frame.t.delivery_delivered, "good"),
            WebhookDeliveryState::GivenUp => (self.frame.t.delivery_given_up, "bad"),
        }
    }
}

/// Which page of deliveries.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::console) struct Asked {
    page_token: String,
    replay: String,
    #[serde(rename = "lang")]
    _lang: String,
}

/// What is to be delivered again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct Replay {
    token: String,
    from: String,
    until: String,
}

/// Shows the endpoints.
pub(in crate::console) async fn list(visitor: Visitor) -> Response {
    match endpoints(&visitor).await {
        Ok(endpoints) => page(&EndpointsPage { frame: visitor.frame("webhooks"), endpoints }),
        Err(status) => visitor.problem(&status),
    }
}

async fn endpoints(visitor: &Visitor) -> Result<Vec<WebhookEndpoint>, Status> {
    let request =
        ListWebhookEndpointsRequest { page_size: MAX_ENDPOINTS, ..ListWebhookEndpointsRequest::default() };
    Ok(call!(visitor, ReadWebhooks, ListWebhookEndpoints, request).await?.webhook_endpoints)
}

/// Shows an endpoint and its deliveries.
pub(in crate::console) async fn show(
    visitor: Visitor,
    Path(endpoint): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Ok(Query(asked)) = asked else { return visitor.bad_request() };
    let request = ListWebhookDeliveriesRequest {
        webhook_endpoint: endpoint.clone(),
        page_size: PAGE_SIZE,
        page_token: asked.page_token,
    };
    let (found, own) =
        tokio::join!(call!(visitor, ReadWebhooks, ListWebhookDeliveries, request), endpoints(&visitor));
    let (found, own) = match (found, own) {
        (Ok(found), Ok(own)) => (found, own),
        (Err(status), _) | (_, Err(status)) => return visitor.problem(&status),
    };
    let Some(endpoint) = own.into_iter().find(|own| own.id == endpoint) else {
        return visitor.problem(&Status::not_found(visitor.texts().not_found));
    };
    let next = match found.next_page_token.as_str() {
        "" => String::new(),
        token => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("page_token", token);
            format!("/console/webhooks/{}?{}", endpoint.id, query.finish())
        }
    };
    page(&EndpointPage {
        frame: visitor.frame("webhooks"),
        endpoint,
        deliveries: found.webhook_deliveries,
        next,
        no_replay: visitor.no_replay(),
        has_begun: asked.replay == "begun",
    })
}

/// Begins a replay.
pub(in crate::console) async fn replay(
    visitor: Visitor,
    Path(endpoint): Path<String>,
    sent: Result<Form<Replay>, FormRejection>,
) -> Response {
    let Ok(Form(sent)) = sent else { return visitor.bad_request() };
    let (Ok(start_time), Ok(end_time)) = (time_of_form(&sent.from), time_of_form(&sent.until)) else {
        return visitor.bad_request();
    };
    if !visitor.made_form(&sent.token) {
        return visitor.bad_request();
    }
    let request = ReplayWebhookEventsRequest { webhook_endpoint: endpoint, start_time, end_time };
    match call!(visitor, ManageWebhooks, ReplayWebhookEvents, request).await {
        Ok(begun) => {
            let id = begun.webhook_endpoint.unwrap_or_default().id;
            Redirect::to(&format!("/console/webhooks/{id}?replay=begun")).into_response()
        }
        Err(status) => visitor.problem(&status),
    }
}
