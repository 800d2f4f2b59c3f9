//! Somebody who is known by a CA and a name in the certificate.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};
use webpki::EndEntityCert;

use super::{Live, material};

/// Whoever holds a certificate of a CA with a name in it. The CA is read again when it changes.
#[derive(Debug)]
pub struct Holder {
    ca: Live<Arc<dyn ClientCertVerifier>>,
    name: String,
}

impl Holder {
    /// Whoever has this name, a URI or a host, in a certificate of the CA in this file (PEM).
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(ca: PathBuf, name: String) -> Result<Self, String> {
        Ok(Self { ca: Live::read(vec![ca], material::holders_of)?, name })
    }

    /// Whether the certificate and those after it lead to the CA now.
    pub fn is_certified(&self, shown: &[CertificateDer<'_>]) -> bool {
        let Some((certificate, between)) = shown.split_first() else { return false };
        self.ca.fresh().verify_client_cert(certificate, between, UnixTime::now()).is_ok()
    }

    /// Whether it is the holder who has shown these.
    pub fn has_shown(&self, shown: &[CertificateDer<'_>]) -> bool {
        let certificate = shown.first().and_then(|certificate| EndEntityCert::try_from(certificate).ok());
        let is_named = certificate.is_some_and(|certificate| {
            certificate.valid_uri_names().chain(certificate.valid_dns_names()).any(|name| name == self.name)
        });
        is_named && self.is_certified(shown)
    }
}
