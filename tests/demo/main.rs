//! The program `demo`: starts the whole system, plays payments that a reader learns from, and stays up to be tried.

mod orders;
mod report;
mod scenes;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use harness::{
    BenchError, binaries,
    client::Client,
    system::{Service, Setup, System},
};
use tokio::sync::Mutex;

use report::Report;

/// Starts Rialto on this machine, plays a dozen payments that show what it does, and stays up to be tried.
///
/// Everything is real: a private PostgreSQL, three simulated banks, the channel, the platform and the gateway, each a
/// process of its own on a free port. All data is below target/demo; nothing else is touched.
#[derive(Parser, Debug)]
#[command(name = "cargo demo --", bin_name = "cargo demo --")]
struct Args {
    /// End after the scenes: 0 when everything came as told, the trial balance is OK and the banks' books are equal.
    #[arg(long)]
    once: bool,
    /// The gateway's address, e.g. 127.0.0.1:8080; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Pay a file of orders after the scenes (CSV; the columns are in the README).
    #[arg(long, value_name = "ORDERS.csv")]
    file: Option<PathBuf>,
    /// Write all that came of it for programs, as soon as the scenes have played.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Go on with the ledger and the banks' books of the last run, instead of beginning anew.
    #[arg(long)]
    resume: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<bool, BenchError> {
    let folder = own_folder(args.resume)?;
    let mut setup = Setup::new(folder.clone()).over_http2();
    setup.gateway_listen.clone_from(&args.listen);
    setup.script = scenes::script();
    // So that a receipt can be had while one is still looking.
    setup.flags.push((Service::Platform, "--seal-after=20s".to_owned()));
    // So that a receiver on this machine can be tried.
    setup.flags.push((Service::Gateway, "--insecure-webhooks".to_owned()));
    setup.flags.push((Service::Gateway, "--console".to_owned()));
    say("Starting PostgreSQL, three banks, channel, platform and gateway …");
    let system = System::start(setup).await?;
    let client = system.client(0)?;
    let system = Arc::new(Mutex::new(system));
    let keeping = tokio::spawn(keep_running(Arc::clone(&system)));

    let run = format!("run-{}", uuid::Uuid::new_v4().simple().to_string().get(..8).unwrap_or_default());
    let played = scenes::play(&client, &run).await?;
    say(&report::scenes(&played));
    let mut report = Report::new(&*system.lock().await, played);
    if let Some(file) = &args.file {
        let paid = orders::pay(&client, file, &folder.join("orders-report.csv")).await?;
        say(&report::orders(&paid, &folder.join("orders-report.csv")));
        report.orders = paid;
    }
    check(&system, &mut report).await?;
    say(&report.books());
    if let Some(json) = &args.json {
        fs::write(json, report.json()?)
            .map_err(|error| format!("cannot write {}: {error}", json.display()))?;
    }
    if !args.once {
        let account = account_to_try(&client).await?;
        let environment = folder.join("env");
        let system = system.lock().await;
        let profiles = report::write_profiles(&system)?;
        fs::write(&environment, report::environment(&system, &profiles, &account, report.first_payment()))?;
        say(&report::lines_to_paste(&system, &environment, &system.admin_address(Service::Gateway)?));
        drop(system);
        tokio::signal::ctrl_c().await?;
        say("Stopping.");
    }
    keeping.abort();
    Ok(report.is_good())
}

/// An account with money, for whoever wants to try.
async fn account_to_try(client: &Client) -> Result<String, BenchError> {
    let account = client.open_account("try-account", "Ada Buyer", "EUR", "").await?.id;
    client.deposit("try-deposit", &account, 50_000, "EUR", harness::system::BANKS[0].id).await?;
    Ok(account)
}

/// Checks the ledger and compares it with the banks' books, after whatever is still under way has come to its end.
async fn check(system: &Mutex<System>, report: &mut Report) -> Result<(), BenchError> {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let system = system.lock().await;
        let balance = platform::trial_balance::TrialBalance::take(&system.database()).await?;
        let differences = system.compare_with_banks().await?;
        let settled =
            balance.payments.iter().all(|count| !matches!(count.state.as_str(), "SUBMITTED" | "UNKNOWN"));
        report.trial_balance = Some(balance);
        report.bank_differences = differences;
        if settled || std::time::Instant::now() > deadline {
            return Ok(());
        }
        drop(system);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Starts a service again when it has died, as an orchestrator would.
async fn keep_running(system: Arc<Mutex<System>>) {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut system = system.lock().await;
        for service in system.ended() {
            complain_of(service, "has died; starting it again");
            if let Err(error) = system.restart(service) {
                complain_of(service, &error.to_string());
            }
        }
    }
}

/// The demo's folder below `target/`, empty unless the last run is resumed. Only one demo at a time may use it.
fn own_folder(resume: bool) -> Result<PathBuf, BenchError> {
    let folder = binaries::target()?.join("demo");
    let running = folder.join("demo.pid");
    if let Some(pid) = fs::read_to_string(&running).ok().filter(|pid| is_demo(pid)) {
        return Err(format!("a demo is running already (process {pid}): stop it first").into());
    }
    if !resume && folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(&running, std::process::id().to_string())?;
    Ok(folder)
}

fn is_demo(pid: &str) -> bool {
    let program = fs::read_link(Path::new("/proc").join(pid).join("exe")).unwrap_or_default();
    program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("demo"))
        && pid != std::process::id().to_string()
}

/// Tells a person. A closed pipe is no reason to stop the system.
fn say(text: &str) {
    use io::Write;
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[expect(clippy::print_stderr, reason = "what a person reads")]
fn complain(error: &dyn std::error::Error) {
    eprintln!("demo: {error}");
}

#[expect(clippy::print_stderr, reason = "what a person reads")]
fn complain_of(service: Service, what: &str) {
    eprintln!("demo: the {} {what}", service.name());
}
