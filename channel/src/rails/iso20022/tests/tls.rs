//! Banks over TLS: who is believed to be one, what the channel shows of itself, and what is certain when hands are not shaken.

use std::path::{Path, PathBuf};

use common::tls::{HTTP1, HTTP2};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::*;

/// A CA.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both PEM.
pub(crate) type Issued = (String, String);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate that is changed before it is signed.
    pub(crate) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        roots
    }

    /// Lets in who has a certificate of this CA, or nobody else either way.
    fn demands(&self) -> Arc<dyn ClientCertVerifier> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider)
            .build()
            .expect("a verifier")
    }
}

/// A folder of PEM files that goes away with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rialto-channel-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    pub(crate) fn pair(&self, name: &str, (certificate, key): &Issued) -> (PathBuf, PathBuf) {
        (self.file(&format!("{name}.pem"), certificate), self.file(&format!("{name}.key"), key))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Tls12,
    Tls13,
}

fn server((certificate, key): &Issued, demands: Arc<dyn ClientCertVerifier>, spoken: Spoken) -> ServerConfig {
    let versions = match spoken {
        Spoken::Tls12 => [&TLS12],
        Spoken::Tls13 => [&TLS13],
    };
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&versions)
        .expect("versions")
        .with_client_cert_verifier(demands)
        .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"))
        .expect("a server");
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    config
}

/// A bank that credits whatever it gets, over whichever HTTP was agreed on; counts what it has read of requests.
async fn secure_bank(config: ServerConfig) -> (Url, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = bank(move |stream| {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        async move {
            drop(stream.set_nodelay(true));
            let Ok(stream) = acceptor.accept(stream).await else { return };
            match stream.get_ref().1.alpn_protocol() {
                Some(protocol) if protocol == HTTP2 => credit_over_http2(stream, &seen).await,
                _ => credit_over_http1(stream, &seen).await,
            }
        }
    })
    .await;
    (Url::parse(&address.as_str().replace("http://", "https://")).expect("a URL"), requests)
}

async fn credit_over_http1(mut stream: TlsStream<TcpStream>, seen: &AtomicUsize) {
    while request(&mut stream).await.is_some() {
        seen.fetch_add(1, Ordering::SeqCst);
        drop(stream.write_all(good_answer().as_bytes()).await);
        drop(stream.flush().await);
    }
}

async fn credit_over_http2(stream: TlsStream<TcpStream>, seen: &AtomicUsize) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        seen.fetch_add(1, Ordering::SeqCst);
        let head = hyper::Response::builder().header("content-type", "application/xml");
        let mut body = respond.send_response(head.body(()).expect("a head"), false).expect("a stream");
        body.send_data(hyper::body::Bytes::from_static(REPORT.as_bytes()), true).expect("sent");
    }
}

/// What comes of one payment: the verdict, and what it shows of the bank.
async fn told(
    http: HttpVersion,
    address: &Url,
    ca: &Path,
    client: Option<(PathBuf, PathBuf)>,
) -> (String, Contact) {
    let way = way_by(Access {
        address: address.clone(),
        http,
        trust: Trust { ca: Some(ca.to_owned()), client_certificate: client, ..Trust::default() },
    });
    let carried = way.carry(&instruction()).await;
    (short(carried.verdict), carried.contact)
}

pub(crate) fn way_by(access: Access) -> Iso20022 {
    let bic = |text| Bic::parse(text).expect("a BIC");
    let correspondents = Correspondents { sender: bic("RLTOITV0XXX"), bank: bic("AURODEFF") };
    Iso20022::new(correspondents, &access, Duration::from_secs(4), Clock::system()).expect("a client")
}

const BOTH: [HttpVersion; 2] = [HttpVersion::Http1, HttpVersion::Http2];
const NOT_SENT: &str = "not sent: BANK_UNREACHABLE";

#[tokio::test]
async fn only_the_bank_of_the_pinned_ca_and_name_gets_a_payment() {
    let folder = Folder::new("tls-server");
    let (pinned, other) = (Authority::new(), Authority::new());
    let ca = folder.file("ca.pem", &pinned.pem());
    let named = |name: &str| pinned.issue(&[name]);
    let ended = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2026, 1, 2);
    let common_name = |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    };
    for (what, certificate, is_good) in [
        ("good", named("127.0.0.1"), true),
        ("another host", named("bank.test"), false),
        ("another address", named("127.0.0.2"), false),
        ("another CA", other.issue(&["127.0.0.1"]), false),
        ("ended", pinned.issue_with(&["127.0.0.1"], ended), false),
        ("named by its common name alone", pinned.issue_with(&[], common_name), false),
    ] {
        for spoken in [Spoken::Tls12, Spoken::Tls13] {
            let (address, seen) = secure_bank(server(&certificate, Arc::new(NoClientAuth), spoken)).await;
            for http in BOTH {
                let told = told(http, &address, &ca, None).await;
                let expected = match is_good {
                    true => ("accepted".to_owned(), Contact::Answered),
                    false => (NOT_SENT.to_owned(), Contact::Failed),
                };
                assert_eq!(told, expected, "{what} {spoken:?} {http:?}");
            }
            assert_eq!(seen.load(Ordering::SeqCst), if is_good { 2 } else { 0 }, "{what} {spoken:?}");
        }
    }
}

#[tokio::test]
async fn a_bank_that_refuses_the_certificate_has_nothing_for_certain_only_if_nothing_was_written() {
    let folder = Folder::new("tls-client");
    let (pinned, other) = (Authority::new(), Authority::new());
    let ca = folder.file("ca.pem", &pinned.pem());
    let good = folder.pair("good", &pinned.issue(&["spiffe.test"]));
    let strange = folder.pair("strange", &other.issue(&["spiffe.test"]));
    let certificate = pinned.issue(&["127.0.0.1"]);
    for (spoken, http, shown, expected) in [
        (Spoken::Tls12, HttpVersion::Http1, Some(&good), "accepted"),
        (Spoken::Tls13, HttpVersion::Http1, Some(&good), "accepted"),
        (Spoken::Tls12, HttpVersion::Http2, Some(&good), "accepted"),
        (Spoken::Tls13, HttpVersion::Http2, Some(&good), "accepted"),
        // None is given: nothing is sent to a bank that has asked for one.
        (Spoken::Tls12, HttpVersion::Http1, None, NOT_SENT),
        (Spoken::Tls13, HttpVersion::Http1, None, NOT_SENT),
        (Spoken::Tls12, HttpVersion::Http2, None, NOT_SENT),
        (Spoken::Tls13, HttpVersion::Http2, None, NOT_SENT),
        // A wrong one is given: in TLS 1.3 its refusal comes when the payment may be on its way, unless the bank speaks first.
        (Spoken::Tls12, HttpVersion::Http1, Some(&strange), NOT_SENT),
        (Spoken::Tls13, HttpVersion::Http1, Some(&strange), "unknown: CONNECTION_BROKEN"),
        (Spoken::Tls12, HttpVersion::Http2, Some(&strange), NOT_SENT),
        (Spoken::Tls13, HttpVersion::Http2, Some(&strange), NOT_SENT),
    ] {
        let (address, seen) = secure_bank(server(&certificate, pinned.demands(), spoken)).await;
        let (verdict, contact) = told(http, &address, &ca, shown.cloned()).await;
        assert_eq!(verdict, expected, "{spoken:?} {http:?} {shown:?}");
        let is_good = expected == "accepted";
        assert_eq!(
            contact,
            if is_good { Contact::Answered } else { Contact::Failed },
            "the breaker counts it"
        );
        assert_eq!(seen.load(Ordering::SeqCst), usize::from(is_good), "{spoken:?} {http:?} {shown:?}");
    }
}

#[tokio::test]
async fn files_that_change_hold_from_the_next_connection_on() {
    let folder = Folder::new("tls-rotation");
    let (first, next) = (Authority::new(), Authority::new());
    let ca = folder.file("ca.pem", &first.pem());
    let shown = folder.pair("client", &first.issue(&["spiffe.test"]));
    let bank_of = async |authority: &Authority| {
        let certificate = authority.issue(&["127.0.0.1"]);
        secure_bank(server(&certificate, authority.demands(), Spoken::Tls13)).await.0
    };
    let (before, after) = (bank_of(&first).await, bank_of(&next).await);
    let trust = Trust { ca: Some(ca), client_certificate: Some(shown), ..Trust::default() };
    let way_to = |address: &Url| {
        way_by(Access { address: address.clone(), http: HttpVersion::Http1, trust: trust.clone() })
    };
    let (old, unused, new) = (way_to(&before), way_to(&before), way_to(&after));
    let carried = async |way: &Iso20022| short(way.carry(&instruction()).await.verdict);
    assert_eq!((carried(&old).await.as_str(), carried(&new).await.as_str()), ("accepted", NOT_SENT));

    // Half of a change is a bad one, which changes nothing: the key is not the certificate's.
    let renewed = next.issue(&["spiffe.test"]);
    folder.file("client.pem", &renewed.0);
    assert_eq!(carried(&unused).await, "accepted");
    assert_eq!(carried(&new).await, NOT_SENT);
    folder.file("client.key", &renewed.1);
    folder.file("ca.pem", &next.pem());
    assert_eq!(carried(&new).await, "accepted", "the new ones");
    assert_eq!(carried(&old).await, "accepted", "the connection that there was");
}

#[tokio::test]
async fn a_queue_for_handshakes_is_no_failure_of_the_bank() {
    let folder = Folder::new("tls-crowd");
    let ca = folder.file("ca.pem", &Authority::new().pem());
    let silent = bank(|mut stream| async move { drop(stream.read_to_end(&mut Vec::new()).await) }).await;
    let address = Url::parse(&silent.as_str().replace("http://", "https://")).expect("a URL");
    let trust = Trust { ca: Some(ca), ..Trust::default() };
    let way = Arc::new(way_by(Access { address, http: HttpVersion::Http1, trust }));
    let all: Vec<_> = (0..40)
        .map(|_| {
            let way = Arc::clone(&way);
            tokio::spawn(async move { way.carry(&instruction()).await })
        })
        .collect();
    let (mut failed, mut crowded) = (0, 0);
    for one in all {
        let carried = one.await.expect("carried");
        match (short(carried.verdict).as_str(), carried.contact) {
            (NOT_SENT, Contact::Failed) => failed += 1,
            ("not sent: BANK_BUSY", Contact::Unclear) => crowded += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((failed, crowded), (16, 24));
}
