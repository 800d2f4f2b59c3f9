//! How a connection to a bank comes about, over TLS or not, whatever is then spoken on it.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::tls::{self, ClientTls};
use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connection, HttpConnector},
    rt::TokioIo,
};
use rustls::{ClientConfig, SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use tower::ServiceExt;
use url::Position;

use super::NoAnswer;
use crate::directory::entry::{Access, HttpVersion};

/// How long a connection may take at most.
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Hands shaken with one bank at once. Each costs the processor as much as many payments: a bank that has many connections made must
/// not keep the payments to others waiting behind all of them.
const MAX_HANDSHAKES: usize = 16;

/// A connection on which nothing was said yet.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections to one bank.
#[derive(Debug)]
pub(super) struct Dialer {
    tcp: HttpConnector,
    /// None over plain http.
    tls: Option<ClientTls>,
    /// Whether the channel shows a certificate.
    is_known: bool,
    handshakes: Semaphore,
    origin: Uri,
    version: HttpVersion,
    timeout: Duration,
}

impl Dialer {
    /// Prepares to connect. A connection that doesn't come about must be told from an answer that doesn't come, so it may take
    /// 2 s at most, or half of `answer_timeout` if that is less.
    pub(super) fn new(access: &Access, answer_timeout: Duration) -> Result<Self, String> {
        let Access { address, http, trust } = access;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let protocol = match http {
            HttpVersion::Http1 => tls::HTTP1,
            HttpVersion::Http2 => tls::HTTP2,
        };
        let tls = match address.scheme() {
            "https" => {
                Some(tls::outside_client(trust.ca.clone(), trust.client_certificate.clone(), Some(protocol))?)
            }
            _ => None,
        };
        let origin = &address[..Position::BeforePath];
        Ok(Self {
            tcp,
            tls,
            is_known: trust.client_certificate.is_some(),
            handshakes: Semaphore::new(MAX_HANDSHAKES),
            origin: format!("{origin}/").parse().map_err(|_| "address: can't be connected to")?,
            version: *http,
            timeout: MAX_CONNECT_TIMEOUT.min(answer_timeout / 2),
        })
    }

    /// How long a connection may take to come about, the first words on it included.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Makes a connection, and has the first words said on it; not a byte of a request is among them.
    pub(super) async fn dial<T>(
        &self,
        greet: impl AsyncFnOnce(Stream) -> Result<T, String>,
    ) -> Result<T, NoAnswer> {
        let deadline = Instant::now() + self.timeout;
        let _place = match self.tls {
            // Half of the time is left for the connection, so that a queue of our own is not taken for a failure of the bank.
            Some(_) => match timeout(self.timeout / 2, self.handshakes.acquire()).await {
                Ok(Ok(place)) => Some(place),
                Ok(Err(_)) | Err(_) => return Err(NoAnswer::Crowded),
            },
            None => None,
        };
        let dialled = async { greet(self.connect().await?).await };
        match timeout_at(deadline, dialled).await {
            Ok(dialled) => dialled.map_err(NoAnswer::Unreachable),
            Err(_) => Err(NoAnswer::Unreachable("it took too long to come about".to_owned())),
        }
    }

    async fn connect(&self) -> Result<Stream, String> {
        let Some(tls) = &self.tls else {
            let stream = self.tcp.clone().oneshot(self.origin.clone()).await;
            return Ok(MaybeHttpsStream::Http(stream.map_err(|error| causes(&error))?));
        };
        let (mut config, asked) = (tls.fresh(), Arc::new(Asked::default()));
        if !self.is_known {
            let mut watching = ClientConfig::clone(&config);
            watching.client_auth_cert_resolver = Arc::<Asked>::clone(&asked);
            config = Arc::new(watching);
        }
        let connector = HttpsConnector::from((self.tcp.clone(), config));
        let stream = connector.oneshot(self.origin.clone()).await.map_err(|error| causes(&*error))?;
        if asked.0.load(Ordering::Relaxed) {
            return Err("the bank asks for a certificate: its entry needs client_certificate_file".to_owned());
        }
        if self.version == HttpVersion::Http2 && !stream.connected().is_negotiated_h2() {
            return Err("the bank does not agree to HTTP/2 (ALPN)".to_owned());
        }
        Ok(stream)
    }
}

/// Shows no certificate, and notes whether one was asked for. In TLS 1.3 a bank refuses whoever has none only after the handshake, when
/// a payment may be on its way: nothing is sent there.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// An error with what caused it.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
