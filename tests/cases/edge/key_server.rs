//! A server of an identity provider's keys, with TLS or without.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing::get, serve::Listener};
use harness::{BenchError, certificates::Authority};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What is changed while the server runs.
type Shown<T> = Arc<Mutex<T>>;

/// A server of keys, and how often it was asked.
pub struct KeyServer {
    document: Shown<String>,
    asked: Arc<AtomicUsize>,
    certificate: Option<Shown<Arc<ServerConfig>>>,
    /// Where its document is.
    pub url: String,
}

impl KeyServer {
    /// One without TLS.
    pub async fn start(document: String) -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/keys", listener.local_addr()?);
        Ok(Self::serve(listener, document, url, None))
    }

    /// One with a certificate of this CA.
    pub async fn start_with_tls(document: String, ca: &Authority) -> Result<Self, BenchError> {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}/keys", tcp.local_addr()?.port());
        let certificate = Arc::new(Mutex::new(certificate_of(ca)?));
        let listener = TlsListener { tcp, certificate: Arc::clone(&certificate) };
        Ok(Self::serve(listener, document, url, Some(certificate)))
    }

    fn serve(
        listener: impl Listener<Addr: std::fmt::Debug>,
        document: String,
        url: String,
        certificate: Option<Shown<Arc<ServerConfig>>>,
    ) -> Self {
        let document = Arc::new(Mutex::new(document));
        let asked = Arc::new(AtomicUsize::new(0));
        let (shown, count) = (Arc::clone(&document), Arc::clone(&asked));
        let answer = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let document = locked(&shown).clone();
            // Whoever asks again shakes hands again.
            async move { ([("connection", "close")], document) }
        };
        let routes = Router::new().route("/keys", get(answer));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { document, asked, certificate, url }
    }

    /// Shows another document from now on.
    pub fn show(&self, document: String) {
        *locked(&self.document) = document;
    }

    /// Shows a certificate of this CA from now on.
    pub fn show_certificate_of(&self, ca: &Authority) -> Result<(), BenchError> {
        *locked(self.certificate.as_ref().ok_or("a server without TLS")?) = certificate_of(ca)?;
        Ok(())
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn locked<T>(shown: &Mutex<T>) -> MutexGuard<'_, T> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

fn certificate_of(ca: &Authority) -> Result<Arc<ServerConfig>, BenchError> {
    let (certificate, key) = ca.issue("keys", &["localhost"], Duration::days(1))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    Ok(Arc::new(builder.with_single_cert(vec![certificate], key)?))
}

struct TlsListener {
    tcp: TcpListener,
    certificate: Shown<Arc<ServerConfig>>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    /// Whoever does not shake hands is none to serve.
    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            let tls = TlsAcceptor::from(Arc::clone(&*locked(&self.certificate)));
            if let Ok(stream) = tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
