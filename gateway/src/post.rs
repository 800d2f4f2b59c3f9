//! One attempt to deliver a webhook: posted once, to an address that may be reached, and over within 15 s, whatever the receiver does.

mod resolver;

use std::{
    error::Error,
    fmt, io,
    time::{Duration, SystemTime},
};

use common::clock::Clock;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use proto::{
    convert::{self, Destinations},
    platform::Delivery,
};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::time::{Instant, timeout_at};

use resolver::{NotReached, PublicResolver};

/// How long an attempt may take in all.
const LONGEST: Duration = Duration::from_secs(15);
/// How long connecting may take.
const LONGEST_CONNECTING: Duration = Duration::from_secs(5);
/// How much of an answer is read: nothing in it is needed.
const MAX_ANSWER_BYTES: usize = 20 << 10;
/// How many lines its head may have.
const MAX_HEADERS: usize = 100;
/// Connections that are kept for a receiver, and for how long.
const IDLE_CONNECTIONS: usize = 4;
const LONGEST_IDLE: Duration = Duration::from_secs(20);

/// Posts webhooks. Clones share the connections.
#[derive(Clone)]
pub struct Poster {
    client: Client<HttpsConnector<HttpConnector<PublicResolver>>, Full<Bytes>>,
    destinations: Destinations,
    clock: Clock,
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").field("destinations", &self.destinations).finish_non_exhaustive()
    }
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// What the receiver answered; 0 if nothing.
    pub status: u16,
    /// What it came to, as in rialto.webhooks.v1.WebhookDelivery.
    pub outcome: &'static str,
    /// How long the receiver wants to be left alone.
    pub retry_after: Duration,
}

fn without_answer(outcome: &'static str) -> Posted {
    Posted { status: 0, outcome, retry_after: Duration::ZERO }
}

impl Poster {
    /// Posts where may be posted to.
    ///
    /// # Errors
    /// When there are no certificates to trust.
    pub fn new(destinations: Destinations, clock: Clock) -> Result<Self, String> {
        let mut connector = HttpConnector::new_with_resolver(PublicResolver::new(destinations));
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(LONGEST_CONNECTING));
        connector.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|error| format!("webhooks can't be posted over TLS: {error}"))?;
        let tls = match destinations {
            Destinations::Public => tls.https_only(),
            Destinations::Any => tls.https_or_http(),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(LONGEST_IDLE)
            .http1_max_headers(MAX_HEADERS)
            .http1_max_buf_size(MAX_ANSWER_BYTES)
            .build(tls.enable_http1().wrap_connector(connector));
        Ok(Self { client, destinations, clock })
    }

    /// Makes one attempt.
    pub async fn post(&self, delivery: &Delivery) -> Posted {
        let until = Instant::now() + LONGEST;
        // Checked again: it may have been taken by a gateway that lets more through. A host that is an address is dialled as it is.
        if convert::webhook_url(&delivery.url, self.destinations).is_err() {
            return without_answer("ADDRESS_REFUSED");
        }
        let Ok(request) = request(delivery) else { return without_answer("ADDRESS_REFUSED") };
        let response = match timeout_at(until, self.client.request(request)).await {
            Err(_) => return without_answer("TIMED_OUT"),
            Ok(Err(error)) => return without_answer(outcome(&error)),
            Ok(Ok(response)) => response,
        };
        let posted = self.verdict(&response);
        // Read so that the receiver can finish; what is too long or too slow is cut.
        let _ = timeout_at(until, Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect()).await;
        posted
    }

    /// What an answer's head says. A redirect is a failure: where it leads nobody has checked.
    fn verdict(&self, response: &Response<Incoming>) -> Posted {
        let outcome = if response.status().is_success() { "DELIVERED" } else { "STATUS" };
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| rest(value, self.clock.now())).unwrap_or_default();
        Posted { status: response.status().as_u16(), outcome, retry_after }
    }
}

fn request(delivery: &Delivery) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    Request::post(&delivery.url)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "rialto-webhooks")
        .header("webhook-id", &delivery.id)
        .header("webhook-timestamp", delivery.timestamp)
        .header("webhook-signature", &delivery.signature)
        .body(Full::from(delivery.content.clone()))
}

/// How long Retry-After asks for (RFC 9110, 10.2.3): seconds, or a date.
fn rest(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = SystemTime::from(OffsetDateTime::parse(value.trim(), &Rfc2822).ok()?);
    until.duration_since(now).ok()
}

/// Why there was no answer.
fn outcome(error: &hyper_util::client::legacy::Error) -> &'static str {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(not_reached) = error.downcast_ref::<NotReached>() {
            return match not_reached {
                NotReached::NoAddress => "NO_ADDRESS",
                NotReached::Refused => "ADDRESS_REFUSED",
            };
        }
        if error.is::<rustls::Error>() {
            return "NOT_TRUSTED";
        }
        // An I/O error has what it is made of inside, and passes over that when it is asked for its source.
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    if error.is_connect() { "NOT_CONNECTED" } else { "BAD_ANSWER" }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_rest_is_asked_for_in_seconds_or_by_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(1_445_412_480 - 90);
        for (value, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(90)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(rest(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[tokio::test]
    async fn no_address_of_this_machine_is_dialled_unless_it_is_said() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let delivery = |url: String| Delivery { url, id: "evt_1".to_owned(), ..Delivery::default() };
        let strict = Poster::new(Destinations::Public, Clock::system()).unwrap();
        for url in [
            format!("https://127.0.0.1:{port}/"),
            format!("https://[::ffff:127.0.0.1]:{port}/"),
            format!("https://localhost:{port}/"),
            format!("http://127.0.0.1:{port}/"),
            "https://shop.example/ x".to_owned(),
        ] {
            assert_eq!(strict.post(&delivery(url.clone())).await.outcome, "ADDRESS_REFUSED", "{url}");
        }
        // Behind the check of the URL: whatever a name turns into when it is dialled.
        let request = request(&delivery(format!("https://localhost:{port}/"))).unwrap();
        let error = strict.client.request(request).await.unwrap_err();
        assert_eq!(outcome(&error), "ADDRESS_REFUSED");
        let dialled = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(dialled.is_err(), "somebody has dialled");
        drop(listener);
        let loose = Poster::new(Destinations::Any, Clock::system()).unwrap();
        let refused = loose.post(&delivery(format!("http://127.0.0.1:{port}/"))).await;
        assert_eq!(refused.outcome, "NOT_CONNECTED");
        let unknown = loose.post(&delivery("http://no-such-name.invalid/".to_owned())).await;
        assert_eq!(unknown.outcome, "NO_ADDRESS");
    }
}
