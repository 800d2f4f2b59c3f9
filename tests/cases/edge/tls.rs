//! TLS: who is let in, to what, with which certificates, and that these are replaced without anybody noticing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use common::tls::HTTP2;
use harness::{
    BenchError,
    certificates::{Authority, Certificates, identity_of, shake_hands},
    client::Client,
    postgres::own_folder,
    process::{KILLED_WITH_PARENT, Process},
    system::Service,
    wait,
};
use proto::{
    channel::{GetDirectoryRequest, instruction_service_client::InstructionServiceClient},
    platform::{ExecuteRequest, platform_service_client::PlatformServiceClient},
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    bench::{Done, INSECURE, finish, program, run, run_on_system, to},
    reflection::health,
};

const DAY: time::Duration = time::Duration::days(1);
/// A directory of one bank that nobody pays.
const DIRECTORY: &str = r#"[[bank]]
id = "aurora"
name = "Aurora Bank"
bic = "AURODEF0XXX"
iban_bank_codes = []
currencies = ["EUR"]
rail = "iso20022"
address = "http://127.0.0.1:9/aurora"
insecure = true
answer_timeout_ms = 1000
enquire_after_ms = 2000
valid_for_ms = 3000
"#;
/// A preface and settings without content.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const ONLY_1_3: &[&SupportedProtocolVersion] = &[&TLS13];
const ONLY_1_2: &[&SupportedProtocolVersion] = &[&TLS12];

/// A client's side of TLS, odd in one way or another.
#[derive(Clone, Copy)]
struct Hand<'a> {
    trusts: &'a Path,
    shows: Option<(&'a str, &'a str)>,
    versions: &'static [&'static SupportedProtocolVersion],
    speaks: &'a [&'a [u8]],
}

impl Hand<'_> {
    fn config(&self) -> Result<Arc<ClientConfig>, BenchError> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.trusts)?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(self.versions)?
            .with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder.with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(key.as_bytes())?,
            )?,
        };
        config.alpn_protocols = self.speaks.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Whether the server goes on with HTTP/2.
    async fn is_taken(&self, address: &str) -> Result<bool, BenchError> {
        let Ok(mut stream) = shake_hands(self.config()?, address).await else { return Ok(false) };
        if stream.write_all(BEGINNING).await.is_err() {
            return Ok(false);
        }
        let mut header = [0; 9];
        let read = tokio::time::timeout(Duration::from_secs(3), stream.read_exact(&mut header)).await?;
        Ok(read.is_ok())
    }
}

fn pair(certificates: &Certificates, name: &str) -> Result<(String, String), BenchError> {
    let read = |file: PathBuf| std::fs::read_to_string(file);
    Ok((read(certificates.file(name))?, read(certificates.key(name))?))
}

#[test]
fn only_a_service_with_a_certificate_of_the_ca_is_let_in_and_only_by_tls_1_3() {
    run_on_system(async |system| {
        let certificates = system.certificates();
        let address = system.address(Service::Platform);
        let (peers, ca) = (certificates.file("peer-ca"), certificates.ca());
        let (certificate, key) = pair(certificates, "gateway")?;
        let good =
            Hand { trusts: &peers, shows: Some((&certificate, &key)), versions: ONLY_1_3, speaks: &[HTTP2] };
        assert!(good.is_taken(address).await?, "the gateway's own certificate");

        let strangers = Authority::new("somebody else's CA")?;
        let names = ["127.0.0.1", &identity_of("gateway")];
        let (strange, strange_key) = strangers.issue("gateway", &names, DAY)?;
        let (public, public_key) = pair(certificates, "public")?;
        let rows = [
            ("no certificate", Hand { shows: None, ..good }),
            ("another CA's certificate", Hand { shows: Some((&strange, &strange_key)), ..good }),
            ("the public certificate", Hand { shows: Some((&public, &public_key)), ..good }),
            ("TLS 1.2", Hand { versions: ONLY_1_2, ..good }),
            ("no ALPN", Hand { speaks: &[], ..good }),
            ("HTTP/1.1 alone", Hand { speaks: &[b"http/1.1"], ..good }),
            ("trust in another CA", Hand { trusts: &ca, ..good }),
        ];
        for (name, hand) in rows {
            assert!(!hand.is_taken(address).await?, "{name} was let in");
        }
        Ok(())
    });
}

#[test]
fn an_identity_may_call_what_it_is_allowed_to_and_nothing_else() {
    run_on_system(async |system| {
        let certificates = system.certificates();
        let execute = async |program: &str| {
            let route = certificates.to_service(program, system.address(Service::Platform)).unwrap();
            let mut client = PlatformServiceClient::new(route.connect());
            client.execute(ExecuteRequest::default()).await.map_err(|status| status.code()).map(drop)
        };
        // The gateway may call Exchange, the bench of these cases everything; an empty command is a bad one.
        assert_eq!(execute("bench").await, Err(Code::InvalidArgument));
        assert_eq!(execute("gateway").await, Err(Code::PermissionDenied));
        assert_eq!(execute("channel").await, Err(Code::PermissionDenied));
        let gateway = certificates.to_service("gateway", system.address(Service::Platform))?;
        let ways = tokio_stream::pending();
        assert!(PlatformServiceClient::new(gateway.clone().connect()).exchange(ways).await.is_ok());
        let refused = health(gateway.connect(), "").await.unwrap_err().to_string();
        assert!(refused.contains("does not allow this call"), "{refused}");

        let directory = async |program: &str| {
            let route = certificates.to_service(program, system.address(Service::Channel)).unwrap();
            let mut client = InstructionServiceClient::new(route.connect());
            client.get_directory(GetDirectoryRequest {}).await.map_err(|status| status.code()).map(drop)
        };
        assert_eq!(directory("platform").await, Ok(()));
        assert_eq!(directory("gateway").await, Err(Code::PermissionDenied));
        Ok(())
    });
}

#[test]
fn a_certificate_that_names_nobody_or_several_is_nobodys() {
    run(async || {
        let alone = Alone::channel(&[])?;
        let address = alone.address.as_str();
        let asks = async |names: &[&str]| -> Result<_, BenchError> {
            let issued = alone.authority.issue("platform", names, DAY)?;
            alone.write("client", &issued)?;
            let route = alone.certificates().to_service("client", address)?;
            let mut client = InstructionServiceClient::new(route.connect());
            let answer = client.get_directory(GetDirectoryRequest {}).await;
            Ok(answer.map(drop).map_err(|status| status.code()))
        };
        let [platform, gateway] = ["platform", "gateway"].map(identity_of);
        assert_eq!(asks(&[&platform]).await?, Ok(()));
        assert_eq!(asks(&["127.0.0.1"]).await?, Err(Code::PermissionDenied));
        assert_eq!(asks(&[&platform, &gateway]).await?, Err(Code::PermissionDenied));
        assert_eq!(asks(&[&gateway, &platform]).await?, Err(Code::PermissionDenied));
        assert_eq!(asks(&[&format!("{platform}/other")]).await?, Err(Code::PermissionDenied));
        let ended = alone.authority.issue("platform", &[&platform], -time::Duration::minutes(1))?;
        let peers = alone.file("peer-ca");
        let hand =
            Hand { trusts: &peers, shows: Some((&ended.0, &ended.1)), versions: ONLY_1_3, speaks: &[HTTP2] };
        assert!(!hand.is_taken(address).await?, "a certificate that has ended was let in");
        Ok(())
    });
}

#[test]
fn callers_reach_the_gateway_over_tls_alone() {
    run_on_system(async |system| {
        let address = system.address(Service::Gateway);
        let (ca, others) = (system.certificates().ca(), system.certificates().file("peer-ca"));
        let good = Hand { trusts: &ca, shows: None, versions: ONLY_1_3, speaks: &[HTTP2] };
        assert!(good.is_taken(address).await?);
        assert!(
            Hand { versions: ONLY_1_2, ..good }.is_taken(address).await?,
            "TLS 1.2 is for callers who have no other"
        );
        assert!(!Hand { speaks: &[], ..good }.is_taken(address).await?, "no ALPN");
        assert!(!Hand { trusts: &others, ..good }.is_taken(address).await?);
        let mut plain = TcpStream::connect(address).await?;
        plain.write_all(BEGINNING).await?;
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        // An alert at most (RFC 8446, section 6), but no settings of HTTP/2.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
        assert_eq!(health(to(system, Service::Gateway), "").await?, ServingStatus::Serving);
        Ok(())
    });
}

#[test]
fn who_begins_to_shake_hands_and_stops_is_sent_away_after_five_seconds() {
    run_on_system(async |system| {
        let mut stream = TcpStream::connect(system.address(Service::Gateway)).await?;
        stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await?;
        let began = Instant::now();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(12), stream.read_to_end(&mut answer)).await;
        ended.map_err(|_| "not closed in 12 s")?.ok();
        assert!((3..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        Ok(())
    });
}

/// A channel that has no bank but a certificate, of an authority of its own.
struct Alone {
    process: Process,
    address: String,
    folder: PathBuf,
    authority: Authority,
}

impl Alone {
    fn channel(flags: &[&str]) -> Result<Self, BenchError> {
        let folder = own_folder("tls-channel")?;
        let authority = Authority::new("the services' CA")?;
        std::fs::write(folder.join("peer-ca.pem"), authority.pem())?;
        write(
            &folder,
            "channel",
            &authority.issue("channel", &["127.0.0.1", &identity_of("channel")], DAY)?,
        )?;
        std::fs::write(folder.join("directory"), DIRECTORY)?;
        let mut command = program("channel");
        command.env_remove("RIALTO_INSECURE_LISTEN").args(flags);
        command.args(Certificates::at(&folder).identity_args("channel"));
        let allowed = "rialto.channel.v1.InstructionService/*,grpc.health.v1.Health/*";
        command.arg(format!("--allow-client={}={allowed}", identity_of("platform")));
        command.arg("--directory").arg(folder.join("directory"));
        command.arg("--address-file").arg(folder.join("address"));
        let mut process = Process::start("channel", command, KILLED_WITH_PARENT, &folder.join("log"))?;
        let address = process.wait_for_file(&folder.join("address"))?;
        Ok(Self { process, address, folder, authority })
    }

    fn certificates(&self) -> Certificates {
        Certificates::at(&self.folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.certificates().file(name)
    }

    fn write(&self, name: &str, issued: &(String, String)) -> Done {
        write(&self.folder, name, issued)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

fn write(folder: &Path, name: &str, (certificate, key): &(String, String)) -> Done {
    let certificates = Certificates::at(folder);
    std::fs::write(certificates.file(name), certificate)?;
    std::fs::write(certificates.key(name), key)?;
    Ok(())
}

#[test]
fn certificates_are_replaced_while_connections_stay() {
    run(async || {
        let mut alone = Alone::channel(&[])?;
        alone.write("client", &alone.authority.issue("platform", &[&identity_of("platform")], DAY)?)?;
        let old = alone.certificates().to_service("client", &alone.address)?.connect();
        assert_eq!(health(old.clone(), "").await?, ServingStatus::Serving);

        // A key that is not the certificate's changes nothing.
        let other = alone.authority.issue("channel", &["127.0.0.1"], DAY)?;
        std::fs::write(alone.certificates().key("channel"), &other.1)?;
        wait::until("the bad key is reported", Duration::from_secs(5), || async {
            alone.log().contains("the old ones stay").then_some(())
        })
        .await?;
        let again = alone.certificates().to_service("client", &alone.address)?.connect();
        assert_eq!(health(again, "").await?, ServingStatus::Serving);

        // Another CA, and certificates of it for both sides.
        let next = Authority::new("the services' next CA")?;
        std::fs::write(alone.file("peer-ca"), next.pem())?;
        alone.write("channel", &next.issue("channel", &["127.0.0.1", &identity_of("channel")], DAY)?)?;
        alone.write("client", &next.issue("platform", &[&identity_of("platform")], DAY)?)?;
        let renewed = || async {
            let route = alone.certificates().to_service("client", &alone.address).ok()?;
            let serving = health(route.connect(), "").await.ok()?;
            (serving == ServingStatus::Serving).then_some(())
        };
        wait::until("the new certificates are used", Duration::from_secs(5), renewed).await?;
        assert_eq!(health(old, "").await?, ServingStatus::Serving, "the connection of before");
        assert!(alone.process.ended().is_none());
        Ok(())
    });
}

#[test]
fn nothing_is_plaintext_unless_it_is_said_in_words() {
    run(async || {
        let folder = own_folder("tls-settings")?;
        let authority = Authority::new("a CA")?;
        std::fs::write(folder.join("peer-ca.pem"), authority.pem())?;
        let issue = |holds| authority.issue("x", &["127.0.0.1", &identity_of("x")], holds);
        write(&folder, "good", &issue(DAY)?)?;
        write(&folder, "ended", &issue(-time::Duration::minutes(1))?)?;
        let (good, other) = (issue(DAY)?, issue(DAY)?);
        write(&folder, "mixed", &(good.0, other.1))?;
        write(&folder, "empty", &(String::new(), String::new()))?;
        let identity = |name: &str| Certificates::at(&folder).identity_args(name).join(" ");
        let file = |name: &str| folder.join(name).display().to_string();
        let public = |certificate: &str, key: &str| {
            format!("--public-certificate={} --public-key={}", file(certificate), file(key))
        };
        let allow = "--allow-client=spiffe://rialto.test/x=rialto.channel.v1.InstructionService/*";
        let rows: Vec<(&str, String, Vec<&str>)> = vec![
            (
                "gateway",
                String::new(),
                vec!["--public-certificate (or RIALTO_PUBLIC_CERTIFICATE): missing", "--insecure-listen"],
            ),
            (
                "gateway",
                "--platform=http://h:1".to_owned(),
                vec!["--platform (or RIALTO_PLATFORM): expected https://", "--insecure-platform"],
            ),
            (
                "gateway",
                "--platform=https://h:1".to_owned(),
                vec!["--certificate (or RIALTO_CERTIFICATE): missing"],
            ),
            (
                "gateway",
                "--platform=https://h:1 --insecure-platform".to_owned(),
                vec!["--insecure-platform", "keep one"],
            ),
            (
                "gateway",
                public("good.pem", "good.key") + " --insecure-listen",
                vec!["--insecure-listen", "keep one"],
            ),
            ("gateway", public("good.pem", "mixed.key"), vec!["mixed.key"]),
            ("gateway", public("ended.pem", "ended.key"), vec!["ended.pem: ended at"]),
            ("gateway", public("empty.pem", "good.key"), vec!["empty.pem: holds no certificate"]),
            ("gateway", public("good.pem", "empty.key"), vec!["empty.key: holds no private key"]),
            ("gateway", public("nowhere.pem", "good.key"), vec!["cannot read", "nowhere.pem"]),
            (
                "gateway",
                format!("--public-certificate={}", file("good.pem")),
                vec!["--public-key (or RIALTO_PUBLIC_KEY): missing"],
            ),
            (
                "platform",
                String::new(),
                vec!["--certificate (or RIALTO_CERTIFICATE): missing", "--channel", "database-url"],
            ),
            (
                "platform",
                "--channel=http://h:1".to_owned(),
                vec!["--channel (or RIALTO_CHANNEL): expected https://"],
            ),
            (
                "channel",
                String::new(),
                vec!["--certificate (or RIALTO_CERTIFICATE): missing", "--insecure-listen"],
            ),
            (
                "channel",
                format!("--certificate={}", file("good.pem")),
                vec!["--key (or RIALTO_KEY): missing", "--peer-ca (or RIALTO_PEER_CA): missing"],
            ),
            ("channel", identity("good"), vec!["--allow-client (or RIALTO_ALLOW_CLIENT): missing"]),
            ("channel", identity("mixed") + " " + allow, vec!["mixed.key"]),
            (
                "channel",
                identity("good") + " --allow-client=nobody",
                vec!["names no RPC", "expected e.g. spiffe://"],
            ),
            ("channel", identity("good") + " --allow-client=x=a.B/C", vec!["names no identity"]),
            ("channel", identity("good") + " --allow-client=spiffe://x/y=everything", vec!["is no RPC"]),
            (
                "channel",
                identity("good") + " " + allow + " --insecure-listen",
                vec!["--insecure-listen", "keep one"],
            ),
        ];
        for (name, flags, parts) in rows {
            let mut command = program(name);
            for variable in INSECURE {
                command.env_remove(variable);
            }
            command.env("RIALTO_DATABASE_URL", "postgres://u:canary@127.0.0.1:9/d");
            command.args(flags.split_whitespace());
            let ended = finish(command)?;
            assert_eq!(ended.code, Some(1), "{name} {flags}: {}", ended.err);
            for part in parts {
                assert!(ended.err.contains(part), "{name} {flags}: {part} is not in:\n{}", ended.err);
            }
        }
        // What is not served can't be allowed: a slip of the pen would otherwise lock somebody out unseen.
        let mut command = program("channel");
        command.env_remove("RIALTO_INSECURE_LISTEN").args(identity("good").split_whitespace());
        command.arg("--allow-client=spiffe://rialto.test/x=rialto.chanel.v1.InstructionService/*");
        std::fs::write(folder.join("directory"), DIRECTORY)?;
        let ended = finish({
            command.arg("--directory").arg(folder.join("directory"));
            command
        })?;
        assert_eq!(ended.code, Some(1));
        assert!(
            ended.err.contains("rialto.chanel.v1.InstructionService, which is not served"),
            "{}",
            ended.err
        );
        Ok(())
    });
}

#[test]
fn a_gateway_does_not_speak_to_a_platform_of_another_ca_or_name() {
    run_on_system(async |system| {
        // The certificate is for 127.0.0.1 and localhost; what else the address may be called is nobody's.
        let port = system.address(Service::Platform).rsplit(':').next().ok_or("no port")?;
        let elsewhere = system.certificates().to_service("gateway", &format!("127.0.0.2:{port}"))?;
        let mut client = PlatformServiceClient::new(elsewhere.connect());
        let refused = client.execute(ExecuteRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        let caller =
            Client::new(&system.certificates().to_gateway(system.address(Service::Platform))?, "rk_x")?;
        assert_eq!(caller.payment("pay_0").await.unwrap_err().code(), Code::Unavailable);
        Ok(())
    });
}
