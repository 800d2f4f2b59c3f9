//! Webhooks: URLs that are told what happens, and what is on its way to them.

use std::time::Duration;

use clap::Subcommand;
use common::{clock::Clock, fault::Violation};
use proto::{
    payments::PaymentState,
    webhooks::{
        CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, ListWebhookDeliveriesRequest,
        ListWebhookDeliveriesResponse, ListWebhookEndpointsRequest, ListWebhookEndpointsResponse,
        ReplayWebhookEventsRequest, RotateWebhookSecretRequest, UpdateWebhookEndpointRequest,
        WebhookEndpoint, WebhookFilter,
    },
};

use crate::{
    failure::Failure,
    gateway_link::{ANSWER_TIMEOUT, Gateway, within},
    moment::{self, Moment},
    paging::LimitArgs,
    pay::RequestIdArgs,
    payments::parse_state,
    screen::{Rows, Screen, note, time, word},
};

/// What can be done with webhooks.
#[derive(Subcommand, Debug)]
pub enum WebhookJob {
    /// List your endpoints, newest first.
    List {
        /// How many.
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Have a URL told what happens from now on. Shows its secret, this once.
    Create {
        /// Where to post: https://…
        url: String,
        /// Only steps to this state: succeeded, failed, …; may be given several times.
        #[arg(long = "state", value_name = "STATE", value_parser = parse_state)]
        states: Vec<PaymentState>,
        /// The request's id.
        #[command(flatten)]
        request_id: RequestIdArgs,
    },
    /// Change what is given, and leave the rest.
    Update {
        /// The endpoint: we_…
        endpoint: String,
        /// Where to post from now on.
        #[arg(long)]
        url: Option<String>,
        /// Only steps to this state from now on; may be given several times.
        #[arg(long = "state", value_name = "STATE", value_parser = parse_state)]
        states: Vec<PaymentState>,
        /// Steps to any state from now on.
        #[arg(long, conflicts_with = "states")]
        all_states: bool,
        /// Post nothing any more; what waits stays.
        #[arg(long)]
        disable: bool,
        /// Post again. What happened meanwhile is to be replayed.
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
    },
    /// Make a new secret and key. Shows the secret, this once.
    Rotate {
        /// The endpoint: we_…
        endpoint: String,
        /// How long the old ones sign as well, e.g. 24h; at most 30days.
        #[arg(long, value_parser = humantime::parse_duration, default_value = "0s", hide_default_value = true)]
        overlap: Duration,
        /// The request's id.
        #[command(flatten)]
        request_id: RequestIdArgs,
    },
    /// End an endpoint. What was not delivered never is.
    Delete {
        /// The endpoint: we_…
        endpoint: String,
    },
    /// List what was, is and is to be delivered, newest first.
    Deliveries {
        /// The endpoint: we_…
        endpoint: String,
        /// How many.
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Have what happened in a while delivered again.
    Replay {
        /// The endpoint: we_…
        endpoint: String,
        /// From when on: so long ago (1h, 7days), or a time (2026-11-29T06:00:00Z). Absent: all that is kept.
        #[arg(long, value_parser = moment::parse)]
        since: Option<Moment>,
        /// Up to when. Absent: until now.
        #[arg(long, value_parser = moment::parse)]
        until: Option<Moment>,
    },
}

impl WebhookJob {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        let mut webhooks = gateway.webhooks.clone();
        match self {
            Self::List { limit } => list(gateway, screen, limit).await,
            Self::Create { url, states, request_id } => {
                let id = settled(request_id)?;
                let states = wire(states);
                let request =
                    CreateWebhookEndpointRequest { request_id: id.clone(), url: url.clone(), states };
                let answer = webhooks.create_webhook_endpoint(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change(&id))?.into_inner();
                screen.show(&answer, |answer| one(answer.webhook_endpoint.as_ref(), &answer.secret))?;
                tell_of_secret(&answer.secret);
                Ok(())
            }
            Self::Update { endpoint, url, states, all_states, disable, enable } => {
                let is_changed = url.is_some() || !states.is_empty() || *all_states || *disable || *enable;
                if !is_changed {
                    return Err(Failure::usage("say what to change: see `rialto webhooks update --help`"));
                }
                let has_filter = *all_states || !states.is_empty();
                let request = UpdateWebhookEndpointRequest {
                    webhook_endpoint: endpoint.clone(),
                    url: url.clone().unwrap_or_default(),
                    filter: has_filter.then(|| WebhookFilter { states: wire(states) }),
                    disabled: (*disable || *enable).then_some(*disable),
                };
                let answer = webhooks.update_webhook_endpoint(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change_as_it_is)?.into_inner();
                screen.show(&answer, |answer| one(answer.webhook_endpoint.as_ref(), ""))
            }
            Self::Rotate { endpoint, overlap, request_id } => {
                let id = settled(request_id)?;
                let overlap = prost_types::Duration::try_from(*overlap)
                    .map_err(|_| Failure::usage("--overlap: at most 30days"))?;
                let request = RotateWebhookSecretRequest {
                    request_id: id.clone(),
                    webhook_endpoint: endpoint.clone(),
                    overlap: Some(overlap),
                };
                let answer = webhooks.rotate_webhook_secret(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change(&id))?.into_inner();
                screen.show(&answer, |answer| one(answer.webhook_endpoint.as_ref(), &answer.secret))?;
                tell_of_secret(&answer.secret);
                Ok(())
            }
            Self::Delete { endpoint } => {
                let request = DeleteWebhookEndpointRequest { webhook_endpoint: endpoint.clone() };
                let answer = webhooks.delete_webhook_endpoint(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change_as_it_is)?.into_inner();
                screen.show(&answer, |_| {
                    Rows::of([("endpoint", endpoint.clone()), ("state", "DELETED".to_owned())])
                })
            }
            Self::Deliveries { endpoint, limit } => deliveries(gateway, screen, endpoint, limit).await,
            Self::Replay { endpoint, since, until } => {
                let now = Clock::system().now();
                let request = ReplayWebhookEventsRequest {
                    webhook_endpoint: endpoint.clone(),
                    start_time: since.map(|since| since.when(now)).transpose()?,
                    end_time: until.map(|until| until.when(now)).transpose()?,
                };
                let answer = webhooks.replay_webhook_events(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change_as_it_is)?.into_inner();
                screen.show(&answer, |answer| one(answer.webhook_endpoint.as_ref(), ""))
            }
        }
    }
}

/// The request's id, which is told before anything is sent.
fn settled(request_id: &RequestIdArgs) -> Result<String, Failure> {
    let mut violations: Vec<Violation> = Vec::new();
    let id = request_id.settle(&mut violations);
    if !violations.is_empty() {
        return Err(Failure::fields(&violations));
    }
    request_id.tell(&id);
    Ok(id)
}

fn wire(states: &[PaymentState]) -> Vec<i32> {
    states.iter().map(|state| i32::from(*state)).collect()
}

fn tell_of_secret(secret: &str) {
    note(match secret {
        "" => {
            "→ its secret was shown when this request was first sent: `rialto webhooks rotate` makes another"
        }
        _ => "→ the secret is shown this once: keep it where the receiver finds it",
    });
}

async fn list(gateway: &Gateway, screen: &Screen, limit: &LimitArgs) -> Result<(), Failure> {
    let (webhook_endpoints, next_page_token) = limit
        .read(async |page_size, page_token| {
            let request = within(ANSWER_TIMEOUT, ListWebhookEndpointsRequest { page_size, page_token });
            let page = gateway.webhooks.clone().list_webhook_endpoints(request).await?.into_inner();
            Ok((page.webhook_endpoints, page.next_page_token))
        })
        .await?;
    let all = ListWebhookEndpointsResponse { webhook_endpoints, next_page_token };
    screen.show(&all, |all| {
        let heading = ["ENDPOINT", "STATE", "URL", "HEARS OF", "CREATED"];
        Rows::below(
            heading,
            all.webhook_endpoints.iter().map(|endpoint| {
                let created = time(endpoint.create_time.as_ref());
                [endpoint.id.clone(), condition(endpoint), endpoint.url.clone(), hears_of(endpoint), created]
            }),
        )
    })
}

async fn deliveries(
    gateway: &Gateway,
    screen: &Screen,
    endpoint: &str,
    limit: &LimitArgs,
) -> Result<(), Failure> {
    let (webhook_deliveries, next_page_token) = limit
        .read(async |page_size, page_token| {
            let webhook_endpoint = endpoint.to_owned();
            let request = ListWebhookDeliveriesRequest { webhook_endpoint, page_size, page_token };
            let request = within(ANSWER_TIMEOUT, request);
            let page = gateway.webhooks.clone().list_webhook_deliveries(request).await?.into_inner();
            Ok((page.webhook_deliveries, page.next_page_token))
        })
        .await?;
    let all = ListWebhookDeliveriesResponse { webhook_deliveries, next_page_token };
    screen.show(&all, |all| {
        let heading = ["EVENT", "STATE", "ATTEMPTS", "LAST", "OUTCOME", "STATUS", "DUE"];
        Rows::below(
            heading,
            all.webhook_deliveries.iter().map(|delivery| {
                [
                    delivery.event.clone(),
                    word(delivery.state().as_str_name(), "WEBHOOK_DELIVERY_STATE_").to_owned(),
                    delivery.attempts.to_string(),
                    time(delivery.attempt_time.as_ref()),
                    delivery.outcome.clone(),
                    if delivery.status == 0 { String::new() } else { delivery.status.to_string() },
                    time(delivery.due_time.as_ref()),
                ]
            }),
        )
    })
}

fn one(endpoint: Option<&WebhookEndpoint>, secret: &str) -> Rows {
    let Some(endpoint) = endpoint else { return Rows::of([]) };
    Rows::of([
        ("endpoint", endpoint.id.clone()),
        ("state", condition(endpoint)),
        ("url", endpoint.url.clone()),
        ("hears of", hears_of(endpoint)),
        ("secret", secret.to_owned()),
        ("public key", endpoint.public_key.clone()),
        ("old secret until", time(endpoint.overlap_end_time.as_ref())),
        ("disabled", time(endpoint.disable_time.as_ref())),
        ("created", time(endpoint.create_time.as_ref())),
        ("request id", endpoint.request_id.clone()),
    ])
}

/// How an endpoint is, in a word or two.
fn condition(endpoint: &WebhookEndpoint) -> String {
    let replays = if endpoint.is_replaying { ", REPLAYING" } else { "" };
    match (&endpoint.disable_time, endpoint.failures) {
        (Some(_), _) => format!("DISABLED ({}){replays}", endpoint.disable_reason),
        (None, 0) => format!("OK{replays}"),
        (None, failures) => format!("FAILING ({failures} in a row){replays}"),
    }
}

fn hears_of(endpoint: &WebhookEndpoint) -> String {
    let states: Vec<&str> =
        endpoint.states().map(|state| word(state.as_str_name(), "PAYMENT_STATE_")).collect();
    if states.is_empty() { "ALL".to_owned() } else { states.join(", ") }
}
