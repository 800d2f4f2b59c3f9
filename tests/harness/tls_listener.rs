//! A listener over TLS for servers of the bench, whose certificate can be replaced while it runs.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::serve::Listener;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{BenchError, certificates::Authority};

/// What a server shows. Clones share it.
#[derive(Clone, Debug)]
pub struct Shown(Arc<Mutex<Arc<ServerConfig>>>);

impl Shown {
    /// A certificate of this CA, for localhost.
    ///
    /// # Errors
    /// When none can be made.
    pub fn of(ca: &Authority) -> Result<Self, BenchError> {
        Ok(Self(Arc::new(Mutex::new(certificate_of(ca)?))))
    }

    /// Another one, of this CA, from now on.
    ///
    /// # Errors
    /// When none can be made.
    pub fn replace(&self, ca: &Authority) -> Result<(), BenchError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = certificate_of(ca)?;
        Ok(())
    }
}

fn certificate_of(ca: &Authority) -> Result<Arc<ServerConfig>, BenchError> {
    let (certificate, key) = ca.issue("server", &["localhost"], Duration::days(1))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    Ok(Arc::new(builder.with_single_cert(vec![certificate], key)?))
}

/// The listener.
#[derive(Debug)]
pub struct TlsListener {
    tcp: TcpListener,
    shown: Shown,
}

impl TlsListener {
    /// Listens on a port that the system chooses.
    ///
    /// # Errors
    /// When it can't listen.
    pub async fn bind(shown: &Shown) -> Result<Self, BenchError> {
        Ok(Self { tcp: TcpListener::bind("127.0.0.1:0").await?, shown: shown.clone() })
    }

    /// Where it is: the beginning of its URLs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn origin(&self) -> Result<String, BenchError> {
        Ok(format!("https://localhost:{}", self.tcp.local_addr()?.port()))
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    /// Whoever does not shake hands is none to serve.
    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            let shown = Arc::clone(&*self.shown.0.lock().unwrap_or_else(PoisonError::into_inner));
            if let Ok(stream) = TlsAcceptor::from(shown).accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
