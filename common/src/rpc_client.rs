//! The one way to call another service.

use std::{io, path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{
    settings::Problems,
    tls::{self, ClientTls, Identity, Wire},
};

/// How long a connection and its handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a stream, and of a connection, that may come before they are read.
const WINDOWS: [u32; 2] = [1 << 20, 1 << 21];
/// Bytes of each of many streams that are read at their own pace.
const STREAM_WINDOW: u32 = 1 << 16;
/// The largest window that there is (RFC 9113, section 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// Where another service is, and how it is reached.
#[derive(Clone, Debug)]
pub struct Route {
    uri: Uri,
    tls: Option<ClientTls>,
}

impl Route {
    /// The route of the setting `flag`, e.g. `https://platform:8081`; over TLS with this identity, or in plaintext if `insecure`
    /// (the setting `--insecure-` and `flag`) says so.
    pub fn check(
        flag: &str,
        url: Option<&str>,
        insecure: bool,
        identity: Option<&Identity>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let expected = format!("where the {flag} is, e.g. https://{flag}:8081");
        let url = problems.required(flag, url, &expected)?;
        let url = problems.url(flag, url)?;
        let uri: Uri = url.parse().ok()?;
        match (uri.scheme_str() == Some("https"), insecure, identity) {
            (false, true, _) => Some(Self { uri, tls: None }),
            (false, false, _) => {
                problems.add(flag, format_args!("expected https://; or say --insecure-{flag}"));
                None
            }
            (true, true, _) => {
                problems.add(&format!("insecure-{flag}"), "the URL says https: keep one of them");
                None
            }
            (true, false, None) => {
                problems.add("certificate", format_args!("missing: what this service shows to the {flag}"));
                None
            }
            (true, false, Some(identity)) => {
                let tls = identity.client().map_err(|problem| problems.add_free(problem)).ok()?;
                Some(Self { uri, tls: Some(tls) })
            }
        }
    }

    /// A route to `address` (`host:port`) of a caller without a certificate: over TLS to whoever has one of this CA, or in plaintext.
    ///
    /// # Errors
    /// When it is no address, or the file of the CA is none.
    pub fn to(address: &str, ca: Option<PathBuf>) -> Result<Self, String> {
        Self::at(address, ca.map(tls::public_client).transpose()?)
    }

    /// A route to another service at `address` (`host:port`), as whoever has this identity.
    ///
    /// # Errors
    /// When it is no address, or a file is not what it should be.
    pub fn as_service(address: &str, identity: &Identity) -> Result<Self, String> {
        Self::at(address, Some(identity.client()?))
    }

    fn at(address: &str, tls: Option<ClientTls>) -> Result<Self, String> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://{address}").parse().map_err(|error| format!("{address:?}: {error}"))?;
        Ok(Self { uri, tls })
    }

    /// Whether calls travel over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// A connection that is made when first needed and again whenever it breaks, each time with the certificates that there are.
    pub fn connect(self) -> Channel {
        self.connect_with(WINDOWS)
    }

    /// The same for so many streams at once that live long and are read at their own pace: one that nobody reads holds up no other, since
    /// the connection's window is as large as those of all of them.
    pub fn connect_for_streams(self, streams: u32) -> Channel {
        self.connect_with([STREAM_WINDOW, STREAM_WINDOW.saturating_mul(streams).min(MAX_WINDOW)])
    }

    fn connect_with(self, [stream_window, connection_window]: [u32; 2]) -> Channel {
        let endpoint = Endpoint::from(self.uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(connection_window);
        let tls = self.tls;
        if let Some(tls) = &tls {
            tls.keep_current();
        }
        endpoint.connect_with_connector_lazy(service_fn(move |uri| dial(uri, tls.clone())))
    }
}

async fn dial(uri: Uri, tls: Option<ClientTls>) -> io::Result<TokioIo<Box<dyn Wire>>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{uri}: {what}"));
    let host = uri.host().ok_or_else(|| invalid("no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let default_port = if tls.is_some() { 443 } else { 80 };
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(default_port))).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(TokioIo::new(Box::new(stream))) };
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| invalid("its host can't be in a certificate"))?;
    let stream = TlsConnector::from(tls.current()).connect(name, stream).await?;
    Ok(TokioIo::new(Box::new(stream)))
}
