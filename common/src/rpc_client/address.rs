//! One address of a service.

use std::{fmt, io, net::SocketAddr, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tonic::transport::{Channel, Uri};
use tower::service_fn;

use super::{WINDOWS, endpoint};
use crate::tls::{ClientTls, Wire};

/// How long a connection and its handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What was dialled.
pub(super) type Dialled = TokioIo<Box<dyn Wire>>;

/// One address of a service, whose certificate must be for the host of the URL that led there.
#[derive(Clone, Debug)]
pub struct Address {
    uri: Uri,
    socket: SocketAddr,
    tls: Option<ClientTls>,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        (&self.uri, self.socket) == (&other.uri, other.socket)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl Address {
    pub(super) fn new(uri: Uri, socket: SocketAddr, tls: Option<ClientTls>) -> Self {
        Self { uri, socket, tls }
    }

    /// One on this machine.
    #[cfg(test)]
    pub(crate) fn imagined(port: u16) -> Self {
        Self::new(Uri::from_static("http://localhost"), SocketAddr::from(([127, 0, 0, 1], port)), None)
    }

    /// A connection that is made to this address when first needed and again whenever it breaks.
    pub fn connect(&self) -> Channel {
        let address = self.clone();
        endpoint(self.uri.clone(), WINDOWS).connect_with_connector_lazy(service_fn(move |_| {
            let address = address.clone();
            async move { address.dial().await }
        }))
    }

    pub(super) async fn dial(&self) -> io::Result<Dialled> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("{self} does not answer"));
        timeout(CONNECT_TIMEOUT, self.shake_hands()).await.map_err(late)?
    }

    async fn shake_hands(&self) -> io::Result<Dialled> {
        let stream = TcpStream::connect(self.socket).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(TokioIo::new(Box::new(stream))) };
        let host = self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let invalid = |_| {
            let problem = format!("{}: its host can't be in a certificate", self.uri);
            io::Error::new(io::ErrorKind::InvalidInput, problem)
        };
        let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
        let stream = TlsConnector::from(tls.current()).connect(name, stream).await?;
        Ok(TokioIo::new(Box::new(stream)))
    }
}
