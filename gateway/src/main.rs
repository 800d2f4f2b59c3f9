//! The program `gateway`.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::UNIX_EPOCH,
};

use clap::Parser;
use common::{
    clock::Clock, lifecycle::Lifecycle, private_file, rpc_server, telemetry,
    verification_key::VerificationKey,
};
use gateway::{
    caller::Participant,
    config::{Args, Job, role_names},
    participant,
    signature::Signer,
};
use uuid::Uuid;

type Done = Result<(), Box<dyn Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Where threads are made to stand still, others must be able to overtake them.
#[cfg_attr(feature = "chaos", tokio::main)]
#[cfg_attr(not(feature = "chaos"), tokio::main(flavor = "current_thread"))]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        None | Some(Job::Serve) => serve(&args).await,
        Some(Job::NewKey { participant, cell, roles, verification_key }) => {
            let participant = Participant::new(*cell, participant);
            new_key(&args, &participant, &role_names(roles), verification_key.as_deref())
        }
        Some(Job::NewSigningKey { out }) => new_signing_key(out),
        Some(Job::Sign { key, path, message, content_out }) => {
            sign(key, path, message, content_out.as_deref())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: &Args) -> Done {
    let (config, telemetry_config) = args.config()?;
    let admin = telemetry_config.admin();
    let _telemetry = telemetry::start("gateway", telemetry_config)?;
    let lifecycle = Lifecycle::on_signals(config.server.drain_timeout)?;
    let listener = rpc_server::bind(&config.server).await?;
    gateway::run(config, listener, admin, lifecycle).await
}

fn new_key(args: &Args, participant: &Participant, roles: &[String], verification_key: Option<&str>) -> Done {
    let verification_key = verification_key.map(VerificationKey::parse).transpose();
    let verification_key = verification_key.map_err(|what| format!("--verification-key {what}"))?;
    let hasher = args.key_hasher()?;
    let (key, entry) = participant::new_key(&hasher, participant, roles, verification_key.as_ref())?;
    writeln!(io::stdout(), "# The key, shown this once: {key}\n{entry}")
        .map_err(|error| format!("cannot print the key, which is lost: make another ({error})").into())
}

fn new_signing_key(out: &Path) -> Done {
    let key = Signer::new_key().ok_or("the system gives no randomness")?;
    let public = *Signer::new(key.as_bytes())?.verification_key();
    private_file::create(out, key.as_bytes()).map_err(|error| about("write", out, &error))?;
    Ok(writeln!(io::stdout(), "{public}")?)
}

fn sign(key: &Path, path: &str, message: &Path, content_out: Option<&Path>) -> Done {
    let read = |file: &Path| fs::read(file).map_err(|error| about("read", file, &error));
    let signer = Signer::new(&read(key)?).map_err(|problem| format!("{} {problem}", key.display()))?;
    let message = read(message)?;
    let length = u32::try_from(message.len()).map_err(|_| "the message is too long for gRPC")?;
    let content = [&[0], &length.to_be_bytes()[..], &message].concat();
    if let Some(file) = content_out {
        fs::write(file, &content).map_err(|error| about("write", file, &error))?;
    }
    let created = Clock::system().now().duration_since(UNIX_EPOCH)?.as_secs();
    let nonce = Uuid::new_v4().to_string();
    for (name, value) in signer.sign(path, &content, i64::try_from(created)?, &nonce)? {
        writeln!(io::stdout(), "{name}: {}", value.to_str()?)?;
    }
    Ok(())
}

fn about(what: &str, file: &Path, error: &io::Error) -> String {
    format!("cannot {what} {}: {error}", file.display())
}

#[expect(clippy::print_stderr, reason = "logging may not have started")]
fn complain(error: &dyn Error) {
    eprintln!("gateway: {error}");
}
