//! One message to a bank and its answer, over HTTP/1.1.
//!
//! What matters most here is to tell "not a byte of the request left" from everything else: the first may be tried
//! again, the rest may have reached the bank.

use std::{error::Error, time::Duration};

use common::planted;
use reqwest::{
    Certificate, Client, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap},
    redirect, retry, tls,
};

use super::gate::{self, Unreadable};

/// How long a connection may take at most; half of the bank's answer time if that is less, so that a connection that
/// doesn't come about is told from an answer that doesn't come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than servers commonly keep an idle connection (5 s and more), so that a bank rarely closes one at the moment
/// it is used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

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
    client: Client,
    address: Url,
    answer_timeout: Duration,
}

impl BankClient {
    /// Prepares to call `address`. With `ca` only certificates under those are trusted, otherwise the machine's.
    pub(super) fn new(address: &Url, ca: Option<&[u8]>, answer_timeout: Duration) -> Result<Self, String> {
        let builder = Client::builder()
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .tcp_nodelay(true)
            .tls_version_min(tls::Version::TLS_1_2)
            .connect_timeout(CONNECT_TIMEOUT.min(answer_timeout / 2))
            .pool_idle_timeout(IDLE_TIMEOUT);
        let builder = match ca {
            Some(pem) => builder.tls_certs_only(authorities(pem)?),
            // Without TLS the machine's certificates need not be there.
            None if address.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
        };
        let client = builder.build().map_err(|error| causes(&error))?;
        Ok(Self { client, address: address.clone(), answer_timeout })
    }

    /// Sends a document and returns the body of the answer.
    pub(super) async fn post(&self, document: String) -> Result<Vec<u8>, NoAnswer> {
        match tokio::time::timeout(self.answer_timeout, self.converse(document)).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::TimedOut(self.answer_timeout)),
        }
    }

    async fn converse(&self, document: String) -> Result<Vec<u8>, NoAnswer> {
        let request = self
            .client
            .post(self.address.clone())
            .header(CONTENT_TYPE, "application/xml; charset=utf-8")
            .header(ACCEPT, "application/xml")
            .body(document);
        // `is_connect` is true only before the request is handed to a connection: name resolution, TCP, TLS. A request
        // on an idle connection that turns out closed is moved to another one only while nothing of it was written.
        let response = request.send().await.map_err(|error| {
            let causes = causes(&error);
            if error.is_connect() || planted::is("X11") {
                NoAnswer::Unreachable(causes)
            } else {
                NoAnswer::Broken(causes)
            }
        })?;
        if response.status() != StatusCode::OK {
            return Err(NoAnswer::Status(response.status().as_u16()));
        }
        if !is_xml(response.headers()) {
            return Err(NoAnswer::MediaType);
        }
        body(response).await
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| NoAnswer::Broken(causes(&error)))? {
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

fn authorities(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if certificates.is_empty() => Err("holds no certificate".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(causes(&error)),
    }
}

/// An error with what caused it, without the bank's address.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&next.to_string());
        cause = next.source();
    }
    if text.is_empty() { "the HTTP client can't say why".to_owned() } else { text }
}
