//! The whole system as real processes on free ports: PostgreSQL, three simulated banks, channel, platform, gateway.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;

use crate::{
    BenchError, binaries,
    postgres::Postgres,
    process::{KILLED_WITH_PARENT, Process},
};
use banks::{banks_file, directory_file, own_address_file};

mod banks;

pub use banks::{BANKS, BankSetup, BankTimes, QUICK};

/// The database of the system.
const DATABASE: &str = "rialto";

/// How to start the system.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where its files are; what is there already is used again.
    pub folder: PathBuf,
    /// The gateway's address; port 0 lets the system choose.
    pub gateway_listen: String,
    /// The banks' times.
    pub times: BankTimes,
    /// The banks' script (TOML), see `bank --help`.
    pub script: String,
    /// Banks, by their ids, whose payments wait for them while they are down.
    pub queueing: &'static [&'static str],
    /// Further flags, each for a service.
    pub flags: Vec<(Service, String)>,
}

impl Setup {
    /// A system in a folder of its own.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            gateway_listen: "127.0.0.1:0".to_owned(),
            times: QUICK,
            script: String::new(),
            queueing: &[],
            flags: Vec::new(),
        }
    }
}

/// One of the system's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The simulated banks.
    Bank,
    /// The channel.
    Channel,
    /// The platform.
    Platform,
    /// The gateway.
    Gateway,
}

impl Service {
    /// Every service, each before those that call it.
    pub const ALL: [Self; 4] = [Self::Bank, Self::Channel, Self::Platform, Self::Gateway];

    /// Its program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Channel => "channel",
            Self::Platform => "platform",
            Self::Gateway => "gateway",
        }
    }
}

/// The running system; dropping it stops everything.
#[derive(Debug)]
pub struct System {
    setup: Setup,
    /// In the order of [`Service::ALL`].
    running: Vec<(Process, String)>,
    postgres: Postgres,
    keys: Vec<String>,
}

/// The participants of the bench, each with an API key for every role but the last, which may only read.
pub const PARTICIPANTS: [&str; 3] = ["demo-shop", "other-shop", "demo-audit"];

impl System {
    /// Builds and starts everything, and waits until the gateway serves.
    ///
    /// # Errors
    /// When a part can't be had or does not come up; says which, and what its log ends with.
    pub async fn start(setup: Setup) -> Result<Self, BenchError> {
        binaries::build()?;
        fs::create_dir_all(setup.folder.join("books"))?;
        let postgres = Postgres::start(&setup.folder.join("postgres"), &["shared_buffers=256MB"]).await?;
        if !setup.folder.join("database-made").is_file() {
            postgres.create_database(DATABASE, None).await?;
            fs::write(setup.folder.join("database-made"), "")?;
        }
        let keys = keys(&setup.folder)?;
        for bank in BANKS {
            // Addresses of an earlier run may be somebody else's by now.
            let _ = fs::remove_file(own_address_file(&setup.folder, &bank));
        }
        fs::write(setup.folder.join("script.toml"), &setup.script)?;
        let mut system = Self { setup, running: Vec::new(), postgres, keys };
        for service in Service::ALL {
            let started = system.launch(service, None)?;
            system.running.push(started);
        }
        system.wait_for_health().await?;
        Ok(system)
    }

    fn launch(&self, service: Service, address: Option<&str>) -> Result<(Process, String), BenchError> {
        let folder = &self.setup.folder;
        let address_file = folder.join(format!("{}.address", service.name()));
        let _ = fs::remove_file(&address_file);
        let mut command = Command::new(binaries::program(service.name())?);
        let listen = match (service, address) {
            (_, Some(address)) => address,
            (Service::Gateway, None) => &self.setup.gateway_listen,
            (_, None) => "127.0.0.1:0",
        };
        command.args(["--listen", listen]).arg("--address-file").arg(&address_file);
        match service {
            Service::Bank => {
                fs::write(folder.join("banks.toml"), banks_file(self.setup.times, folder))?;
                command
                    .arg("--banks")
                    .arg(folder.join("banks.toml"))
                    .arg("--books")
                    .arg(folder.join("books"));
                command.arg("--script").arg(folder.join("script.toml"));
            }
            Service::Channel => {
                fs::write(folder.join("directory.toml"), directory_file(&self.setup)?)?;
                command.arg("--directory").arg(folder.join("directory.toml"));
            }
            Service::Platform => {
                command
                    .arg("--migrate")
                    .arg("--channel")
                    .arg(format!("http://{}", self.address(Service::Channel)));
                command.env("RIALTO_DATABASE_URL", self.postgres.url(DATABASE));
            }
            Service::Gateway => {
                command.arg("--platform").arg(format!("http://{}", self.address(Service::Platform)));
                command.arg("--api-keys").arg(folder.join("api-keys.toml"));
            }
        }
        let flags = self.setup.flags.iter().filter(|(of, _)| *of == service);
        command.args(flags.map(|(_, flag)| flag));
        let log = folder.join(format!("{}.log", service.name()));
        let mut process = Process::start(service.name(), command, KILLED_WITH_PARENT, &log)?;
        let bound = process.wait_for_file(&address_file)?;
        Ok((process, bound.trim().to_owned()))
    }

    /// Waits until a payment could be made: the gateway has its platform, and that its channel.
    async fn wait_for_health(&self) -> Result<(), BenchError> {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.probe().await;
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if std::time::Instant::now() > deadline => {
                    let folder = self.setup.folder.display();
                    return Err(
                        format!("the system does not come up ({error}); see the logs in {folder}").into()
                    );
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Asks for something that needs every hop: a deposit to an account that there is not is NOT_FOUND only once the
    /// directory has come up from the channel.
    async fn probe(&self) -> Result<(), BenchError> {
        use proto::accounts::{DepositRequest, account_service_client::AccountServiceClient};
        let mut client =
            AccountServiceClient::connect(format!("http://{}", self.address(Service::Gateway))).await?;
        let mut request = tonic::Request::new(DepositRequest {
            request_id: "probe".to_owned(),
            account: format!("acc_{}", "1".repeat(32)),
            amount: Some(proto::money::Money { minor_units: 1, currency: "EUR".to_owned() }),
            bank_id: BANKS[0].id.to_owned(),
            reference: String::new(),
        });
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.credential(0)).parse()?);
        match client.deposit(request).await {
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            Err(status) => Err(status.message().to_owned().into()),
            Ok(_) => Err("a deposit to nobody's account was booked".into()),
        }
    }

    fn place(service: Service) -> usize {
        Service::ALL.iter().position(|one| *one == service).unwrap_or(0)
    }

    /// Where a service listens. The banks answer there to whoever tests them; the channel reaches each of them at an
    /// address of its own, which the bank can leave.
    pub fn address(&self, service: Service) -> &str {
        self.running.get(Self::place(service)).map(|(_, address)| address.as_str()).unwrap_or_default()
    }

    /// A service's process.
    pub fn process(&mut self, service: Service) -> &mut Process {
        &mut self.running[Self::place(service)].0
    }

    /// Starts a service again, on the address that it had.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self, service: Service) -> Result<(), BenchError> {
        let address = self.address(service).to_owned();
        let process = self.process(service);
        if process.ended().is_none() {
            process.signal("KILL")?;
            process.wait(Duration::from_secs(5))?;
        }
        let started = self.launch(service, Some(&address))?;
        self.running[Self::place(service)] = started;
        Ok(())
    }

    /// The services that have ended by themselves.
    pub fn ended(&mut self) -> Vec<Service> {
        Service::ALL.into_iter().filter(|service| self.process(*service).ended().is_some()).collect()
    }

    /// An API key of the participant of this number in [`PARTICIPANTS`].
    pub fn credential(&self, participant: usize) -> &str {
        self.keys.get(participant).map(String::as_str).unwrap_or_default()
    }

    /// How to connect to the ledger's database.
    pub fn database(&self) -> PgConnectOptions {
        self.postgres.options(DATABASE)
    }

    /// The URL of the ledger's database.
    pub fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// Its PostgreSQL.
    pub fn postgres(&mut self) -> &mut Postgres {
        &mut self.postgres
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.setup.folder
    }

    /// What the ledger and the banks' own books disagree on; empty when every payment that succeeded here was executed there,
    /// once and for the same amount, and nothing else was.
    ///
    /// # Errors
    /// When either can't be read.
    pub async fn compare_with_banks(&self) -> Result<Vec<String>, BenchError> {
        crate::books::compare(&self.database(), self.address(Service::Bank)).await
    }
}

/// Makes the participants' API keys, or reads those of an earlier start.
fn keys(folder: &Path) -> Result<Vec<String>, BenchError> {
    let secrets = folder.join("api-keys.secret");
    if let Ok(text) = fs::read_to_string(&secrets) {
        return Ok(text.lines().map(str::to_owned).collect());
    }
    let (mut entries, mut keys) = (String::new(), Vec::new());
    for participant in PARTICIPANTS {
        let roles: &[&str] =
            if participant == "demo-audit" { &["auditor"] } else { &["payer-app", "merchant", "operator"] };
        let roles: Vec<String> = roles.iter().map(|&role| role.to_owned()).collect();
        let (key, entry) = gateway::participant::new_key(participant, &roles)?;
        entries.push_str(&entry);
        keys.push(key);
    }
    fs::write(folder.join("api-keys.toml"), entries)?;
    fs::write(secrets, keys.join("\n"))?;
    Ok(keys)
}
