//! How a connection to a bank comes about, over TLS or not, whatever is then spoken on it.

use std::{error::Error, sync::Arc, time::Duration};

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connection, HttpConnector},
    rt::TokioIo,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{net::TcpStream, time::timeout};
use tower::ServiceExt;
use url::{Position, Url};

use super::NoAnswer;
use crate::directory::entry::HttpVersion;

/// How long a connection may take at most.
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection on which nothing was said yet.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections to one bank.
#[derive(Debug)]
pub(super) struct Dialer {
    connector: HttpsConnector<HttpConnector>,
    origin: Uri,
    version: HttpVersion,
    timeout: Duration,
}

impl Dialer {
    /// Prepares to connect to `address`. With `ca` only certificates under those are trusted, otherwise the machine's. A
    /// connection that doesn't come about must be told from an answer that doesn't come, so it may take 2 s at most, or
    /// half of `answer_timeout` if that is less.
    pub(super) fn new(
        address: &Url,
        version: HttpVersion,
        ca: Option<&[u8]>,
        answer_timeout: Duration,
    ) -> Result<Self, String> {
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
        let builder = builder.https_or_http();
        let connector = match version {
            HttpVersion::Http1 => builder.enable_http1().wrap_connector(tcp),
            HttpVersion::Http2 => builder.enable_http2().wrap_connector(tcp),
        };
        let origin = &address[..Position::BeforePath];
        Ok(Self {
            connector,
            origin: format!("{origin}/").parse().map_err(|_| "can't be connected to")?,
            version,
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
        let dialled = async {
            let connecting = self.connector.clone().oneshot(self.origin.clone());
            let stream = connecting.await.map_err(|error| causes(&*error))?;
            let is_refused = self.version == HttpVersion::Http2
                && matches!(stream, MaybeHttpsStream::Https(_))
                && !stream.connected().is_negotiated_h2();
            if is_refused {
                return Err("the bank does not agree to HTTP/2 (ALPN)".to_owned());
            }
            greet(stream).await
        };
        match timeout(self.timeout, dialled).await {
            Ok(dialled) => dialled.map_err(NoAnswer::Unreachable),
            Err(_) => Err(NoAnswer::Unreachable("it took too long to come about".to_owned())),
        }
    }
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
