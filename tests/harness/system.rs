//! The whole system as real processes on free ports: PostgreSQL, simulated banks, channel, platform, gateway.

mod banks;
mod cells;
mod failover;
mod health;
mod keys;
mod launch;
mod replicas;
mod setup;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use common::rpc_client::Route;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use uuid::Uuid;

use crate::{
    BenchError, binaries, certificates::Certificates, data_keys, detour::Link, postgres::Postgres,
    process::Process, scrape::Scrape,
};
use banks::own_address_file;

pub use keys::{API_KEY_SECRET, new_key};

pub use replicas::{Programs, Replica, free_addresses};

pub use setup::Setup;

pub use banks::{BANKS, BankSetup, BankTimes, QUICK, banks_file, directory_file};

/// The database of the system.
const DATABASE: &str = "rialto";

/// What the standby calls itself, and its folder.
const STANDBY: &str = "standby";

/// The gateway's file of API keys.
const KEY_FILE: &str = "api-keys.toml";

/// The file of the address where the channel takes notices.
const NOTICE_ADDRESS: &str = "notices.address";

/// One of the system's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    running: BTreeMap<Replica, Process>,
    /// Where each listens or is going to.
    addresses: BTreeMap<Replica, String>,
    /// Where the gateways find the platforms of further cells: the URLs for each.
    cells: Vec<String>,
    postgres: Postgres,
    /// The synchronous standby; after a failover, who was the primary.
    standby: Option<Postgres>,
    keys: Vec<String>,
    certificates: Certificates,
    audit_key: PathBuf,
    data_key: PathBuf,
    audit_public_key: String,
}

/// The participants of the bench, each with an API key for every role but the last, which may only read.
pub const PARTICIPANTS: [&str; 3] = ["demo-shop", "other-shop", "demo-audit"];

/// The participant whose operators administer the others.
pub const HOUSE: &str = "house";

/// A participant with an operator's key in the file and nothing else, which may be done away with.
pub const SPARE: &str = "spare-shop";

impl System {
    /// Builds and starts everything, and waits until the gateway serves.
    ///
    /// # Errors
    /// When a part can't be had or does not come up; says which, and what its log ends with.
    pub async fn start(setup: Setup) -> Result<Self, BenchError> {
        binaries::build(&setup.features)?;
        fs::create_dir_all(setup.folder.join("books"))?;
        let settings: Vec<&str> = setup.database_settings.iter().map(String::as_str).collect();
        let postgres = Postgres::start(&setup.folder.join("postgres"), &settings).await?;
        if !setup.folder.join("database-made").is_file() {
            postgres.create_database(DATABASE, None).await?;
            fs::write(setup.folder.join("database-made"), "")?;
        }
        let standby = match setup.is_replicated {
            true => {
                let standby = postgres.standby(&setup.folder.join(STANDBY), STANDBY).await?;
                postgres.wait_for_standby(STANDBY).await?;
                Some(standby)
            }
            false => None,
        };
        let keys = keys::made(&setup.folder)?;
        let certificates = setup.certificates()?;
        let (audit_key, audit_public_key) = keys::audit_key(&setup.folder)?;
        let data_key = data_keys::file(&setup.folder)?;
        for bank in &setup.banks {
            // Addresses of an earlier run may be somebody else's by now.
            let _ = fs::remove_file(own_address_file(&setup.folder, bank));
        }
        fs::write(setup.folder.join("script.toml"), &setup.script)?;
        let addresses = replicas::addresses(&setup)?;
        let running = BTreeMap::new();
        let mut system = Self {
            setup,
            running,
            addresses,
            cells: Vec::new(),
            postgres,
            standby,
            keys,
            certificates,
            audit_key,
            data_key,
            audit_public_key,
        };
        for service in Service::ALL {
            system.launch(service)?;
        }
        system.wait_for_health().await?;
        Ok(system)
    }

    fn address_file(&self, replica: Replica) -> PathBuf {
        self.setup.folder.join(format!("{replica}.address"))
    }

    fn admin_address_file(&self, replica: Replica) -> PathBuf {
        self.setup.folder.join(format!("{replica}.admin-address"))
    }

    /// Where a service's admin server is (`host:port`).
    ///
    /// # Errors
    /// When it has none.
    pub fn admin_address(&self, replica: impl Into<Replica>) -> Result<String, BenchError> {
        Ok(fs::read_to_string(self.admin_address_file(replica.into()))?.trim().to_owned())
    }

    /// What a service's admin server answers to `GET` of this path: the status, and the text.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn admin(&self, replica: impl Into<Replica>, path: &str) -> Result<(u16, String), BenchError> {
        let address = self.admin_address(replica)?;
        let answer = reqwest::get(format!("http://{address}{path}")).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// What a service says of itself now.
    ///
    /// # Errors
    /// When it says nothing, or what is no metrics.
    pub async fn metrics(&self, replica: impl Into<Replica>) -> Result<Scrape, BenchError> {
        let replica = replica.into();
        match self.admin(replica, "/metrics").await? {
            (200, text) => Scrape::read(&text),
            (status, text) => Err(format!("{replica}: {status}: {text}").into()),
        }
    }

    /// Where the caller on `link` calls, to reach `address`.
    fn way(&self, link: Link, address: &str) -> Result<String, BenchError> {
        match &self.setup.detours {
            Some(detours) => detours.detour(link, address),
            None => Ok(address.to_owned()),
        }
    }

    /// Where a service listens. The banks answer there to whoever tests them; the channel reaches each of them at an
    /// address of its own, which the bank can leave.
    pub fn address(&self, replica: impl Into<Replica>) -> &str {
        self.addresses.get(&replica.into()).map(String::as_str).unwrap_or_default()
    }

    /// Where the channel takes what this bank says unasked.
    ///
    /// # Errors
    /// When it takes nothing.
    pub fn notice_url(&self, bank: &str) -> Result<String, BenchError> {
        let address = fs::read_to_string(self.setup.folder.join(NOTICE_ADDRESS))?;
        Ok(format!("https://{}/banks/{bank}/pacs.002", address.trim()))
    }

    /// How callers reach the gateway.
    ///
    /// # Errors
    /// When its CA can't be read.
    pub fn gateway(&self) -> Result<Route, BenchError> {
        self.route(Service::Gateway)
    }

    /// How the bench reaches a service: the gateway as callers do, others by its own certificate, the banks without any.
    ///
    /// # Errors
    /// When a certificate can't be read.
    pub fn route(&self, replica: impl Into<Replica>) -> Result<Route, BenchError> {
        let replica = replica.into();
        let address = self.address(replica);
        match replica.service {
            Service::Gateway if self.setup.is_plaintext => Ok(Route::to(address, None)?),
            Service::Gateway => self.certificates.to_gateway(address),
            Service::Platform | Service::Channel => self.certificates.to_service("bench", address),
            Service::Bank => Ok(Route::to(address, None)?),
        }
    }

    /// A connection to a service over TLS, on which nothing was said.
    ///
    /// # Errors
    /// When no hands are shaken.
    pub async fn connect(&self, service: Service) -> Result<TlsStream<TcpStream>, BenchError> {
        let identity = match service {
            Service::Gateway => None,
            _ => Some("bench"),
        };
        self.certificates.connect(identity, self.address(service)).await
    }

    /// The public key that checkpoints and receipts are verified with.
    pub fn audit_public_key(&self) -> &str {
        &self.audit_public_key
    }

    /// The file of the platform's key-encryption keys.
    pub fn data_key(&self) -> &Path {
        &self.data_key
    }

    /// The certificates.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
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
        self.compare_with_banks_from(Uuid::nil()).await
    }

    /// The same of the payments from this id on, where older ones were not paid by the banks that there are.
    ///
    /// # Errors
    /// When either can't be read.
    pub async fn compare_with_banks_from(&self, first: Uuid) -> Result<Vec<String>, BenchError> {
        let banks = self.setup.banks.iter().map(|bank| bank.id);
        crate::books::compare(&self.database(), self.address(Service::Bank), banks, first).await
    }
}
