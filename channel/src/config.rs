//! The channel's settings.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use common::{
    bic::Bic,
    clock::Clock,
    rpc_server::{PeersArgs, ServerArgs, ServerConfig},
    settings::{Problems, SettingsError},
    telemetry::{TelemetryArgs, TelemetryConfig},
    tls::{self, IdentityArgs},
};

use crate::{
    directory::{Directory, DirectorySource, entry},
    notice_listener::Door,
};

/// What `--help` ends with.
const BANKS_FILE: &str = r#"The banks file:
  [[bank]]
  id = "aurora"                        # 2 to 32 characters of a-z 0-9 and -
  name = "Aurora Bank"
  bic = "AURODEF0XXX"                  # 8 or 11 characters
  iban_bank_codes = ["DE37040044"]     # the country and the bank code of its IBANs; may be empty
  currencies = ["EUR", "USD"]
  rail = "iso20022"
  address = "https://aurora.example/iso20022"
  ca_file = "aurora-ca.pem"            # optional: the only CAs (PEM) that are trusted there. This file and those below are
                                       # looked for beside this one, and read again when they change
  client_certificate_file = "rialto-at-aurora.pem"    # optional: the certificate (PEM) that is shown to the bank, and
  client_key_file = "rialto-at-aurora.key"            # its key
  notice_ca_file = "aurora-ca.pem"     # optional: the CA (PEM) of the certificate that the bank shows at --notice-listen,
  notice_name = "spiffe://aurora.example/notices"    # and the name in it, a URI or a host. Without these two the bank
                                       # may say nothing unasked; with them only it may, at /banks/aurora/pacs.002
  sign_key_file = "rialto-signs.key"   # optional: messages to it are signed with this private key (PEM, PKCS #8; Ed25519
                                       # or P-256): a detached JWS over the body in x-jws-signature
  verify_key_file = "aurora-signs.pem" # optional: all that it says must be signed so with one of these public keys (PEM).
                                       # kid is the key's thumbprint (RFC 7638)
  insecure = false                     # true (default false): address may be http, so that everybody on the way can
                                       # read and change payments
  http = "1.1"                         # optional: 1.1 (default) or 2, which carries many payments on one connection;
                                       # over https the bank must agree to it (ALPN), over http it must know it
  answer_timeout_ms = 5000             # how long to wait for its answer
  enquire_after_ms = 8000              # how long after acceptance the first enquiry makes sense
  valid_for_ms = 20000                 # how long after acceptance it takes a payment; it refuses later ones
  overdue_after_ms = 60000             # how long after acceptance somebody should look (default 60000, or 10000
                                       # more than valid_for_ms if that is later)
  max_in_flight = 512                  # payments and return requests to it at once (default 512); enquiries have
                                       # an eighth as many places of their own, at least 4
  max_instructions_per_s = 10000       # payments and return requests that it may get in a second (default 10000)
  max_enquiries_per_s = 50             # enquiries that it may get in a second (default 50)
  offline_policy = "refuse"            # payments while it cannot be reached: refuse (default) or queue
  takes_return_requests = true         # whether it gives back payments on request (default true)"#;

/// Rialto's channel: carries instructions to banks over their own rails, and says what is known of the result.
///
/// The platform calls it; it calls the banks of its directory. SIGHUP makes it read the directory again; a bad one changes
/// nothing.
#[derive(clap::Parser, Debug)]
#[command(name = "channel", version, after_help = BANKS_FILE)]
pub struct Args {
    /// The banks file (TOML, see below); read again on SIGHUP.
    #[arg(long, env = "RIALTO_DIRECTORY", value_name = "FILE")]
    directory: Option<PathBuf>,
    /// The BIC that messages to banks are sent under. The default is a test BIC (0 in the eighth place).
    #[arg(long, env = "RIALTO_SENDER_BIC", default_value = "RLTOITV0XXX")]
    sender_bic: String,
    /// Payments and return requests under way at once, to all banks together, and an eighth as many enquiries; more are
    /// answered NotSent at once.
    #[arg(long, env = "RIALTO_MAX_IN_FLIGHT", default_value = "10000")]
    max_in_flight: String,
    /// The address where banks say what they were not asked (HTTP/1.1 over TLS, POST /banks/{id}/pacs.002), and where they, and other
    /// cells, pay accounts here (POST /banks/{id}); port 0 lets the system choose one. Each bank is believed by its own certificate (see notice_ca_file below). Without it none is opened.
    #[arg(long, env = "RIALTO_NOTICE_LISTEN", value_name = "ADDRESS")]
    notice_listen: Option<String>,
    /// A file to write that address to as it was bound.
    #[arg(long, env = "RIALTO_NOTICE_ADDRESS_FILE", value_name = "FILE")]
    notice_address_file: Option<PathBuf>,
    /// The certificate that banks see there, and those between it and its CA (PEM); read again when it changes.
    #[arg(long, env = "RIALTO_NOTICE_CERTIFICATE", value_name = "FILE")]
    notice_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, env = "RIALTO_NOTICE_KEY", value_name = "FILE")]
    notice_key: Option<PathBuf>,
    /// Take notices without TLS: whoever reaches the address is believed to be whichever bank he says. For a machine of one's
    /// own, never for real money.
    #[arg(long, env = "RIALTO_INSECURE_NOTICE_LISTEN")]
    insecure_notice_listen: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    peers: PeersArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// Checked settings, and the directory as it was read with them.
#[derive(Debug)]
pub struct Config {
    /// How to serve.
    pub server: ServerConfig,
    /// Where the directory comes from.
    pub source: DirectorySource,
    /// The directory to begin with.
    pub directory: Arc<Directory>,
    /// Payments and return requests under way at once.
    pub max_in_flight: usize,
    /// Where banks say what they were not asked; none if nowhere.
    pub notices: Option<NoticeConfig>,
}

/// Where to take notices.
#[derive(Debug)]
pub struct NoticeConfig {
    /// The address to serve on.
    pub listen: SocketAddr,
    /// Where to write the bound address.
    pub address_file: Option<PathBuf>,
    /// How banks come in.
    pub door: Door,
}

impl Args {
    /// The checked settings and the directory, and those of logs and traces.
    ///
    /// # Errors
    /// All that is wrong with either.
    pub fn config(&self) -> Result<(Config, TelemetryConfig), SettingsError> {
        let mut problems = Problems::new();
        let identity = self.identity.check(&mut problems);
        let door = self.peers.check(identity.as_ref(), &mut problems);
        let server = self.server.check(door, &mut problems);
        let telemetry = self.telemetry.check(&mut problems);
        let max_in_flight = problems.number("max-in-flight", &self.max_in_flight, 1, 1_000_000);
        let notices = self.notices(&mut problems);
        let sender = Bic::parse(&self.sender_bic);
        if sender.is_none() {
            problems.add(
                "sender-bic",
                format_args!("expected a BIC such as RLTOITV0XXX, got {:?}", self.sender_bic),
            );
        }
        let file = problems.required("directory", self.directory.as_ref(), "the file of banks; see --help");
        let source = sender.zip(file).map(|(sender, file)| DirectorySource {
            file: file.clone(),
            sender,
            clock: Clock::system(),
            changes: Arc::default(),
        });
        let directory = match (&source, file) {
            (Some(source), _) => {
                source.load(&Directory::default()).map(|directory| Some(Arc::new(directory)))
            }
            (None, Some(file)) => entry::read(file).map(|_| None),
            (None, None) => Ok(None),
        };
        let directory = directory.unwrap_or_else(|found| {
            found.into_iter().for_each(|problem| problems.add_free(problem));
            None
        });
        problems.finish(|| {
            let config = Config {
                server: server?,
                source: source?,
                directory: directory?,
                max_in_flight: max_in_flight?,
                notices,
            };
            Some((config, telemetry?))
        })
    }

    fn notices(&self, problems: &mut Problems) -> Option<NoticeConfig> {
        let address_file = self.notice_address_file.clone();
        let Some(listen) = &self.notice_listen else {
            for (flag, is_given) in [
                ("notice-address-file", address_file.is_some()),
                ("notice-certificate", self.notice_certificate.is_some()),
                ("notice-key", self.notice_key.is_some()),
            ] {
                if is_given {
                    problems.add(flag, "makes sense only with --notice-listen");
                }
            }
            return None;
        };
        let listen = problems.address("notice-listen", listen);
        let door = self.notice_door(problems);
        Some(NoticeConfig { listen: listen?, address_file, door: door? })
    }

    fn notice_door(&self, problems: &mut Problems) -> Option<Door> {
        let (certificate, key) = match (&self.notice_certificate, &self.notice_key) {
            (None, None) if self.insecure_notice_listen => return Some(Door::Insecure),
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (None, _) => {
                problems
                    .add("notice-certificate", "missing: what banks see; or say --insecure-notice-listen");
                return None;
            }
            (_, None) => {
                problems.add("notice-key", "missing: the key of --notice-certificate");
                return None;
            }
        };
        if self.insecure_notice_listen {
            problems.add("insecure-notice-listen", "a certificate is given as well: keep one of them");
        }
        // The door itself needs the directory; what is wrong with the files shall be told with all the rest.
        let checked = tls::public_server(certificate.clone(), key.clone());
        checked.map_err(|problem| problems.add_free(problem)).ok()?;
        Some(Door::Tls(certificate, key))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn notices_are_taken_only_where_it_is_said() {
        let notices = |arguments: &[&str]| {
            let mut problems = Problems::new();
            let args = Args::try_parse_from(["channel"].iter().chain(arguments)).expect("arguments");
            let notices = args.notices(&mut problems);
            problems.finish(|| Some(notices)).map_err(|error| error.to_string())
        };
        assert!(notices(&[]).expect("good").is_none());
        let listen = ["--notice-listen", "127.0.0.1:0"];
        let there = ["--insecure-notice-listen", "--notice-address-file", "x"];
        let there = notices(&[&listen[..], &there].concat()).expect("good");
        assert_eq!(there.and_then(|there| there.address_file), Some(PathBuf::from("x")));
        let nowhere = notices(&["--notice-listen", "here"]).expect_err("no address");
        assert!(
            nowhere.contains("--notice-listen (or RIALTO_NOTICE_LISTEN): expected an IP address"),
            "{nowhere}"
        );
        for (flags, problem) in [
            (
                &[][..],
                "--notice-certificate (or RIALTO_NOTICE_CERTIFICATE): missing: what banks see; or say --insecure",
            ),
            (&["--notice-key=x"], "--notice-certificate (or RIALTO_NOTICE_CERTIFICATE): missing"),
            (&["--notice-certificate=x"], "--notice-key (or RIALTO_NOTICE_KEY): missing: the key of"),
            (&["--notice-certificate=/no/such", "--notice-key=x"], "cannot read /no/such"),
            (
                &["--notice-certificate=/no/such", "--notice-key=x", "--insecure-notice-listen"],
                "--insecure-notice-listen (or RIALTO_INSECURE_NOTICE_LISTEN): a certificate is given as well",
            ),
        ] {
            let problems = notices(&[&listen[..], flags].concat()).expect_err("bad");
            assert!(problems.contains(problem), "{problems}");
        }
        let useless = notices(&["--notice-certificate", "x"]).expect_err("no listener");
        assert!(
            useless.contains("--notice-certificate (or RIALTO_NOTICE_CERTIFICATE): makes sense only"),
            "{useless}"
        );
        let useless = notices(&["--notice-address-file", "x"]).expect_err("no listener");
        assert!(useless.contains("makes sense only with --notice-listen"), "{useless}");
    }
}
