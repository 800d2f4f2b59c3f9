//! The HTTP face of the channel (`docs/bank-profile.md`), where banks say what they were not asked, `POST /banks/{id}/pacs.002`, and
//! instruct us, `POST /banks/{id}`: they pay accounts here, and ask what became of that.
//!
//! Over TLS a bank is believed by its own certificate, and only at its own paths.

mod door;

use std::{io, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Bytes, to_bytes},
    extract::{Path, Request, State},
    http::{
        StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::post,
};
use common::{
    crash_point, http_server,
    lifecycle::Lifecycle,
    rpc_server::Limits,
    tls::Wire,
    trace::{Span, SpanKind},
};
use door::Caller;
pub use door::Door;
use proto::channel::{Notice, NoticeReceipt, NoticeResult, notice::Verdict};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tracing::Instrument;

use crate::{
    bank::Bank,
    directory::Directory,
    metrics,
    notices::Notices,
    rails::{
        Rail,
        iso20022::{
            gate,
            http::{XML, is_xml},
            jws::{self, BadSignature},
            notice::{self, NoNotice},
        },
    },
};

/// How long hands may be shaken.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections at once from one address; more than [`crate::bank::MAX_UNASKED`], so that whoever comes too many is told so.
const MAX_CONNECTIONS_PER_ADDRESS: usize = 384;
/// Connections at once, in all: whoever fills his places leaves the other banks theirs.
const MAX_CONNECTIONS: usize = 1_536;
/// When to come back, in seconds.
const RETRY_AFTER_S: &str = "1";

/// Takes notices from banks of the directory, and passes them on.
#[derive(Debug, Clone)]
pub struct NoticeDesk {
    directory: watch::Receiver<Arc<Directory>>,
    notices: Notices,
    lifecycle: Lifecycle,
}

/// Why a notice is not on record.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no bank of the directory has this id")]
    NoSuchBank,
    #[error("the certificate is not this bank's")]
    NotThisBank,
    #[error("{0}")]
    BadSignature(#[from] BadSignature),
    #[error("{0}")]
    Unreadable(String),
    #[error("{0}")]
    Contradiction(String),
    #[error("{0}")]
    Later(String),
}

impl NoticeDesk {
    /// Takes notices from the banks of the directory as it is at the time, until the lifecycle drains.
    pub fn new(directory: watch::Receiver<Arc<Directory>>, notices: Notices, lifecycle: Lifecycle) -> Self {
        Self { directory, notices, lifecycle }
    }

    /// Serves on `listener` behind `door` until the lifecycle drains and every notice under way is answered, or it stops.
    ///
    /// # Errors
    /// When the listener has no address, or a file of the door is bad.
    pub async fn serve(self, listener: TcpListener, door: &Door) -> io::Result<()> {
        let tls = door.tls(&self.directory).map_err(io::Error::other)?;
        tracing::info!(address = %listener.local_addr()?, is_encrypted = tls.is_some(), "taking notices");
        let lifecycle = self.lifecycle.clone();
        let app = Router::new()
            .route("/banks/{id}/pacs.002", post(take))
            .route("/banks/{id}", post(instruct))
            .with_state(self);
        let limits = Limits {
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
            max_new_per_s: None,
        };
        let begin = |stream, peer| {
            let (app, lifecycle) = (app.clone(), lifecycle.clone());
            let tls = tls.as_ref().map(|tls| tls.fresh());
            async move {
                match timeout(HANDSHAKE_TIMEOUT, shake_hands(stream, tls)).await {
                    Ok(Ok((wire, caller))) => {
                        http_server::converse(wire, app.layer(Extension(caller)), lifecycle).await;
                    }
                    Ok(Err(error)) => tracing::warn!(%peer, %error, "a bank's connection refused"),
                    Err(_) => tracing::debug!(%peer, "a bank's connection closed: no hands shaken in time"),
                }
            }
        };
        http_server::accept(listener, limits, lifecycle.draining(), begin).await;
        Ok(())
    }

    /// The bank that speaks, if it may, and one of its places.
    fn admit(&self, bank_id: &str, caller: &Caller) -> Result<(Arc<Bank>, OwnedSemaphorePermit), Refusal> {
        let bank = self.directory.borrow().bank(bank_id).ok_or(Refusal::NoSuchBank)?;
        if !caller.is(&bank) {
            tracing::error!(bank = bank_id, "ALARM: somebody else spoke for a bank");
            return Err(Refusal::NotThisBank);
        }
        if self.lifecycle.is_draining() {
            return Err(Refusal::Later("the channel is about to stop".to_owned()));
        }
        let too_many =
            || Refusal::Later("too much of what this bank said is under way: send it again later".to_owned());
        let place = bank.listen().ok_or_else(too_many)?;
        Ok((bank, place))
    }

    async fn pass_on(&self, bank_id: &str, caller: &Caller, request: Request) -> Result<Response, Refusal> {
        let (bank, _place) = self.admit(bank_id, caller)?;
        let begun = begun(&request);
        let notice = notice::read(&bank.entry().id, &body(&bank, request).await?)?;
        self.deliver(notice, &begun, "POST /banks/{id}/pacs.002").await?;
        Ok(StatusCode::OK.into_response())
    }

    /// Has a bank's own instruction carried out, and tells the bank what became of it.
    async fn carry_out(&self, bank_id: &str, caller: &Caller, request: Request) -> Result<Response, Refusal> {
        let (bank, _place) = self.admit(bank_id, caller)?;
        let Rail::Iso20022(rail) = bank.rail();
        let begun = begun(&request);
        let about = rail.read(&bank.entry().id, &body(&bank, request).await?)?;
        let notice = Notice {
            bank_id: about.bank_id.clone(),
            uetr: about.uetr.clone(),
            verdict: Some(Verdict::Instruction(about.clone())),
            ..Notice::default()
        };
        let receipt = self.deliver(notice, &begun, "POST /banks/{id}").await?;
        let verdict = receipt.verdict.ok_or_else(|| Refusal::Later("the platform cannot say".to_owned()))?;
        let report = rail.report(&about, &verdict);
        let report = report.ok_or_else(|| Refusal::Later("the answer could not be signed".to_owned()))?;
        let mut response = ([(CONTENT_TYPE, XML)], report.document).into_response();
        if let Some(signature) = report.signature {
            response.headers_mut().insert(jws::HEADER, signature);
        }
        Ok(response)
    }

    /// What a bank hears, which is counted.
    fn answer(&self, bank_id: &str, message: &'static str, done: Result<Response, Refusal>) -> Response {
        let bank = self.directory.borrow().bank(bank_id);
        let result = done.as_ref().map_or_else(Refusal::name, |_| "taken");
        metrics::noticed(bank.as_ref().map(|bank| bank.label()), message, result);
        done.unwrap_or_else(|refusal| {
            tracing::warn!(bank = bank_id, message, reason = %refusal, "not on record");
            refusal.into_response()
        })
    }

    /// Has a platform take a notice, in the trace that the bank began, or one that begins here.
    async fn deliver(
        &self,
        notice: Notice,
        begun: &str,
        route: &'static str,
    ) -> Result<NoticeReceipt, Refusal> {
        // Whoever is not known to be the bank continues nobody's trace.
        let mut span = Span::begin(begun, route, SpanKind::Server);
        span.set("rialto.bank.id", notice.bank_id.clone());
        let trace = span.context();
        let (bank, uetr) = (notice.bank_id.clone(), notice.uetr.clone());
        let logged = tracing::info_span!("notice", trace_id = trace.trace_id(), bank, uetr);
        self.hand_on(Notice { traceparent: trace.to_string(), ..notice }).instrument(logged).await
    }

    async fn hand_on(&self, notice: Notice) -> Result<NoticeReceipt, Refusal> {
        crash_point::here("channel.before_notice");
        let receipt = self.notices.deliver(notice).await.map_err(|why| Refusal::Later(why.to_string()))?;
        crash_point::here("channel.after_notice");
        match receipt.result() {
            NoticeResult::Taken => {
                tracing::info!("taken");
                Ok(receipt)
            }
            NoticeResult::Refused => Err(Refusal::Contradiction(receipt.detail)),
            NoticeResult::Unspecified => Err(Refusal::Later("the platform cannot say".to_owned())),
        }
    }
}

/// The trace that a bank sent with a message, if it did.
fn begun(request: &Request) -> String {
    let begun = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    begun.unwrap_or_default().to_owned()
}

/// The body of a bank's message, signed where it is to be.
async fn body(bank: &Bank, request: Request) -> Result<Bytes, Refusal> {
    let (head, body) = request.into_parts();
    if !is_xml(&head.headers) {
        return Err(Refusal::Unreadable("not said to be XML in UTF-8".to_owned()));
    }
    let body = match timeout(BODY_TIMEOUT, to_bytes(body, gate::MAX_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return Err(Refusal::Unreadable(format!(
                "not a whole body of at most {} bytes",
                gate::MAX_BYTES
            )));
        }
        Err(_) => {
            return Err(Refusal::Later(format!("no whole body within {} ms", BODY_TIMEOUT.as_millis())));
        }
    };
    if let Some(verifier) = bank.verifier() {
        verifier.check(&head.headers, &body)?;
    }
    Ok(body)
}

async fn take(
    State(desk): State<NoticeDesk>,
    Path(bank_id): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let taken = desk.pass_on(&bank_id, &caller, request).await;
    desk.answer(&bank_id, "notice", taken)
}

async fn instruct(
    State(desk): State<NoticeDesk>,
    Path(bank_id): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let carried_out = desk.carry_out(&bank_id, &caller, request).await;
    desk.answer(&bank_id, "instruction", carried_out)
}

impl From<NoNotice> for Refusal {
    fn from(why: NoNotice) -> Self {
        match why {
            NoNotice::Unreadable(_) | NoNotice::Invalid(_) => Self::Unreadable(why.to_string()),
            NoNotice::Contradiction(_) => Self::Contradiction(why.to_string()),
        }
    }
}

impl Refusal {
    /// What it is called in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::NoSuchBank | Self::NotThisBank => "not_let_in",
            Self::BadSignature(_) => "bad_signature",
            Self::Unreadable(_) => "unreadable",
            Self::Contradiction(_) => "contradiction",
            Self::Later(_) => "later",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoSuchBank => StatusCode::NOT_FOUND,
            Self::NotThisBank => StatusCode::FORBIDDEN,
            Self::BadSignature(_) => StatusCode::UNAUTHORIZED,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Contradiction(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Later(_) => {
                let headers = [(RETRY_AFTER, RETRY_AFTER_S)];
                return (StatusCode::SERVICE_UNAVAILABLE, headers, self.to_string()).into_response();
            }
        };
        (status, self.to_string()).into_response()
    }
}

/// Who is at the other end, and the way there.
async fn shake_hands(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
) -> io::Result<(Box<dyn Wire>, Caller)> {
    let Some(tls) = tls else { return Ok((Box::new(stream), Caller::Unknown)) };
    let stream = TlsAcceptor::from(tls).accept(stream).await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default().into();
    Ok((Box::new(stream), Caller::Shown(shown)))
}

#[cfg(test)]
mod tests;
