//! The system's certificates: one CA that callers trust, one of the services among themselves, and one of the banks.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::{
    rpc_client::Route,
    tls::{self, Identity},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, SignatureAlgorithm,
};
use rustls::{ClientConfig, pki_types::ServerName};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::BenchError;

/// How long certificates hold.
const HOLDS: Duration = Duration::days(365);
/// Where every service of the bench is.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// A CA of the bench's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new CA.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(name: &str) -> Result<Self, BenchError> {
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its own certificate (PEM).
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for whoever is at these hosts and URIs, and its key (both PEM), which hold so long from now.
    ///
    /// # Errors
    /// When a name can't stand in a certificate.
    pub fn issue(&self, name: &str, names: &[&str], holds: Duration) -> Result<(String, String), BenchError> {
        let mut params = params(name, names)?;
        params.not_after = OffsetDateTime::now_utc() + holds;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.0)?.pem(), key.serialize_pem()))
    }
}

fn params(name: &str, names: &[&str]) -> Result<CertificateParams, BenchError> {
    let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
    let mut params = CertificateParams::new(hosts.into_iter().map(str::to_owned).collect::<Vec<_>>())?;
    for uri in uris {
        params.subject_alt_names.push(SanType::URI(uri.try_into()?));
    }
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - Duration::hours(1), now + HOLDS);
    Ok(params)
}

/// A connection over TLS to whoever is at this address, on which nothing was said.
///
/// # Errors
/// When no hands are shaken.
pub async fn shake_hands(
    config: Arc<ClientConfig>,
    address: &str,
) -> Result<TlsStream<TcpStream>, BenchError> {
    shake_hands_on(TcpStream::connect(address).await?, config).await
}

/// The same on a connection that there is already.
///
/// # Errors
/// When no hands are shaken.
pub async fn shake_hands_on(
    stream: TcpStream,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, BenchError> {
    Ok(TlsConnector::from(config).connect(ServerName::try_from(HOSTS[0])?, stream).await?)
}

/// What the bench's certificates call one of its programs.
pub fn identity_of(program: &str) -> String {
    format!("spiffe://rialto.test/{program}")
}

/// What the certificate is called that the channel shows to a bank.
pub fn client_at(bank: &str) -> String {
    identity_of(&format!("at/{bank}"))
}

/// What a bank's own certificate calls it.
pub fn name_of(bank: &str) -> String {
    format!("spiffe://{bank}.test/notices")
}

/// The certificates of one system, in a folder of their own.
#[derive(Clone, Debug)]
pub struct Certificates(PathBuf);

impl Certificates {
    /// Those that are in a folder.
    pub fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// New certificates for callers, the services and the bench itself, and for these banks: `notices` is what the channel is served
    /// with where they speak unasked, `banks` what they are served with,
    /// `at-{bank}` the channel's at that bank, `of-{bank}` the bank's where it speaks unasked.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn make<'a>(folder: &Path, banks: impl Iterator<Item = &'a str>) -> Result<Self, BenchError> {
        fs::create_dir_all(folder)?;
        let made = Self::at(folder);
        let public = Authority::new("Rialto demo CA")?;
        made.write("ca", public.pem())?;
        for (name, of) in [("public", "gateway"), ("notices", "channel")] {
            made.keep(name, public.issue(of, &HOSTS, HOLDS)?)?;
        }
        let peers = Authority::new("Rialto demo services CA")?;
        made.write("peer-ca", peers.pem())?;
        for program in ["gateway", "platform", "channel", "bench"] {
            let identity = identity_of(program);
            made.keep(program, peers.issue(program, &[HOSTS[0], HOSTS[1], &identity], HOLDS)?)?;
        }
        let authority = Authority::new("Rialto demo banks CA")?;
        made.write("bank-ca", authority.pem())?;
        made.keep("banks", authority.issue("banks", &HOSTS, HOLDS)?)?;
        made.signing_key("rialto-signs", &PKCS_ECDSA_P256_SHA256)?;
        for bank in banks {
            made.signing_key(&format!("{bank}-signs"), &PKCS_ED25519)?;
            made.keep(&format!("at-{bank}"), authority.issue(bank, &[&client_at(bank)], HOLDS)?)?;
            made.keep(&format!("of-{bank}"), authority.issue(bank, &[&name_of(bank)], HOLDS)?)?;
        }
        Ok(made)
    }

    fn write(&self, name: &str, pem: String) -> Result<(), BenchError> {
        fs::write(self.file(name), pem)?;
        Ok(())
    }

    fn keep(&self, name: &str, (certificate, key): (String, String)) -> Result<(), BenchError> {
        self.write(name, certificate)?;
        fs::write(self.key(name), key)?;
        Ok(())
    }

    fn signing_key(&self, name: &str, of: &'static SignatureAlgorithm) -> Result<(), BenchError> {
        let key = KeyPair::generate_for(of)?;
        self.keep(name, (key.public_key_pem(), key.serialize_pem()))
    }

    /// Settings (TOML) of whoever signs with one key and believes another.
    pub fn signatures(&self, own: &str, others: &str) -> String {
        format!("sign_key_file = {:?}\nverify_key_file = {:?}\n", self.key(own), self.file(others))
    }

    /// A certificate's file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }

    /// Its key's file.
    pub fn key(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.key"))
    }

    /// The CA that callers trust.
    pub fn ca(&self) -> PathBuf {
        self.file("ca")
    }

    /// Settings (TOML) that name a certificate and its key.
    pub fn settings(&self, prefix: &str, name: &str) -> String {
        let (certificate, key) = (self.file(name), self.key(name));
        format!("{prefix}certificate_file = {certificate:?}\n{prefix}key_file = {key:?}\n")
    }

    /// The arguments that make a program who it is.
    pub fn identity_args(&self, program: &str) -> Vec<String> {
        let files = [
            ("certificate", self.file(program)),
            ("key", self.key(program)),
            ("peer-ca", self.file("peer-ca")),
        ];
        files.map(|(flag, file)| format!("--{flag}={}", file.display())).to_vec()
    }

    fn identity(&self, program: &str) -> Identity {
        Identity::new(self.file(program), self.key(program), self.file("peer-ca"))
    }

    /// A client that speaks unasked as this bank does.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn as_bank(&self, bank: &str) -> Result<reqwest::Client, BenchError> {
        let name = format!("of-{bank}");
        let shown = [fs::read(self.file(&name))?, fs::read(self.key(&name))?].concat();
        let trusted = reqwest::Certificate::from_pem(&fs::read(self.ca())?)?;
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
        Ok(client.identity(reqwest::Identity::from_pem(&shown)?).build()?)
    }

    /// A connection over TLS to a service at this address, as if it were this program, or to a gateway as callers connect; nothing was
    /// said on it.
    ///
    /// # Errors
    /// When no hands are shaken.
    pub async fn connect(
        &self,
        program: Option<&str>,
        address: &str,
    ) -> Result<TlsStream<TcpStream>, BenchError> {
        let tls = match program {
            Some(program) => self.identity(program).client()?,
            None => tls::public_client(self.ca())?,
        };
        shake_hands(tls.current(), address).await
    }

    /// How callers reach a gateway at this address.
    ///
    /// # Errors
    /// When it is no address.
    pub fn to_gateway(&self, address: &str) -> Result<Route, BenchError> {
        Ok(Route::to(address, Some(self.ca()))?)
    }

    /// How the bench reaches a service at this address as if it were this program.
    ///
    /// # Errors
    /// When it is no address.
    pub fn to_service(&self, program: &str, address: &str) -> Result<Route, BenchError> {
        Ok(Route::as_service(address, &self.identity(program))?)
    }
}
