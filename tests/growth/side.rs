//! One side of a comparison: a whole system whose ledger has a past.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use common::id::PaymentId;
use harness::{
    BenchError,
    client::order,
    load::Load,
    postgres::own_folder,
    sample::Sample,
    system::{BankTimes, Service, Setup, System},
    usage::Account,
};
use indicatif::ProgressBar;
use platform::trial_balance::TrialBalance;
use proto::payments::PaymentState;
use sqlx::{PgPool, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::{
    banks::banks,
    history,
    orders::{AMOUNT, CURRENCY, Orders, payee_at},
    size::Size,
};

/// As a server with memory of its own would be set; everything that makes a commit durable is at its default, on.
const DATABASE_SETTINGS: [&str; 2] = ["shared_buffers=1GB", "max_wal_size=4GB"];
/// No bank is slow here, and nobody asks it twice on a machine that is busy.
const TIMES: BankTimes =
    BankTimes { answer_timeout_ms: 10_000, enquire_after_ms: 11_000, valid_for_ms: 60_000 };
/// More than anybody has in flight: no bank's places are to be what is measured.
const PLACES_AT_A_BANK: u32 = 20_000;
/// What an account begins with, in minor units: enough for every payment of its past and of the bench.
const FUNDS: i64 = 1_000_000_000_000;
/// How long a load runs before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long open payments may take to come to their end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// The three services of Rialto.
pub const SERVICES: [Service; 3] = [Service::Gateway, Service::Platform, Service::Channel];

/// A system and those who pay over it.
pub struct Side {
    system: System,
    /// Its ledger.
    pub ledger: PgPool,
    load: Load,
    /// The first payment that its banks know of; older ones are its past.
    first_paid: Uuid,
    /// How long it took to store its past.
    pub storing_took: Duration,
    /// How large its database was then, in bytes.
    pub database_bytes: i64,
    /// Behind the system, which is to have ended when they go.
    _tables: Tables,
}

/// The files of a database: millions of payments are gigabytes, which go however the measurement ends.
struct Tables(PathBuf);

impl Drop for Tables {
    fn drop(&mut self) {
        // What is still there goes when the next one looks for a folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Side {
    /// Starts everything, and stores a past of this size.
    ///
    /// # Errors
    /// When a part does not come up, or the past cannot be stored.
    pub async fn set(size: Size, connections: usize, bar: &ProgressBar) -> Result<Self, BenchError> {
        bar.reset();
        bar.set_message(format!("starting the system of {size}"));
        let banks = banks(size.banks);
        let folder = own_folder("growth")?;
        let tables = Tables(folder.join("postgres/data"));
        let setup = Setup {
            banks: banks.clone(),
            times: TIMES,
            max_in_flight: PLACES_AT_A_BANK,
            database_settings: DATABASE_SETTINGS.map(str::to_owned).to_vec(),
            // The past that is stored, all of the last day, would be taken for something new to seal.
            flags: vec![(Service::Platform, "--seal-after=1day".to_owned())],
            ..Setup::new(folder)
        };
        let system = System::start(setup.over_http2()).await?;
        let (gateway, key) = (system.gateway()?, system.credential(0));
        let client = system.client(0)?;
        let account = client.open_account("account", "Ada Buyer", CURRENCY, "").await?.id;
        client.deposit("deposit", &account, FUNDS, CURRENCY, banks[0].id).await?;
        let mut paid = Vec::new();
        for bank in &banks {
            let order = order(&format!("{}-1", bank.id), &account, payee_at(bank, 1), AMOUNT, CURRENCY);
            let payment = client.pay(order, Some(TIMES_OUT)).await?.payment;
            if payment.state() != PaymentState::Succeeded {
                return Err(format!("{} does not take a payment", bank.id).into());
            }
            paid.push(PaymentId::parse(&payment.id).ok_or("a payment without an id")?.uuid());
        }
        let began = Instant::now();
        history::store(&system.database(), system.data_key(), size, bar).await?;
        let storing_took = began.elapsed();
        let ledger = PgPool::connect_with(system.database()).await?;
        let database_bytes =
            sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_one(&ledger).await?;
        let payers =
            sqlx::query_scalar("SELECT id FROM accounts WHERE bank_id IS NULL").fetch_all(&ledger).await?;
        let load = Load::of(Orders::new((&gateway, key), connections, payers, &banks)?);
        let first_paid = paid.into_iter().min().unwrap_or_default();
        Ok(Self { system, ledger, load, first_paid, storing_took, database_bytes, _tables: tables })
    }

    /// Measures so many payments in flight.
    ///
    /// # Errors
    /// When nothing succeeds, or a process is gone.
    pub async fn measure(&mut self, in_flight: usize, lasts: Duration) -> Result<Sample, BenchError> {
        self.load.closed(in_flight, WARM_UP).await;
        let accounts = self.accounts();
        Sample::of(self.load.closed(in_flight, lasts), &accounts, &self.ledger).await
    }

    /// The processes at work: who makes the load first, then the services, then PostgreSQL.
    fn accounts(&mut self) -> Vec<Account> {
        let mut accounts = vec![Account { name: "load", pid: std::process::id(), with_children: false }];
        accounts.extend([Service::Gateway, Service::Platform, Service::Channel, Service::Bank].map(
            |service| Account {
                name: service.name(),
                pid: self.system.process(service).pid(),
                with_children: false,
            },
        ));
        let pid = self.system.postgres().process().pid();
        accounts.push(Account { name: "postgres", pid, with_children: true });
        accounts
    }

    /// The most memory that each of the three services ever had in use, in KiB.
    ///
    /// # Errors
    /// When one is gone.
    pub fn peak_memory_kib(&mut self) -> Result<[u64; 3], BenchError> {
        let mut peaks = [0; 3];
        for (peak, service) in peaks.iter_mut().zip(SERVICES) {
            let pid = self.system.process(service).pid();
            *peak = Account { name: service.name(), pid, with_children: false }.peak_memory_kib()?;
        }
        Ok(peaks)
    }

    /// Waits until nothing is under way; checks the whole ledger, its past included, and what was paid since against the banks'
    /// own books. Then the system is gone.
    ///
    /// # Errors
    /// When something stays open, or does not add up.
    pub async fn close(self) -> Result<(), BenchError> {
        harness::work::none_left(&self.system.database(), ENDS_WITHIN).await?;
        let balance = TrialBalance::take(&with_memory(self.system.database())).await?;
        let differences = self.system.compare_with_banks_from(self.first_paid).await?;
        if !balance.is_ok() || !differences.is_empty() {
            return Err(format!("the books do not add up:\n{balance}\n{}", differences.join("\n")).into());
        }
        Ok(())
    }
}

/// How long a payment that is copied may take.
const TIMES_OUT: Duration = Duration::from_secs(10);

/// The sums of millions of payments go faster in memory.
fn with_memory(database: PgConnectOptions) -> PgConnectOptions {
    database.options([("work_mem", "512MB")])
}
