//! One message to a bank and its answer, over HTTP/1.1.
//!
//! What matters most here is to tell "not a byte of the request left" from everything else: the first may be tried
//! again, the rest may have reached the bank.

mod connections;

use std::time::Duration;

use common::planted;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue},
};
use url::{Position, Url};

use super::gate::{self, Unreadable};
use connections::Connections;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// No connection came about: the bank has not seen a byte of the request.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// Time ran out.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection broke after it was used.
    #[error("the connection broke: {0}")]
    Broken(String),
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

/// A bank's address, with connections of its own.
#[derive(Debug)]
pub(super) struct BankClient {
    connections: Connections,
    host: HeaderValue,
    path: Uri,
    answer_timeout: Duration,
}

impl BankClient {
    /// Prepares to call `address`. With `ca` only certificates under those are trusted, otherwise the machine's.
    pub(super) fn new(address: &Url, ca: Option<&[u8]>, answer_timeout: Duration) -> Result<Self, String> {
        let host = &address[Position::BeforeHost..Position::AfterPort];
        let path = &address[Position::BeforePath..Position::AfterQuery];
        Ok(Self {
            connections: Connections::new(address, ca, answer_timeout / 2)?,
            host: host.parse().map_err(|_| "has a host that HTTP can't name")?,
            path: path.parse().map_err(|_| "has a path that HTTP can't name")?,
            answer_timeout,
        })
    }

    /// Sends a document and returns the body of the answer.
    pub(super) async fn post(&self, document: String) -> Result<Vec<u8>, NoAnswer> {
        match tokio::time::timeout(self.answer_timeout, self.converse(document)).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::TimedOut(self.answer_timeout)),
        }
    }

    async fn converse(&self, document: String) -> Result<Vec<u8>, NoAnswer> {
        let mut request = Request::new(Full::new(Bytes::from(document)));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/xml"));
        let mut answered = self.connections.send(request).await.map_err(|no_answer| match no_answer {
            NoAnswer::Broken(causes) if planted::is("X11") => NoAnswer::Unreachable(causes),
            no_answer => no_answer,
        })?;
        if answered.response.status() != StatusCode::OK {
            return Err(NoAnswer::Status(answered.response.status().as_u16()));
        }
        if !is_xml(answered.response.headers()) {
            return Err(NoAnswer::MediaType);
        }
        let body = answered.connection.drive(body(answered.response.body_mut())).await?;
        self.connections.keep(answered.connection);
        Ok(body)
    }
}

async fn body(incoming: &mut Incoming) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| NoAnswer::Broken(connections::causes(&error)))?;
        let chunk = frame.into_data().unwrap_or_default();
        if body.len() + chunk.len() > gate::MAX_BYTES {
            return Err(NoAnswer::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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
