//! The banks over HTTP: one address per bank, and a few more for whoever tests against it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use rustls::ServerConfig;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{NOTICE_URL_FORM, read_notice_url};
use crate::conversation::{Bank, Reply};
use crate::jws::SIGNATURE;
use crate::line::{BankListener, Incoming, Link};
use crate::script::{Rule, Script};
use crate::tls::Caller;

mod http1;
mod http2;
mod raw;

/// What every HTTP/2 connection begins with, as far as it takes to know one.
const PREFACE: &[u8] = b"PRI * HTTP/2";
/// The media type of every message.
const XML: &str = "application/xml; charset=utf-8";
/// The media type of everything that is for people.
const TEXT: &str = "text/plain; charset=utf-8";

/// How long answers in progress may take once the end is asked for.
const DRAIN: Duration = Duration::from_secs(2);

/// Banks by their ids.
pub type Banks = Arc<HashMap<String, Arc<Bank>>>;

/// What there is behind a listener.
struct Desk {
    banks: Banks,
    /// For whoever begins to shake hands.
    tls: Option<Arc<ServerConfig>>,
    /// For whatever is no message.
    router: Router,
    /// Messages that one HTTP/2 connection may have under way.
    max_streams: u32,
}

/// Serves each listener's banks until `shutdown` is cancelled, then answers what is in progress for at most two seconds.
/// An HTTP/2 connection may have `max_streams` messages under way.
pub async fn serve(
    places: Vec<(BankListener, Banks)>,
    tls: Option<Arc<ServerConfig>>,
    max_streams: u32,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    for (mut listener, banks) in places {
        let tls = tls.clone();
        let desk = Arc::new(Desk { router: router(Arc::clone(&banks)), banks, tls, max_streams });
        let (connections, shutdown) = (connections.clone(), shutdown.clone());
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(async move {
            loop {
                let incoming = listener.accept().await;
                connections.spawn(converse(incoming, Arc::clone(&desk), shutdown.clone()));
            }
        }));
    }
    shutdown.cancelled().await;
    connections.close();
    // What is not through by then is cut off.
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
}

/// Serves a connection over whichever HTTP the caller speaks.
async fn converse(incoming: Incoming, desk: Arc<Desk>, shutdown: CancellationToken) {
    let begin = async {
        let mut line = incoming.open(desk.tls.clone()).await?;
        let is_http2 = line.begins_with(PREFACE).await?;
        Ok::<_, std::io::Error>((line, is_http2))
    };
    match shutdown.run_until_cancelled(begin).await {
        Some(Ok((line, true))) => http2::serve(line, desk, shutdown).await,
        Some(Ok((line, false))) => http1::serve(line, desk, shutdown).await,
        Some(Err(_)) | None => {}
    }
}

fn router(banks: Banks) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/{bank}/books", get(credits))
        .route("/{bank}/rejections", get(rejections))
        .route("/{bank}/returns", get(returns))
        .route("/{bank}/counters", get(counters))
        .route("/{bank}/script", put(script))
        .route("/{bank}/notice-url", put(notice_url))
        .with_state(banks)
}

/// A request that never reached a bank's judgement, and why, in plain text.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1 + "\n").into_response()
    }
}

fn find(banks: &Banks, id: &str) -> Result<Arc<Bank>, Refused> {
    banks.get(id).cloned().ok_or_else(|| Refused(StatusCode::NOT_FOUND, "no such bank".to_owned()))
}

async fn list(State(banks): State<Banks>) -> Response {
    let mut banks: Vec<_> = banks.values().map(|bank| bank.config()).collect();
    banks.sort_by(|a, b| a.id.cmp(&b.id));
    let one = |config: &crate::config::BankConfig| {
        let currencies: Vec<String> = config.currencies.iter().map(ToString::to_string).collect();
        serde_json::json!({
            "id": config.id, "bic": config.bic, "name": config.name,
            "currencies": currencies, "valid_for_ms": config.valid_for_ms,
        })
    };
    Json(banks.into_iter().map(one).collect::<Vec<_>>()).into_response()
}

/// The bank that a request is a message to.
fn message_to(method: &Method, uri: &Uri, banks: &Banks) -> Option<Arc<Bank>> {
    let id = uri.path().strip_prefix('/').filter(|_| method == Method::POST)?;
    banks.get(id).cloned()
}

/// What the bank has to say to a message, or why it never reached the bank's judgement.
async fn message(
    bank: &Arc<Bank>,
    caller: &Caller,
    headers: &HeaderMap,
    body: impl Future<Output = Option<Bytes>>,
) -> Result<Reply, Refused> {
    if !is_reachable(bank).await {
        bank.is_missed();
        return Ok(Reply::HangUp);
    }
    if !bank.config().lets_in(caller) {
        return Err(Refused(StatusCode::FORBIDDEN, "this certificate may not speak here".to_owned()));
    }
    if !is_xml(headers) {
        return Err(Refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/xml".to_owned(),
        ));
    }
    let Some(body) = body.await else {
        return Err(Refused(StatusCode::BAD_REQUEST, "the body is larger than 64 KiB".to_owned()));
    };
    if !bank.signatures().are_good(headers, &body) {
        return Err(Refused(StatusCode::UNAUTHORIZED, "the message is not signed as it must be".to_owned()));
    }
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    Ok(bank.answer(&body, traceparent).await)
}

/// Waits as long as the bank hangs; false if it is down. A listener that the bank shares cannot go down with it, and a
/// connection that there was before it hung is still read.
async fn is_reachable(bank: &Bank) -> bool {
    let mut link = bank.link();
    let settled = link.wait_for(|link| *link != Link::Hung).await;
    settled.is_ok_and(|link| *link == Link::Up)
}

/// What is said in a plain answer; any other reply is for the connection to carry out.
fn plain(reply: Result<Reply, Refused>) -> Result<Response<Bytes>, Reply> {
    let mut signed = Vec::new();
    let (status, media_type, text) = match reply {
        Ok(Reply::Message(xml, signatures)) => {
            signed = signatures;
            (StatusCode::OK, XML, xml)
        }
        Ok(Reply::Garbage) => {
            (StatusCode::OK, "text/html", "<html><body>Welcome to your bank!<br></html>".to_owned())
        }
        Ok(Reply::HttpError { status, retry_after_s }) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() =
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if let Some(seconds) = retry_after_s {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            return Ok(response);
        }
        Ok(Reply::Unreadable(why)) => (StatusCode::BAD_REQUEST, TEXT, why + "\n"),
        Ok(Reply::Broken) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the books are broken\n".to_owned()),
        Err(Refused(status, why)) => (status, TEXT, why + "\n"),
        Ok(misbehaviour) => return Err(misbehaviour),
    };
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    for signature in signed.iter().filter_map(|signature| HeaderValue::from_str(signature).ok()) {
        response.headers_mut().append(SIGNATURE, signature);
    }
    Ok(response)
}

/// Whether the one content type says XML in UTF-8; two of them could be read in two ways.
fn is_xml(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let mut parts = value.to_str().unwrap_or_default().split(';').map(str::trim);
    parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/xml"))
        && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8"))
}

async fn credits(State(banks): State<Banks>, Path(id): Path<String>) -> Result<Response, Refused> {
    let bank = find(&banks, &id)?;
    listed(move || retained(bank.books().entries(), |entry| entry.rejection.is_none())).await
}

async fn rejections(State(banks): State<Banks>, Path(id): Path<String>) -> Result<Response, Refused> {
    let bank = find(&banks, &id)?;
    listed(move || retained(bank.books().entries(), |entry| entry.rejection.is_some())).await
}

async fn returns(State(banks): State<Banks>, Path(id): Path<String>) -> Result<Response, Refused> {
    let bank = find(&banks, &id)?;
    listed(move || retained(bank.books().returns(), |_| true)).await
}

fn retained<T>(mut entries: Vec<Arc<T>>, wanted: fn(&T) -> bool) -> Vec<Arc<T>> {
    entries.retain(|entry| wanted(entry));
    entries
}

async fn listed<T: Serialize>(
    list: impl FnOnce() -> Vec<Arc<T>> + Send + 'static,
) -> Result<Response, Refused> {
    // Many entries take a while to write, and payments must not wait for that.
    let written = tokio::task::spawn_blocking(move || {
        let entries = list();
        let entries: Vec<&T> = entries.iter().map(AsRef::as_ref).collect();
        serde_json::to_vec(&entries)
    })
    .await;
    match written {
        Ok(Ok(json)) => Ok(([(CONTENT_TYPE, "application/json")], json).into_response()),
        _ => Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, "the books cannot be listed".to_owned())),
    }
}

async fn counters(State(banks): State<Banks>, Path(id): Path<String>) -> Result<Response, Refused> {
    Ok(Json(find(&banks, &id)?.counts()).into_response())
}

async fn script(
    State(banks): State<Banks>,
    Path(id): Path<String>,
    Json(rules): Json<Vec<Rule>>,
) -> Result<Response, Refused> {
    let bank = find(&banks, &id)?;
    let script =
        Script::new(rules).map_err(|problems| Refused(StatusCode::BAD_REQUEST, problems.join("\n")))?;
    bank.set_script(script);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn notice_url(
    State(banks): State<Banks>,
    Path(id): Path<String>,
    text: String,
) -> Result<Response, Refused> {
    let bank = find(&banks, &id)?;
    let Some(url) = read_notice_url(text.trim()) else {
        return Err(Refused(StatusCode::BAD_REQUEST, format!("the body must be {NOTICE_URL_FORM}")));
    };
    bank.set_notice_url(url);
    Ok(StatusCode::NO_CONTENT.into_response())
}
