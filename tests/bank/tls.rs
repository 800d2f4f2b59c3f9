//! TLS of the banks: what they show, who may speak with each of them, and as whom they speak themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use webpki::EndEntityCert;

/// The files that the banks are served with (PEM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// Their certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The CA of their callers, who must show a certificate; none: anybody is let in.
    pub client_ca: Option<PathBuf>,
}

impl ServerFiles {
    /// Reads them.
    pub fn load(&self) -> Result<Arc<ServerConfig>, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(ca)? {
                    roots.add(root).map_err(|error| format!("{}: {error}", ca.display()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("{}: {error}", self.key.display()))?;
        let mut config = builder
            .with_single_cert(certificates(&self.certificate)?, key)
            .map_err(|error| format!("{}: {error}", self.key.display()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(format!("{}: no certificate", file.display())),
        read => read.map_err(|error| format!("{}: {error}", file.display())),
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Anybody: the connection is not encrypted.
    Plaintext,
    /// Who has a certificate with these URI names, or none if it names nobody.
    Tls(Vec<String>),
}

impl Caller {
    /// The holder of the certificate that was shown, if one was.
    pub fn showing(certificate: Option<&CertificateDer<'_>>) -> Self {
        let certificate = certificate.and_then(|certificate| EndEntityCert::try_from(certificate).ok());
        let names =
            |certificate: EndEntityCert<'_>| certificate.valid_uri_names().map(str::to_owned).collect();
        Self::Tls(certificate.map(names).unwrap_or_default())
    }

    /// Whether this is whoever is called so.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Tls(names) if names.iter().any(|own| own == name))
    }
}

/// The files that a bank sends its notices with (PEM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeFiles {
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The CA of whoever takes its notices.
    pub ca: PathBuf,
}

impl NoticeFiles {
    /// A client that shows the certificate, and trusts nobody but the CA.
    pub fn client(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, String> {
        let read = |file: &Path| std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
        let identity = [read(&self.certificate)?, read(&self.key)?].concat();
        let identity = reqwest::Identity::from_pem(&identity)
            .map_err(|error| format!("{}: {error}", self.certificate.display()))?;
        let roots = reqwest::Certificate::from_pem_bundle(&read(&self.ca)?)
            .map_err(|error| format!("{}: {error}", self.ca.display()))?;
        Ok(builder.tls_certs_only(roots).identity(identity))
    }
}
