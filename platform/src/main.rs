//! The program `platform`.

use std::{
    error::Error,
    fs,
    io::Write,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use common::{
    admin,
    audit::{
        note::{self, PublicKey, Signer},
        receipt::verify as audit_receipt,
    },
    clock::Clock,
    lifecycle::Lifecycle,
    private_file, rpc_server, telemetry,
};
use platform::{
    audit_check::AuditCheck,
    config::{Args, Job},
    encryption::wrapping::WrappingKeys,
    flow::{self, archive::Progress},
    store::{Store, doubt, schema},
    trial_balance::TrialBalance,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Where threads are made to stand still, others must be able to overtake them.
#[cfg_attr(feature = "chaos", tokio::main)]
#[cfg_attr(not(feature = "chaos"), tokio::main(flavor = "current_thread"))]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command.clone().unwrap_or(Job::Serve) {
        Job::Serve => serve(&args).await,
        Job::Migrate => migrate(&args).await,
        Job::TrialBalance { json } => trial_balance(&args, json).await,
        Job::VerifyAudit { checkpoint, json } => verify_audit(&args, checkpoint.as_deref(), json).await,
        Job::NewAuditKey { out, name } => new_audit_key(&out, &name),
        Job::NewDataKey { out } => new_data_key(&out),
        Job::RotateDataKey => rotate_data_key(&args).await,
        Job::VerifyReceipt { receipt, key } => verify_receipt(&receipt, &key),
        Job::Archive { after, json } => archive(&args, &after, json).await,
    };
    done.unwrap_or_else(|error| {
        complain(&*error);
        ExitCode::FAILURE
    })
}

type Done = Result<ExitCode, Box<dyn Error + Send + Sync>>;

async fn serve(args: &Args) -> Done {
    let (config, telemetry_config) = args.config()?;
    let admin = telemetry_config.admin();
    let _telemetry = telemetry::start("platform", telemetry_config.hearing(doubt::TARGET, doubt::raise))?;
    let lifecycle = Lifecycle::on_signals(config.server.drain_timeout)?;
    let listener = rpc_server::bind(&config.server).await?;
    admin::serve(admin, admin::Router::new(), &lifecycle).await?;
    platform::run(config, listener, lifecycle).await?;
    Ok(ExitCode::SUCCESS)
}

async fn migrate(args: &Args) -> Done {
    schema::migrate(args.database()?).await?;
    say("the schema is up to date");
    Ok(ExitCode::SUCCESS)
}

async fn trial_balance(args: &Args, json: bool) -> Done {
    let found = TrialBalance::take(args.database()?).await?;
    say(&if json { serde_json::to_string_pretty(&found)? } else { found.to_string() });
    Ok(if found.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify_audit(args: &Args, checkpoint: Option<&Path>, json: bool) -> Done {
    const SAY_EVERY: Duration = Duration::from_secs(2);
    let (database, wrapping_keys) = args.encrypted_database()?;
    let kept = checkpoint.map(|file| {
        let text =
            fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        note::unverified(&text).map_err(|problem| format!("{}: {problem}", file.display()))
    });
    let kept = kept.transpose()?;
    schema::check(&database).await?;
    let mut said = Instant::now();
    let say_now_and_then = |found: &AuditCheck| {
        if !json && said.elapsed() > SAY_EVERY {
            said = Instant::now();
            say(&format!("computed {} leaves so far", found.leaves));
        }
    };
    let store = Store::new(database, 4);
    store.unlock(wrapping_keys).await?;
    let found = AuditCheck::take(&store, kept, say_now_and_then).await?;
    say(&if json { serde_json::to_string_pretty(&found)? } else { found.to_string() });
    Ok(if found.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn new_audit_key(out: &Path, name: &str) -> Done {
    let key = Signer::new_key().ok_or("the system gives no randomness")?;
    let public =
        Signer::new(name, key.as_bytes()).map_err(|problem| format!("--name: {problem}"))?.public_key();
    write_secret(out, &key)?;
    say(&public.to_string());
    Ok(ExitCode::SUCCESS)
}

fn new_data_key(out: &Path) -> Done {
    write_secret(out, &WrappingKeys::new_file().ok_or("the system gives no randomness")?)?;
    Ok(ExitCode::SUCCESS)
}

fn write_secret(out: &Path, secret: &str) -> Result<(), String> {
    private_file::create(out, secret.as_bytes())
        .map_err(|error| format!("cannot write {}: {error}", out.display()))
}

async fn rotate_data_key(args: &Args) -> Done {
    let (database, wrapping_keys) = args.encrypted_database()?;
    schema::check(&database).await?;
    let store = Store::new(database, 1);
    store.unlock(wrapping_keys).await?;
    let number = store.rotate_data_key().await?;
    say(&format!("what is written from now on is encrypted under data key {number}"));
    Ok(ExitCode::SUCCESS)
}

fn verify_receipt(receipt: &Path, key: &str) -> Done {
    let key = PublicKey::parse(key).map_err(|problem| format!("--key: {problem}"))?;
    let json =
        fs::read_to_string(receipt).map_err(|error| format!("cannot read {}: {error}", receipt.display()))?;
    let shown = audit_receipt(&json, &key).map_err(|why| format!("receipt: NOT OK: {why}"))?;
    say(shown.to_string().trim_end());
    Ok(ExitCode::SUCCESS)
}

async fn archive(args: &Args, after: &str, json: bool) -> Done {
    const SAY_EVERY: Duration = Duration::from_secs(2);
    let (database, keep) = args.archive(after)?;
    schema::check(&database).await?;
    let mut said = Instant::now();
    let say_now_and_then = |progress: &Progress| {
        if !json && said.elapsed() > SAY_EVERY {
            said = Instant::now();
            say(&format!("moved {} payments to the archive so far", progress.payments));
        }
        true
    };
    let store = Store::new(database, 1);
    let done = flow::archive::round(&store, &Clock::system(), keep, say_now_and_then).await?;
    let left = if done.is_left { "; a platform is at it, and the rest is left to that one" } else { "" };
    say(&match json {
        true => serde_json::json!({ "moved": done.payments, "left_to_another": done.is_left }).to_string(),
        false => format!("moved {} payments to the archive{left}", done.payments),
    });
    Ok(ExitCode::SUCCESS)
}

/// Prints what the command was asked for; a reader who has gone is no failure.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[expect(clippy::print_stderr, reason = "logging may not have started")]
fn complain(error: &dyn Error) {
    eprintln!("platform: {error}");
}
