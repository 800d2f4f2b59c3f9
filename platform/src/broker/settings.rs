//! Settings of the broker.

use std::{path::PathBuf, time::Duration};

use async_nats::{ConnectOptions, ServerAddr};
use common::{
    settings::{Problems, Secret},
    tls::{self, ClientTls, Live},
};

use super::Broker;

/// Where events are published.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Broker")]
pub struct BrokerArgs {
    /// A NATS server with JetStream to which events of payments are published as CloudEvents, e.g. `tls://nats:4222`; several of one
    /// cluster with commas between them. Without it none are.
    #[arg(long, env = "RIALTO_BROKER", value_name = "URL")]
    broker: Option<String>,
    /// Speak to the broker without TLS, at a nats:// URL: for a machine of one's own, since events tell who pays whom.
    #[arg(long, env = "RIALTO_INSECURE_BROKER")]
    insecure_broker: bool,
    /// The stream that takes the events. It is made if it is missing: one replica, in files, for as long as --keep-events says.
    #[arg(long, env = "RIALTO_BROKER_STREAM", default_value = "RIALTO")]
    broker_stream: String,
    /// What subjects begin with: a participant's succeeded payments are published to `<prefix>.<participant>.succeeded`.
    #[arg(long, env = "RIALTO_BROKER_SUBJECT_PREFIX", default_value = "rialto.payments")]
    broker_subject_prefix: String,
    /// The CA of the broker (PEM), instead of those that the machine trusts. Read again for each connection, like the file below.
    #[arg(long, env = "RIALTO_BROKER_CA", value_name = "FILE")]
    broker_ca: Option<PathBuf>,
    /// Who this is at the broker: a file of NATS credentials (`.creds`), or of the seed of a user's NKey (`SU…`).
    #[arg(long, env = "RIALTO_BROKER_CREDENTIALS_FILE", value_name = "FILE")]
    broker_credentials_file: Option<PathBuf>,
}

impl BrokerArgs {
    /// The broker, if there is to be one. A stream that is made keeps events for `keep`.
    pub fn check(&self, keep: Option<Duration>, problems: &mut Problems) -> Option<Broker> {
        let Some(url) = &self.broker else {
            let files =
                [("broker-ca", &self.broker_ca), ("broker-credentials-file", &self.broker_credentials_file)];
            for (flag, _) in files.iter().filter(|(_, file)| file.is_some()) {
                problems.add(flag, "there is no --broker");
            }
            return None;
        };
        let servers = self.servers(url, problems);
        let tls = self.tls(problems);
        let credentials = self.broker_credentials_file.clone().map(|file| {
            credentials(file).map_err(|problem| problems.add("broker-credentials-file", problem)).ok()
        });
        let stream = &self.broker_stream;
        let is_name =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if stream.is_empty() || stream.len() > 64 || !is_name(stream) {
            problems
                .add("broker-stream", format_args!("expected 1 to 64 of a-z A-Z 0-9 - _, got {stream:?}"));
        }
        let prefix = &self.broker_subject_prefix;
        if prefix.len() > 128 || !prefix.split('.').all(|token| !token.is_empty() && is_name(token)) {
            let expected = "expected words of a-z A-Z 0-9 - _ with dots between them";
            problems.add("broker-subject-prefix", format_args!("{expected}, got {prefix:?}"));
        }
        Some(Broker {
            servers: servers?,
            tls: tls?,
            credentials: match credentials {
                Some(credentials) => Some(credentials?),
                None => None,
            },
            stream: stream.clone(),
            subject_prefix: prefix.clone(),
            keep: keep?,
        })
    }

    /// The servers; a URL that has a secret in it is not shown.
    fn servers(&self, url: &str, problems: &mut Problems) -> Option<Vec<ServerAddr>> {
        let mut complain = |what: &str| problems.add("broker", what);
        let servers: Result<Vec<ServerAddr>, _> = url.split(',').map(str::parse).collect();
        let Ok(servers) = servers else {
            complain("expected a URL such as tls://nats:4222");
            return None;
        };
        if servers.iter().any(|server| server.has_user_pass() || server.password().is_some()) {
            complain(
                "arguments are visible to every user of the machine: give a --broker-credentials-file instead",
            );
            return None;
        }
        if servers
            .iter()
            .any(|server| server.host().is_empty() || !["nats", "tls"].contains(&server.scheme()))
        {
            complain("expected a URL such as tls://nats:4222");
            return None;
        }
        let encrypted = servers.iter().filter(|server| server.tls_required()).count();
        match self.insecure_broker {
            true if encrypted > 0 => {
                problems.add("insecure-broker", "a URL says tls: keep one of them");
                None
            }
            false if encrypted < servers.len() => {
                complain("expected tls://; or say --insecure-broker");
                None
            }
            _ => Some(servers),
        }
    }

    fn tls(&self, problems: &mut Problems) -> Option<Option<ClientTls>> {
        match (self.insecure_broker, &self.broker_ca) {
            (true, Some(_)) => {
                problems.add("broker-ca", "nothing is encrypted with --insecure-broker: keep one of them");
                None
            }
            (true, None) => Some(None),
            (false, ca) => {
                let tls = tls::outside_client(ca.clone(), None, None);
                tls.map_err(|problem| problems.add("broker-ca", problem)).ok().map(Some)
            }
        }
    }
}

/// Reads the file of the credentials, now and for each connection.
fn credentials(file: PathBuf) -> Result<Live<Secret>, String> {
    Live::read(vec![file], |files| {
        let [file] = files else { return Err("one file is expected".to_owned()) };
        let complain = || {
            format!(
                "{}: holds neither credentials (.creds) nor the seed of a user's NKey",
                file.file.display()
            )
        };
        let secret = Secret::new(str::from_utf8(&file.bytes).map_err(|_| complain())?);
        with_credentials(ConnectOptions::new(), &secret).map_err(|_| complain())?;
        Ok(secret)
    })
}

/// Connects as whoever has these credentials.
///
/// # Errors
/// When they are none.
pub(super) fn with_credentials(options: ConnectOptions, secret: &Secret) -> Result<ConnectOptions, String> {
    let text = secret.expose();
    if text.contains("BEGIN NATS USER JWT") {
        return options.credentials(text).map_err(|_| "the credentials are none".to_owned());
    }
    let seed = text.trim();
    nkeys::KeyPair::from_seed(seed).map_err(|_| "the seed is none".to_owned())?;
    Ok(options.nkey(seed.to_owned()))
}
