//! Programs to look at from the edge: alone, or as the one system that most tests of this target share.

use std::{
    future::Future,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use common::rpc_client::Route;
use harness::{
    BenchError, binaries,
    certificates::identity_of,
    client::Client,
    postgres::own_folder,
    process::{KILLED_WITH_PARENT, Process},
    system::{API_KEY_SECRET, BANKS, Service, Setup, System, new_key},
};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

/// What a test comes to.
pub type Done = Result<(), BenchError>;

/// An account at the first bank whose payments are executed, with the connection then closed.
pub const HANGS_UP: u32 = 5;
/// An account at the first bank that is answered after two seconds.
pub const SLOW: u32 = 6;

/// A system whose logs say more than by default.
pub fn setup(purpose: &str) -> Result<Setup, BenchError> {
    let mut setup = Setup::new(own_folder(purpose)?);
    let rule = |number, rule| format!("[[aurora]]\naccount = \"{}\"\n{rule}\n\n", BANKS[0].account(number));
    (setup.times.answer_timeout_ms, setup.times.enquire_after_ms) = (3_000, 3_200);
    setup.script =
        rule(HANGS_UP, "behaviour = \"drop_after\"") + &rule(SLOW, "behaviour = { delay = { ms = 2000 } }");
    let flags = ["--log=info,gateway=debug,platform=debug,channel=debug,common=debug", "--drain-timeout=6s"];
    for service in [Service::Gateway, Service::Platform, Service::Channel] {
        setup.flags.extend(flags.map(|flag| (service, flag.to_owned())));
    }
    for (service, own) in [
        (Service::Platform, "rialto.platform.v1.PlatformService/*"),
        (Service::Channel, "rialto.channel.v1.InstructionService/*"),
    ] {
        let reflection = "grpc.reflection.v1.ServerReflection/*,grpc.reflection.v1alpha.ServerReflection/*";
        let bench = identity_of("bench");
        setup.flags.push((service, format!("--allow-client={bench}={own},{reflection}")));
    }
    // The cases try many credentials that nobody knows, all from one address.
    setup.flags.push((Service::Gateway, "--max-bad-credentials-per-min=1000000".to_owned()));
    Ok(setup)
}

/// A system whose ledger writes four commands in 50 ms.
pub fn slow_ledger(purpose: &str) -> Result<Setup, BenchError> {
    let mut setup = setup(purpose)?;
    setup.flags.push((Service::Platform, "--max-batch=4".to_owned()));
    setup.database_settings.extend(["commit_delay=50000", "commit_siblings=0"].map(str::to_owned));
    Ok(setup)
}

/// Runs a test on a runtime that all tests share.
pub fn run<F: Future<Output = Done>>(test: impl FnOnce() -> F) {
    if let Err(error) = runtime().block_on(test()) {
        panic!("{error}");
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        binaries::build(&[]).unwrap();
        runtime
    })
}

/// Runs a test on the shared system, which the first one starts.
pub fn run_on_system<F: Future<Output = Done>>(test: impl FnOnce(&'static System) -> F) {
    static SYSTEM: OnceLock<System> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| {
        let starting = System::start(setup("edge").unwrap());
        runtime().block_on(starting).unwrap_or_else(|error| panic!("{error}"))
    });
    run(|| test(system));
}

/// A connection to a service of a system.
pub fn to(system: &System, service: Service) -> Channel {
    system.route(service).unwrap().connect()
}

/// A connection to a service without TLS.
pub fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

/// A new account with a thousand euros.
pub async fn funded(client: &Client, run: &str) -> Result<String, BenchError> {
    let account = client.open_account(&format!("{run}-account"), "Ada Buyer", "EUR", "").await?.id;
    client.deposit(&format!("{run}-deposit"), &account, 100_000, "EUR", "aurora").await?;
    Ok(account)
}

/// A caller of the system's gateway with the first participant's key.
pub fn shop(system: &System) -> Client {
    system.client(0).unwrap()
}

/// A service that runs alone.
pub struct Alone {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: String,
    /// Where its files are; its log is `log`.
    pub folder: PathBuf,
    /// The API key that it knows.
    pub key: String,
}

impl Alone {
    /// Starts a gateway that has no platform.
    pub fn gateway(flags: &[&str]) -> Result<Self, BenchError> {
        Self::gateway_trusting(flags, None)
    }

    /// The same, as on a machine that trusts this CA and no other.
    pub fn gateway_trusting(flags: &[&str], ca: Option<&Path>) -> Result<Self, BenchError> {
        let folder = own_folder("gateway")?;
        let (key, entry) = new_key("demo-shop", &["payer-app", "operator"])?;
        std::fs::write(folder.join("keys"), entry)?;
        let mut command = program("gateway");
        command.args(["--platform", "http://127.0.0.1:9", "--api-keys"]).arg(folder.join("keys"));
        command.arg("--address-file").arg(folder.join("address")).args(flags);
        command.env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
        command.env("RIALTO_MAX_BAD_CREDENTIALS_PER_MIN", "1000000");
        command.envs(ca.map(|ca| ("SSL_CERT_FILE", ca)));
        let mut process = Process::start("gateway", command, KILLED_WITH_PARENT, &folder.join("log"))?;
        let address = process.wait_for_file(&folder.join("address"))?;
        let gateway = Self { process, address, folder, key };
        // It gives a platform a moment to say who may call before it serves.
        let give_up = Instant::now() + SERVES_WITHIN;
        while !gateway.log().contains("serving") && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(gateway)
    }

    /// How callers reach it.
    pub fn route(&self) -> Route {
        Route::to(&self.address, None).unwrap()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

/// How soon a gateway serves, with or without a platform.
const SERVES_WITHIN: Duration = Duration::from_secs(10);

/// What lets the programs do without TLS.
pub const INSECURE: [&str; 4] = [
    "RIALTO_INSECURE_LISTEN",
    "RIALTO_INSECURE_PLATFORM",
    "RIALTO_INSECURE_CHANNEL",
    "RIALTO_INSECURE_DATABASE",
];

/// One of the programs, without settings of this process's environment, and without TLS.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(binaries::program(name).unwrap());
    command.envs(INSECURE.map(|variable| (variable, "true")));
    for (variable, _) in std::env::vars_os() {
        if variable.to_str().is_some_and(|name| name.starts_with("RIALTO_") && !INSECURE.contains(&name)) {
            command.env_remove(variable);
        }
    }
    command
}

/// What a program said, how it ended, and after how long.
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// From start to end.
    pub took: Duration,
}

/// Runs a program to its end, which must come within ten seconds.
pub fn finish(mut command: Command) -> Result<Ended, BenchError> {
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(sender.send(child.wait_with_output())));
    let Ok(output) = receiver.recv_timeout(Duration::from_secs(10)) else {
        Command::new("kill").arg("-KILL").arg(pid.to_string()).status()?;
        return Err(format!("still runs after ten seconds: {command:?}").into());
    };
    let Output { status, stdout, stderr } = output?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ended { code: status.code(), out: text(stdout), err: text(stderr), took: began.elapsed() })
}
