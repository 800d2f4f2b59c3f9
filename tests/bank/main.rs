//! The simulated bank: several banks in one process, each with its own books and its own scripted misbehaviour.
//!
//! It implements `docs/bank-profile.md` on its own and shares no message code with the channel, so that a mistake in
//! one cannot cancel out in the other.

mod acceptance;
mod books;
mod config;
mod conversation;
mod counters;
mod fields;
mod gate;
mod http;
mod jws;
mod line;
mod messages;
mod notices;
mod rates;
#[cfg(test)]
mod sample;
mod script;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use rustls::ServerConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use config::BankConfig;
use conversation::Bank;
use http::Banks;
use line::{BankListener, Link};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulated banks that take ISO 20022 payments over HTTP and can be told to misbehave.
#[derive(Debug, Parser)]
#[command(name = "bank", after_long_help = HELP)]
struct Arguments {
    /// Address to listen on; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// File that receives the address in use, as host:port, once the banks answer.
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// File that says which banks there are (TOML).
    #[arg(long, value_name = "FILE")]
    banks: PathBuf,
    /// Directory of the books, one append-only file per bank; made if it is not there.
    #[arg(long, value_name = "DIR")]
    books: PathBuf,
    /// File of rules for misbehaviour (TOML); without it every bank does its plain duty.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Messages that an HTTP/2 connection may have under way at once.
    #[arg(long, default_value_t = 1_000, value_name = "NUMBER")]
    max_streams: u32,
}

const HELP: &str = include_str!("help.txt");

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended =
        runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            #[expect(clippy::print_stderr, reason = "the only way to tell whoever started the program")]
            {
                eprintln!("{problems}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    if let Some(file) = &arguments.address_file {
        remove_stale(file)?;
    }
    let (tls, banks) = open_banks(&arguments)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let (places, address) = listen(&arguments, banks)?;
    // From here on connections queue at the socket and are answered, so the address may be told.
    match &arguments.address_file {
        Some(file) => write_whole(file, &address.to_string()),
        None => print_address(address),
    }?;
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        asked.cancel();
    });
    http::serve(places, tls, arguments.max_streams, shutdown).await;
    Ok(())
}

/// Which banks are served where.
type Places = Vec<(BankListener, Banks)>;

/// Starts the banks and binds the address that they share and those of their own, whose files are written. Returns who
/// is served where, and the shared address.
fn listen(arguments: &Arguments, banks: Vec<Bank>) -> Result<(Places, SocketAddr), String> {
    let banks: Vec<Arc<Bank>> = banks.into_iter().map(Arc::new).collect();
    let by_id = |banks: &[Arc<Bank>]| -> Banks {
        Arc::new(banks.iter().map(|bank| (bank.config().id.clone(), Arc::clone(bank))).collect())
    };
    let bind = |address: SocketAddr, link| {
        BankListener::bind(address, link).map_err(|error| format!("{address}: {error}"))
    };
    let (_, always_up) = watch::channel(Link::Up);
    let shared = bind(arguments.listen, always_up)?;
    let address = shared.address();
    let mut places = vec![(shared, by_id(&banks))];
    for bank in &banks {
        bank.start();
        if let Some(own) = bank.config().listen {
            let listener = bind(own, bank.link())?;
            let file = arguments.books.join(format!("{}.address", bank.config().id));
            write_whole(&file, &listener.address().to_string())?;
            places.push((listener, by_id(std::slice::from_ref(bank))));
        }
    }
    Ok((places, address))
}

/// What the banks are served with over TLS, and the banks.
type Opened = (Option<Arc<ServerConfig>>, Vec<Bank>);

/// Reads both files and opens the books, reporting everything that is wrong with the files together.
fn open_banks(arguments: &Arguments) -> Result<Opened, String> {
    let configs = config::load(&arguments.banks);
    let mut scripts = match &arguments.script {
        None => Ok(Default::default()),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))
            .and_then(|text| script::read_file(&text).map_err(|problems| config::report(path, &problems))),
    };
    if let (Ok(configs), Ok(known), Some(path)) = (&configs, &scripts, &arguments.script) {
        let is_bank = |id: &String| configs.banks.iter().any(|config| config.id == *id);
        let strangers: Vec<String> =
            known.keys().filter(|id| !is_bank(id)).map(|id| format!("{id} is not a bank")).collect();
        if !strangers.is_empty() {
            scripts = Err(config::report(path, &strangers));
        }
    }
    let (configs, mut scripts) = match (configs, scripts) {
        (Ok(configs), Ok(scripts)) => (configs, scripts),
        (configs, scripts) => {
            return Err([configs.err(), scripts.err()].into_iter().flatten().collect::<Vec<_>>().join("\n"));
        }
    };
    let directory = &arguments.books;
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let tls = configs.tls.map(|files| files.load()).transpose()?;
    let open = |config: BankConfig| {
        let script = scripts.remove(&config.id).unwrap_or_default();
        Bank::open(config, script, directory)
    };
    let banks: Result<Vec<Bank>, String> = configs.banks.into_iter().map(open).collect();
    Ok((tls, banks?))
}

/// Takes away the address of an earlier run, which somebody could mistake for this one's.
fn remove_stale(file: &Path) -> Result<(), String> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Writes `text` so that a reader sees either no file or all of it.
fn write_whole(file: &Path, text: &str) -> Result<(), String> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, file))
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn print_address(address: SocketAddr) -> Result<(), String> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{address}").map_err(|error| error.to_string())
}
