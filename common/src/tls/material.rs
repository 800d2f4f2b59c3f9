//! What PEM files make: the two sides of TLS.

use std::sync::Arc;

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion, WantsVerifier,
    client::WantsClientCert,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use rustls_platform_verifier::BuilderVerifierExt;
use time::OffsetDateTime;

use super::{HTTP1, HTTP2, live::Contents};

/// Between services.
const BOTH_OURS: &[&SupportedProtocolVersion] = &[&TLS13];
/// Where anybody may call. TLS 1.2 only in rustls's choice of suites, all of which have forward secrecy.
const ANYBODY: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
/// A certificate that ends sooner is warned of: whoever renews it has failed to.
const ENDS_SOON: time::Duration = time::Duration::days(7);

pub(super) fn mutual_server(files: &[Contents]) -> Result<ServerConfig, String> {
    let [certificate, key, ca] = files else {
        return Err("expected a certificate, a key and a CA".to_owned());
    };
    let verifier = holders_of(std::slice::from_ref(ca))?;
    let (chain, key_of) = (chain(certificate)?, private_key(key)?);
    let config = server(BOTH_OURS)?.with_client_cert_verifier(verifier).with_single_cert(chain, key_of);
    over_http2(config.map_err(|error| complain(key, error))?)
}

pub(super) fn public_server(files: &[Contents]) -> Result<ServerConfig, String> {
    let [certificate, key] = files else { return Err("expected a certificate and a key".to_owned()) };
    let (chain, key_of) = (chain(certificate)?, private_key(key)?);
    let config = server(ANYBODY)?.with_no_client_auth().with_single_cert(chain, key_of);
    over_http2(config.map_err(|error| complain(key, error))?)
}

pub(super) fn mutual_client(files: &[Contents]) -> Result<ClientConfig, String> {
    let [certificate, key, ca] = files else {
        return Err("expected a certificate, a key and a CA".to_owned());
    };
    let config = client(BOTH_OURS, ca)?.with_client_auth_cert(chain(certificate)?, private_key(key)?);
    let mut config = config.map_err(|error| complain(key, error))?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(config)
}

pub(super) fn public_client(files: &[Contents]) -> Result<ClientConfig, String> {
    let [ca] = files else { return Err("expected a CA".to_owned()) };
    let mut config = client(ANYBODY, ca)?.with_no_client_auth();
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(config)
}

/// Towards callers whose certificates somebody else judges.
pub(super) fn judging_server(
    files: &[Contents],
    judge: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, String> {
    let [certificate, key] = files else { return Err("expected a certificate and a key".to_owned()) };
    let (chain, key_of) = (chain(certificate)?, private_key(key)?);
    let config = server(ANYBODY)?.with_client_cert_verifier(judge).with_single_cert(chain, key_of);
    let mut config = config.map_err(|error| complain(key, error))?;
    config.alpn_protocols = vec![HTTP1.to_vec()];
    Ok(config)
}

/// Lets in whoever has a certificate of a CA.
pub(super) fn holders_of(files: &[Contents]) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let [ca] = files else { return Err("expected a CA".to_owned()) };
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
        .build()
        .map_err(|error| complain(ca, error))
}

/// Towards a server that is somebody else's: trusts the CA, or else whom the machine trusts, and shows a certificate if there is one.
pub(super) fn outside_client(
    files: &[Contents],
    has_ca: bool,
    protocol: Option<&'static [u8]>,
) -> Result<ClientConfig, String> {
    let (ca, identity) = files.split_at(usize::from(has_ca).min(files.len()));
    let builder = match ca {
        [ca] => client(ANYBODY, ca)?,
        _ => ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(ANYBODY)
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|error| format!("the machine's own CAs: {error}"))?,
    };
    let mut config = match identity {
        [certificate, key] => builder
            .with_client_auth_cert(chain(certificate)?, private_key(key)?)
            .map_err(|error| complain(key, error))?,
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
    Ok(config)
}

fn over_http2(mut config: ServerConfig) -> Result<ServerConfig, String> {
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn server(
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, String> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())
}

fn client(
    versions: &[&'static SupportedProtocolVersion],
    ca: &Contents,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots(ca)?))
}

fn complain(file: &Contents, what: impl std::fmt::Display) -> String {
    format!("{}: {what}", file.file.display())
}

fn certificates(file: &Contents) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(complain(file, "holds no certificate in PEM")),
        Err(error) => Err(complain(file, error)),
    }
}

fn chain(file: &Contents) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = certificates(file)?;
    for certificate in &certificates {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| {
            complain(file, format_args!("holds something that is no certificate: {error}"))
        })?;
        let (now, ends) = (OffsetDateTime::now_utc(), parsed.validity().not_after.to_datetime());
        if ends <= now {
            return Err(complain(file, format_args!("ended at {ends}: a new certificate is needed")));
        }
        if ends - now < ENDS_SOON {
            tracing::warn!(file = %file.file.display(), %ends, "a certificate ends soon");
        }
    }
    Ok(certificates)
}

fn private_key(file: &Contents) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&file.bytes).map_err(|_| complain(file, "holds no private key in PEM"))
}

fn roots(file: &Contents) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| complain(file, error))?;
    }
    Ok(roots)
}
