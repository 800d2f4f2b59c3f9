//! The connections to one bank: each carries one request at a time, and is kept for the next.
//!
//! A connection has no task of its own: whoever waits for an answer drives it, so that nobody has to be woken for that.

use std::{
    error::Error,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tower::ServiceExt;
use url::{Position, Url};

use super::NoAnswer;

/// How long a connection may take at most.
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than servers commonly keep an idle connection (5 s and more), so that a bank rarely closes one at the moment
/// it is used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

type Post = Request<Full<Bytes>>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections to one bank, and keeps those that are idle.
#[derive(Debug)]
pub(super) struct Connections {
    connector: HttpsConnector<HttpConnector>,
    origin: Uri,
    connect_timeout: Duration,
    idle: Arc<Mutex<Idle>>,
}

/// The connections that wait for their next request, the one that was used last at the end.
#[derive(Debug, Default)]
struct Idle {
    connections: Vec<(Instant, Box<Connection>)>,
    /// Whether a task closes those that wait too long.
    is_watched: bool,
}

/// A connection, on which at most one request is under way.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// None once it has ended: whatever still waited for it then hears so.
    driver: Option<http1::Connection<Stream, Full<Bytes>>>,
}

/// The head of an answer, and the connection that its body comes on.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) connection: Box<Connection>,
}

impl Connections {
    /// Prepares to connect to `address`. With `ca` only certificates under those are trusted, otherwise the machine's. A
    /// connection that doesn't come about must be told from an answer that doesn't come, so it may take 2 s at most, or
    /// `connect_timeout` if that is less.
    pub(super) fn new(address: &Url, ca: Option<&[u8]>, connect_timeout: Duration) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let provider = aws_lc_rs::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = match ca {
            Some(pem) => builder.with_tls_config(trusting(authorities(pem)?, provider)?),
            // Without TLS the machine's certificates need not be there.
            None if address.scheme() == "http" => {
                builder.with_tls_config(trusting(RootCertStore::empty(), provider)?)
            }
            None => builder.with_provider_and_platform_verifier(provider).map_err(|error| causes(&error))?,
        };
        let origin = &address[..Position::BeforePath];
        Ok(Self {
            connector: builder.https_or_http().enable_http1().wrap_connector(tcp),
            origin: format!("{origin}/").parse().map_err(|_| "can't be connected to")?,
            connect_timeout: connect_timeout.min(MAX_CONNECT_TIMEOUT),
            idle: Arc::default(),
        })
    }

    /// Sends a request. One on an idle connection that turns out closed is moved to another one only while nothing of it
    /// was written.
    pub(super) async fn send(&self, mut request: Post) -> Result<Answered, NoAnswer> {
        loop {
            let idle = self.take();
            let is_new = idle.is_none();
            let mut connection = match idle {
                Some(connection) => connection,
                // In a place of its own: it is large and rarely needed.
                None => Box::pin(self.connect()).await?,
            };
            // Shows whether it ended meanwhile.
            connection.drive(std::future::ready(())).await;
            let answered = connection.sender.try_send_request(request);
            match connection.drive(answered).await {
                Ok(response) => return Ok(Answered { response, connection }),
                Err(mut failure) => match failure.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(NoAnswer::Broken(causes(failure.error()))),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, NoAnswer> {
        let connecting = async {
            let stream =
                self.connector.clone().oneshot(self.origin.clone()).await.map_err(|e| causes(&*e))?;
            http1::handshake(stream).await.map_err(|error| causes(&error))
        };
        match timeout(self.connect_timeout, connecting).await {
            Ok(Ok((sender, driver))) => Ok(Box::new(Connection { sender, driver: Some(driver) })),
            Ok(Err(causes)) => Err(NoAnswer::Unreachable(causes)),
            Err(_) => Err(NoAnswer::Unreachable("it took too long to come about".to_owned())),
        }
    }

    fn take(&self) -> Option<Box<Connection>> {
        let mut idle = lock(&self.idle);
        match idle.connections.pop() {
            Some((since, connection)) if since.elapsed() < IDLE_TIMEOUT => Some(connection),
            _ => {
                idle.connections.clear();
                None
            }
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn keep(&self, connection: Box<Connection>) {
        if connection.driver.is_none() {
            return;
        }
        let mut idle = lock(&self.idle);
        idle.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut idle.is_watched, true) {
            tokio::spawn(close_idle(Arc::downgrade(&self.idle)));
        }
    }
}

impl Connection {
    /// Waits for what depends on the connection. The connection is seen to first: it has what is waited for.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if self.driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready()) {
                self.driver = None;
            }
            work.as_mut().poll(cx)
        })
        .await
    }
}

/// Closes connections that were idle for too long, until there are none.
async fn close_idle(idle: Weak<Mutex<Idle>>) {
    loop {
        sleep(IDLE_TIMEOUT / 4).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = lock(&idle);
        idle.connections.retain(|(since, _)| since.elapsed() < IDLE_TIMEOUT);
        if idle.connections.is_empty() {
            idle.is_watched = false;
            return;
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn trusting(roots: RootCertStore, provider: CryptoProvider) -> Result<ClientConfig, String> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| causes(&error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| causes(&error))?;
        roots.add(certificate).map_err(|error| causes(&error))?;
    }
    if roots.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(roots) }
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
