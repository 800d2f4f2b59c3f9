//! A server of an identity provider's keys, with TLS or without.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, routing::get, serve::Listener};
use harness::{
    BenchError,
    certificates::Authority,
    tls_listener::{Shown, TlsListener},
};
use tokio::net::TcpListener;

/// A server of keys, and how often it was asked.
pub struct KeyServer {
    document: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    certificate: Option<Shown>,
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
        let certificate = Shown::of(ca)?;
        let listener = TlsListener::bind(&certificate).await?;
        let url = format!("{}/keys", listener.origin()?);
        Ok(Self::serve(listener, document, url, Some(certificate)))
    }

    fn serve(
        listener: impl Listener<Addr: std::fmt::Debug>,
        document: String,
        url: String,
        certificate: Option<Shown>,
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
        self.certificate.as_ref().ok_or("a server without TLS")?.replace(ca)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn locked<T>(shown: &Mutex<T>) -> MutexGuard<'_, T> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}
