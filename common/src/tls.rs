//! TLS: who a service is, who may call it, and certificates that are replaced while it runs.
//!
//! Services know each other by certificates of one CA, both ways and in TLS 1.3 alone. What a certificate says of its holder is
//! its one URI name (a SPIFFE ID, SPIFFE X509-SVID section 2), e.g. `spiffe://rialto/platform`.

mod allow_list;
pub(crate) mod ends;
mod holder;
mod live;
mod material;

use std::{path::PathBuf, sync::Arc};

use rustls::{ClientConfig, ServerConfig, server::danger::ClientCertVerifier};
use tokio::io::{AsyncRead, AsyncWrite};

pub use allow_list::AllowList;
pub(crate) use allow_list::identity_of;
pub use holder::Holder;
pub use live::{Contents, Live};

use crate::settings::Problems;

/// TLS towards callers, as the files are now.
pub type ServerTls = Arc<Live<ServerConfig>>;
/// TLS towards servers, as the files are now.
pub type ClientTls = Arc<Live<ClientConfig>>;

/// What HTTP/2 is called when TLS is agreed upon (RFC 9113, section 3.2).
pub const HTTP2: &[u8] = b"h2";
/// What HTTP/1.1 is called then (RFC 7301, section 6).
pub const HTTP1: &[u8] = b"http/1.1";

/// A connection, over TLS or not.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<W: AsyncRead + AsyncWrite + Send + Unpin> Wire for W {}

/// What a service shows of itself to the others, and by what it knows them.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Identity")]
pub struct IdentityArgs {
    /// This service's certificate, and those between it and the CA (PEM). Its one URI name, e.g. spiffe://rialto/platform, says
    /// who it is. Like the two files below it is read again when it changes.
    #[arg(long, env = "RIALTO_CERTIFICATE", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, env = "RIALTO_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// The CA of Rialto's services (PEM): nobody else is let in or spoken to.
    #[arg(long, env = "RIALTO_PEER_CA", value_name = "FILE")]
    peer_ca: Option<PathBuf>,
}

/// The files that make an identity.
#[derive(Clone, Debug)]
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

impl IdentityArgs {
    /// The identity, if there is one.
    pub fn check(&self, problems: &mut Problems) -> Option<Identity> {
        let files = [("certificate", &self.certificate), ("key", &self.key), ("peer-ca", &self.peer_ca)];
        if files.iter().all(|(_, file)| file.is_none()) {
            return None;
        }
        for (flag, file) in files {
            problems.required(
                flag,
                file.as_ref(),
                "an identity is a certificate, its key and the CA of the others",
            );
        }
        Some(Identity::new(self.certificate.clone()?, self.key.clone()?, self.peer_ca.clone()?))
    }
}

impl Identity {
    /// The identity that these files make (PEM): a certificate and those between it and the CA, its key, and the CA of the others.
    pub fn new(certificate: PathBuf, key: PathBuf, ca: PathBuf) -> Self {
        Self { certificate, key, ca }
    }

    /// TLS towards other services that call: they show a certificate of the CA.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn server(&self) -> Result<ServerTls, String> {
        let (certificate, key, ca) = (self.certificate.clone(), self.key.clone(), self.ca.clone());
        Live::read(vec![certificate, key, ca], material::mutual_server).map(Arc::new)
    }

    /// TLS towards other services that are called.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn client(&self) -> Result<ClientTls, String> {
        let (certificate, key, ca) = (self.certificate.clone(), self.key.clone(), self.ca.clone());
        Live::read(vec![certificate, key, ca], material::mutual_client).map(Arc::new)
    }
}

/// TLS towards callers who need no certificate.
///
/// # Errors
/// What is wrong with which file.
pub fn public_server(certificate: PathBuf, key: PathBuf) -> Result<ServerTls, String> {
    Live::read(vec![certificate, key], material::public_server).map(Arc::new)
}

/// TLS of a caller without a certificate, who trusts a CA.
///
/// # Errors
/// What is wrong with the file.
pub fn public_client(ca: PathBuf) -> Result<ClientTls, String> {
    Live::read(vec![ca], material::public_client).map(Arc::new)
}

/// TLS towards callers over HTTP/1.1 whose certificates are for `judge` to let in.
///
/// # Errors
/// What is wrong with which file.
pub fn judging_server(
    certificate: PathBuf,
    key: PathBuf,
    judge: Arc<dyn ClientCertVerifier>,
) -> Result<ServerTls, String> {
    let make = move |files: &[Contents]| material::judging_server(files, Arc::clone(&judge));
    Live::read(vec![certificate, key], make).map(Arc::new)
}

/// TLS of a caller of a server that is not Rialto's, over this protocol of HTTP if it is one. With `ca` only certificates under those are trusted,
/// otherwise those that the machine trusts; `shown` is the certificate that the caller shows, and its key.
///
/// # Errors
/// What is wrong with which file.
pub fn outside_client(
    ca: Option<PathBuf>,
    shown: Option<(PathBuf, PathBuf)>,
    protocol: Option<&'static [u8]>,
) -> Result<ClientTls, String> {
    let has_ca = ca.is_some();
    let files = ca.into_iter().chain(shown.into_iter().flat_map(|(certificate, key)| [certificate, key]));
    Live::read(files.collect(), move |files| material::outside_client(files, has_ca, protocol)).map(Arc::new)
}
