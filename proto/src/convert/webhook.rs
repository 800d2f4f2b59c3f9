//! Requests about webhooks.

use std::time::Duration;

use common::{
    fault::Violation,
    id::WebhookEndpointId,
    order::{WebhookChange, WebhookOrder, WebhookReplay, WebhookRotation},
    public_address::is_public,
    text,
};
use url::{Host, Url};

use super::order::check;
use crate::{
    payments::PaymentState,
    webhooks::{
        CreateWebhookEndpointRequest, ReplayWebhookEventsRequest, RotateWebhookSecretRequest,
        UpdateWebhookEndpointRequest,
    },
};

const MAX_URL_CHARS: usize = 2_048;
/// How many states a request may name.
const MAX_STATES: usize = 16;
/// The longest that old secrets sign as well.
const MAX_OVERLAP: Duration = Duration::from_secs(30 * 86_400);
/// Below are ports of services that take lines of text, and would take a posted one for theirs.
const FIRST_FREE_PORT: u16 = 1_024;
/// Names that mean this machine or this network wherever they are looked up.
const LOCAL_NAMES: [&str; 6] = ["localhost", "local", "internal", "svc", "home.arpa", "cluster.local"];

/// Where may be posted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destinations {
    /// Hosts of the public internet, over TLS.
    Public,
    /// Anywhere, over plaintext as well: for a machine of one's own. Whoever posts has the last word.
    Any,
}

/// Reads where to post to, in its normal form.
///
/// # Errors
/// What it must be instead; says nothing of what it is, since a URL may hold secrets.
pub fn webhook_url(text: &str, destinations: Destinations) -> Result<Url, &'static str> {
    if text.is_empty() || text.len() > MAX_URL_CHARS || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be a URL of at most 2048 printable ASCII characters");
    }
    let url = Url::parse(text).map_err(|_| "must be a URL, e.g. https://shop.example/webhooks")?;
    match url.scheme() {
        "https" => {}
        "http" if destinations == Destinations::Any => {}
        _ => return Err("must begin with https://"),
    }
    if !url.username().is_empty() || url.password().is_some() || has_userinfo(text) {
        return Err("must have no user and no password");
    }
    if url.fragment().is_some() {
        return Err("must have no fragment (#)");
    }
    if url.as_str().len() > MAX_URL_CHARS {
        return Err("must have at most 2048 characters in its normal form");
    }
    let host = url.host().ok_or("must have a host")?;
    if destinations == Destinations::Any {
        return if url.port() == Some(0) { Err("must have a port from 1 on") } else { Ok(url) };
    }
    if url.port().is_some_and(|port| port < FIRST_FREE_PORT) {
        return Err("must have the port 443, or one from 1024 on");
    }
    let is_public = match host {
        Host::Ipv4(address) => is_public(address.into()),
        Host::Ipv6(address) => is_public(address.into()),
        Host::Domain(name) => is_public_name(name),
    };
    if is_public { Ok(url) } else { Err("must have a host of the public internet") }
}

/// Whether there is a user in front of the host, be it an empty one.
fn has_userinfo(text: &str) -> bool {
    let behind = text.split_once("://").map_or(text, |(_, behind)| behind);
    behind.split(['/', '?', '#', '\\']).next().is_some_and(|authority| authority.contains('@'))
}

fn is_public_name(name: &str) -> bool {
    let is_local = |local: &&str| {
        name.strip_suffix(local).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    name.contains('.') && !name.ends_with('.') && !LOCAL_NAMES.iter().any(is_local)
}

/// Reads what is to be made.
///
/// # Errors
/// Everything that is wrong with it.
pub fn webhook_order(
    wire: &CreateWebhookEndpointRequest,
    destinations: Destinations,
) -> Result<WebhookOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    let url = url("url", &wire.url, destinations, &mut violations);
    states("states", &wire.states, &mut violations);
    match url {
        Some(url) if violations.is_empty() => Ok(WebhookOrder { request_id: wire.request_id.clone(), url }),
        _ => Err(violations),
    }
}

/// Reads what is to be changed.
///
/// # Errors
/// Everything that is wrong with it.
pub fn webhook_change(
    wire: &UpdateWebhookEndpointRequest,
    destinations: Destinations,
) -> Result<WebhookChange, Vec<Violation>> {
    let mut violations = Vec::new();
    let endpoint = webhook_endpoint(&wire.webhook_endpoint, &mut violations);
    let url = match wire.url.as_str() {
        "" => None,
        text => url("url", text, destinations, &mut violations),
    };
    if let Some(filter) = &wire.filter {
        states("filter.states", &filter.states, &mut violations);
    }
    match endpoint {
        Some(endpoint) if violations.is_empty() => {
            Ok(WebhookChange { endpoint, url, disabled: wire.disabled })
        }
        _ => Err(violations),
    }
}

/// Reads whose secrets are to be replaced.
///
/// # Errors
/// Everything that is wrong with it.
pub fn webhook_rotation(wire: &RotateWebhookSecretRequest) -> Result<WebhookRotation, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    let endpoint = webhook_endpoint(&wire.webhook_endpoint, &mut violations);
    let overlap = super::duration(&wire.overlap.unwrap_or_default());
    let overlap = overlap.filter(|overlap| *overlap <= MAX_OVERLAP);
    if overlap.is_none() {
        violations.push(Violation::new("overlap", "must be from 0 s to 30 days"));
    }
    match (endpoint, overlap) {
        (Some(endpoint), Some(overlap)) if violations.is_empty() => {
            Ok(WebhookRotation { request_id: wire.request_id.clone(), endpoint, overlap })
        }
        _ => Err(violations),
    }
}

/// Reads what is to be told again.
///
/// # Errors
/// Everything that is wrong with it.
pub fn webhook_replay(wire: &ReplayWebhookEventsRequest) -> Result<WebhookReplay, Vec<Violation>> {
    let mut violations = Vec::new();
    let endpoint = webhook_endpoint(&wire.webhook_endpoint, &mut violations);
    let mut time = |field: &str, wire: Option<&prost_types::Timestamp>| {
        let time = super::time(wire?);
        if time.is_none() {
            violations.push(Violation::new(field, "must be a time from 1970 to 9999"));
        }
        time
    };
    let (start, end) =
        (time("start_time", wire.start_time.as_ref()), time("end_time", wire.end_time.as_ref()));
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        violations.push(Violation::new("end_time", "must not be before start_time"));
    }
    match endpoint {
        Some(endpoint) if violations.is_empty() => Ok(WebhookReplay { endpoint, start, end }),
        _ => Err(violations),
    }
}

fn webhook_endpoint(text: &str, violations: &mut Vec<Violation>) -> Option<WebhookEndpointId> {
    super::id("webhook_endpoint", text, "we_", WebhookEndpointId::parse, violations)
}

fn url(
    field: &str,
    text: &str,
    destinations: Destinations,
    violations: &mut Vec<Violation>,
) -> Option<String> {
    let url = webhook_url(text, destinations);
    url.map(String::from).map_err(|what| violations.push(Violation::new(field, what))).ok()
}

fn states(field: &str, wire: &[i32], violations: &mut Vec<Violation>) {
    if wire.len() > MAX_STATES {
        violations.push(Violation::new(field, format!("must be at most {MAX_STATES}")));
    }
    for (at, state) in wire.iter().enumerate().take(MAX_STATES) {
        let is_state = PaymentState::try_from(*state).is_ok_and(|state| state != PaymentState::Unspecified);
        if !is_state || wire[..at].contains(state) {
            violations.push(Violation::new(format!("{field}[{at}]"), "must be a state, and stand once"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_the_internet_over_tls_are_taken() {
        for (good, normal) in [
            ("https://shop.example/hooks?a=b", "https://shop.example/hooks?a=b"),
            ("HTTPS://Shop.EXAMPLE", "https://shop.example/"),
            ("https://shop.example:443/", "https://shop.example/"),
            ("https://shop.example:8443/@x", "https://shop.example:8443/@x"),
            ("https://1.1.1.1/", "https://1.1.1.1/"),
            ("https://[2606:4700::1]/", "https://[2606:4700::1]/"),
            ("https://not-local.example/", "https://not-local.example/"),
        ] {
            assert_eq!(webhook_url(good, Destinations::Public).map(String::from).as_deref(), Ok(normal));
        }
        for bad in [
            "",
            "shop.example/hooks",
            "http://shop.example/",
            "ftp://shop.example/",
            "file:///etc/passwd",
            "gopher://shop.example/",
            "data:text/plain,x",
            "javascript:alert(1)",
            "https://user:pass@shop.example/",
            "https://user@shop.example/",
            "https://@shop.example/",
            "https://:@shop.example/",
            "https://shop.example/#part",
            "https://shop.example/ x",
            "https://shop.example/\nx",
            "https://shop.exämple/",
            "https://shop.example:0/",
            "https://shop.example:22/",
            "https://shop.example:25/",
            "https://shop.example:80/",
            "https://shop.example:65536/",
            "https://localhost/",
            "https://localhost./",
            "https://shop.example./",
            "https://x.localhost/",
            "https://intranet/",
            "https://printer.local/",
            "https://metadata.google.internal/",
            "https://gateway.rialto.svc/",
            "https://gateway.rialto.svc.cluster.local/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://%31%32%37.0.0.1/",
            "https://１２７.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1%25eth0]/",
            "https://[64:ff9b::7f00:1]/",
            &format!("https://shop.example/{}", "x".repeat(MAX_URL_CHARS)),
        ] {
            assert!(webhook_url(bad, Destinations::Public).is_err(), "{bad}");
        }
        assert!(webhook_url("http://127.0.0.1:80/", Destinations::Any).is_ok());
        assert!(webhook_url("http://u@127.0.0.1:80/", Destinations::Any).is_err());
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let fields = |violations: Vec<Violation>| -> Vec<String> {
            violations.into_iter().map(|violation| violation.field).collect()
        };
        let wire = CreateWebhookEndpointRequest { states: vec![3, 0, 3], ..Default::default() };
        let order = webhook_order(&wire, Destinations::Public).unwrap_err();
        assert_eq!(fields(order), ["request_id", "url", "states[1]", "states[2]"]);
        let late = Some(prost_types::Timestamp { seconds: 2, nanos: 0 });
        let early = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let wire = ReplayWebhookEventsRequest { start_time: late, end_time: early, ..Default::default() };
        assert_eq!(fields(webhook_replay(&wire).unwrap_err()), ["webhook_endpoint", "end_time"]);
        let overlap = Some(prost_types::Duration { seconds: 30 * 86_400, nanos: 1 });
        let wire = RotateWebhookSecretRequest { overlap, ..Default::default() };
        assert_eq!(
            fields(webhook_rotation(&wire).unwrap_err()),
            ["request_id", "webhook_endpoint", "overlap"]
        );
    }
}
