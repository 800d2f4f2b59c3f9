//! The banks over HTTP: one address per bank, and a few more for whoever tests against it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{NOTICE_URL_FORM, read_notice_url};
use crate::conversation::{Bank, Reply};
use crate::line::{BankListener, Link, Wire};
use crate::script::{Rule, Script};
use crate::{gate, raw};

/// How long answers in progress may take once the end is asked for.
const DRAIN: Duration = Duration::from_secs(2);

/// Banks by their ids.
pub type Banks = Arc<HashMap<String, Arc<Bank>>>;

/// Serves each listener's banks until `shutdown` is cancelled, then answers what is in progress for at most two seconds.
pub async fn serve(places: Vec<(BankListener, Banks)>, shutdown: CancellationToken) -> std::io::Result<()> {
    let mut servers = JoinSet::new();
    for (listener, banks) in places {
        let app = router(banks).into_make_service_with_connect_info::<Wire>();
        let server = axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        servers.spawn(server.into_future());
    }
    tokio::select! {
        ended = servers.join_all() => ended.into_iter().collect(),
        () = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        } => Ok(()),
    }
}

fn router(banks: Banks) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/{bank}", post(message))
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

async fn message(
    State(banks): State<Banks>,
    Path(id): Path<String>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
) -> Result<Response, Refused> {
    let bank = find(&banks, &id)?;
    if !is_reachable(&bank).await {
        bank.is_missed();
        wire.hang_up();
        return Ok(Body::empty().into_response());
    }
    if !is_xml(request.headers()) {
        return Err(Refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/xml".to_owned(),
        ));
    }
    let Ok(body) = to_bytes(request.into_body(), gate::MAX_BYTES).await else {
        return Err(Refused(StatusCode::BAD_REQUEST, "the body is larger than 64 KiB".to_owned()));
    };
    respond(bank.answer(&body).await, &wire).await
}

/// Waits as long as the bank hangs; false if it is down. A listener that the bank shares cannot go down with it, and a
/// connection that there was before it hung is still read.
async fn is_reachable(bank: &Bank) -> bool {
    let mut link = bank.link();
    let settled = link.wait_for(|link| *link != Link::Hung).await;
    settled.is_ok_and(|link| *link == Link::Up)
}

async fn respond(reply: Reply, wire: &Wire) -> Result<Response, Refused> {
    let written = match reply {
        Reply::Message(xml) => {
            return Ok(([(CONTENT_TYPE, "application/xml; charset=utf-8")], xml).into_response());
        }
        Reply::Garbage => {
            let page = "<html><body>Welcome to your bank!<br></html>";
            return Ok(([(CONTENT_TYPE, "text/html")], page).into_response());
        }
        Reply::HttpError { status, retry_after_s } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let later = retry_after_s.map(|seconds| [(RETRY_AFTER, seconds.to_string())]);
            return Ok(later.map_or_else(|| status.into_response(), |later| (status, later).into_response()));
        }
        // The server drops this future when the peer closes the connection.
        Reply::Silence => std::future::pending().await,
        Reply::Unreadable(why) => return Err(Refused(StatusCode::BAD_REQUEST, why)),
        Reply::Broken => {
            return Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, "the books are broken".to_owned()));
        }
        Reply::HangUp => Ok(()),
        Reply::Drip { xml, pause, head } => raw::drip(wire, &xml, pause, head).await,
        Reply::EndlessHeaders => raw::endless_headers(wire).await,
        Reply::HugeBody { xml, mib, length_told } => raw::huge_body(wire, &xml, mib, length_told).await,
    };
    // Whether all of it was written or the peer went away, the connection has served its purpose.
    drop(written);
    wire.hang_up();
    Ok(Body::empty().into_response())
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
