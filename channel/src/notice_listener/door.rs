//! Who may speak: in plaintext anybody who reaches the address, over TLS each bank for itself.

use std::{path::PathBuf, sync::Arc};

use common::tls::{self, ServerTls};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use tokio::sync::watch;

use crate::{bank::Bank, directory::Directory};

/// How banks come in.
#[derive(Clone, Debug)]
pub enum Door {
    /// In plaintext: whoever reaches the address is believed to be the bank that he says.
    Insecure,
    /// Over TLS, with a certificate and its key (PEM files) that banks see; each is believed by a certificate of its own.
    Tls(PathBuf, PathBuf),
}

impl Door {
    /// TLS, if there is any, for the banks of the directory as it is at the time.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(super) fn tls(
        &self,
        directory: &watch::Receiver<Arc<Directory>>,
    ) -> Result<Option<ServerTls>, String> {
        match self {
            Self::Insecure => Ok(None),
            Self::Tls(certificate, key) => {
                let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
                let judge = Arc::new(Judge { directory: directory.clone(), algorithms });
                tls::judging_server(certificate.clone(), key.clone(), judge).map(Some)
            }
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Anybody.
    Unknown,
    /// Who has shown this certificate, and those between it and a CA.
    Shown(Arc<[CertificateDer<'static>]>),
}

impl Caller {
    /// Whether this is the bank. Looked at with each notice, since certificates end and directories change while connections stay.
    pub(super) fn is(&self, bank: &Bank) -> bool {
        match self {
            Self::Unknown => true,
            Self::Shown(certificates) => {
                bank.speaker().is_some_and(|speaker| speaker.has_shown(certificates))
            }
        }
    }
}

/// Shakes hands with holders of a certificate of some bank's CA alone. Which bank somebody is is looked at with each notice.
#[derive(Debug)]
struct Judge {
    directory: watch::Receiver<Arc<Directory>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let shown: Vec<_> = std::iter::once(certificate).chain(between).cloned().collect();
        let directory = Arc::clone(&self.directory.borrow());
        match directory.banks().filter_map(Bank::speaker).any(|speaker| speaker.is_certified(&shown)) {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
