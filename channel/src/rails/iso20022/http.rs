//! One message to a bank and its answer, over HTTP/1.1 or HTTP/2.
//!
//! What matters most here is to tell "not a byte of the request left" from everything else: the first may be tried
//! again, the rest may have reached the bank.

mod dial;
mod http1;
mod http2;

use std::time::Duration;

use common::{
    planted,
    trace::{Span, SpanKind, TraceParent},
};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Bytes,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    gate::{self, Unreadable},
    jws::{self, BadSignature, Signer, Verifier},
};
use crate::directory::entry::{Access, HttpVersion};
use dial::Dialer;
use http1::Http1;
use http2::Http2;
use url::Url;

/// Shorter than servers commonly keep an idle connection (5 s and more), so that a bank rarely closes one at the moment
/// it is used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The media type of messages.
pub const XML: &str = "application/xml; charset=utf-8";

/// Where a message is in its trace (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// No connection came about: the bank has not seen a byte of the request.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// So many connections to the bank are being made that this one was not begun.
    #[error("too many connections to it are being made")]
    Crowded,
    /// The system gave no randomness to sign with: nothing was sent.
    #[error("could not be signed")]
    NotSigned,
    /// The bank must sign, and has not signed this answer.
    #[error("{0}")]
    BadSignature(#[from] BadSignature),
    /// Time ran out.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection broke after it was used.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The same, of a connection of which another request on it has told already: that is one failure of the bank, not many.
    #[error("the connection broke: {0}")]
    BrokenBesides(String),
    /// The bank answered with something other than 200.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The answer isn't said to be XML in UTF-8.
    #[error("not said to be XML in UTF-8")]
    MediaType,
    /// The answer is longer than any message.
    #[error("longer than {} bytes", gate::MAX_BYTES)]
    TooLong,
    /// The answer is no message that a bank may answer with.
    #[error("{0}")]
    Unreadable(Unreadable),
}

impl NoAnswer {
    /// The reason, for programs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "BANK_UNREACHABLE",
            Self::Crowded => "BANK_BUSY",
            Self::NotSigned => "NOT_SIGNED",
            Self::TimedOut(_) => "ANSWER_TIMED_OUT",
            Self::Broken(_) | Self::BrokenBesides(_) => "CONNECTION_BROKEN",
            Self::Status(_) => "HTTP_STATUS",
            Self::BadSignature(_) => "ANSWER_NOT_SIGNED",
            Self::MediaType | Self::TooLong | Self::Unreadable(_) => "ANSWER_UNREADABLE",
        }
    }
}

/// The way to one bank, with connections of its own.
#[derive(Debug)]
pub(super) struct BankClient {
    way: Way,
    address: Url,
    signer: Option<Signer>,
    verifier: Option<Verifier>,
    answer_timeout: Duration,
}

/// An answer of status 200 that is said to be XML.
#[derive(Debug)]
struct Answered {
    head: HeaderMap,
    body: Vec<u8>,
}

#[derive(Debug)]
enum Way {
    Http1(Http1),
    Http2(Http2),
}

impl BankClient {
    /// Prepares to call the bank's address.
    pub(super) fn new(access: &Access, answer_timeout: Duration) -> Result<Self, String> {
        let dialer = Dialer::new(access, answer_timeout)?;
        let way = match access.http {
            HttpVersion::Http1 => Way::Http1(Http1::new(&access.address, dialer)?),
            HttpVersion::Http2 => Way::Http2(Http2::new(&access.address, dialer)?),
        };
        let signer = access.trust.sign_key.clone().map(Signer::new).transpose()?;
        let verifier = access.trust.verify_keys.clone().map(Verifier::new).transpose()?;
        Ok(Self { way, address: access.address.clone(), signer, verifier, answer_timeout })
    }

    /// The signature over a body, if there is to be one; nothing at all if the system gives no randomness to sign with.
    #[expect(clippy::option_option, reason = "not to be signed and not signed are two things")]
    pub(super) fn signature(&self, body: &[u8]) -> Option<Option<HeaderValue>> {
        match &self.signer {
            Some(signer) => signer.sign(body).map(Some),
            None => Some(None),
        }
    }

    /// Sends a document, signed where it is to be, and returns the body of the answer if that is signed where it is to be.
    pub(super) async fn post(&self, document: String, trace: TraceParent) -> Result<Vec<u8>, NoAnswer> {
        let mut span = trace.span("POST", SpanKind::Client);
        let answered = self.send(document, span.context()).await;
        if span.is_recording() {
            self.describe(&mut span, &answered);
        }
        answered
    }

    /// Says of a span what OpenTelemetry's semantic conventions ask of HTTP clients.
    fn describe(&self, span: &mut Span, answered: &Result<Vec<u8>, NoAnswer>) {
        span.set("http.request.method", "POST");
        span.set("server.address", self.address.host_str().unwrap_or_default().to_owned());
        span.set("server.port", i64::from(self.address.port_or_known_default().unwrap_or_default()));
        match answered {
            Ok(_) => span.set("http.response.status_code", 200),
            Err(NoAnswer::Status(status)) => {
                span.set("http.response.status_code", i64::from(*status));
                span.fail("HTTP_STATUS");
            }
            Err(no_answer) => span.fail(no_answer.reason()),
        }
    }

    async fn send(&self, document: String, trace: TraceParent) -> Result<Vec<u8>, NoAnswer> {
        let document = Bytes::from(document);
        let signature = self.signature(&document).ok_or(NoAnswer::NotSigned)?;
        let own = Own { signature, traceparent: HeaderValue::try_from(trace.to_string()).ok() };
        let answer = async {
            match &self.way {
                Way::Http1(way) => way.post(document, own).await,
                Way::Http2(way) => way.post(document, own).await,
            }
        };
        match tokio::time::timeout(self.answer_timeout, answer).await {
            Ok(Err(NoAnswer::Broken(causes) | NoAnswer::BrokenBesides(causes))) if planted::is("X11") => {
                Err(NoAnswer::Unreachable(causes))
            }
            Ok(Ok(Answered { head, body })) => {
                if let Some(verifier) = &self.verifier {
                    verifier.check(&head, &body)?;
                }
                Ok(body)
            }
            Ok(Err(no_answer)) => Err(no_answer),
            Err(_) => Err(NoAnswer::TimedOut(self.answer_timeout)),
        }
    }
}

/// What each message has of its own in its head.
#[derive(Clone, Debug)]
struct Own {
    signature: Option<HeaderValue>,
    /// Where it is in its trace (W3C Trace Context).
    traceparent: Option<HeaderValue>,
}

/// A request with what every message needs.
fn post_to<B>(uri: &Uri, body: B, own: Own) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(XML));
    headers.insert(ACCEPT, HeaderValue::from_static("application/xml"));
    if let Some(signature) = own.signature {
        headers.insert(jws::HEADER, signature);
    }
    if let Some(traceparent) = own.traceparent {
        headers.insert(TRACEPARENT, traceparent);
    }
    request
}

/// Whether an answer's head lets its body be read.
fn check_head<B>(response: &Response<B>) -> Result<(), NoAnswer> {
    match response.status() {
        StatusCode::OK if is_xml(response.headers()) => Ok(()),
        StatusCode::OK => Err(NoAnswer::MediaType),
        status => Err(NoAnswer::Status(status.as_u16())),
    }
}

/// An answer's body, as far as it has come.
#[derive(Debug, Default)]
struct Body(Vec<u8>);

impl Body {
    fn add(&mut self, chunk: &[u8]) -> Result<(), NoAnswer> {
        if self.0.len() + chunk.len() > gate::MAX_BYTES {
            return Err(NoAnswer::TooLong);
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }
}

/// Whether the media type is XML's, and its charset, if any, UTF-8.
pub fn is_xml(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    ["application/xml", "text/xml"].iter().any(|xml| media_type.eq_ignore_ascii_case(xml))
        && parts.all(is_utf8)
}
