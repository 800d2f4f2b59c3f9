//! Everyone who is measured, running side by side on one PostgreSQL.

use std::time::Duration;

use common::rpc_client::Route;
use harness::{
    BenchError,
    load::{Load, Plan, Spread},
    postgres::own_folder,
    system::{BankTimes, Service, Setup, System},
    usage::Account,
};
use indicatif::ProgressBar;
use platform::trial_balance::TrialBalance;
use sqlx::PgPool;

use crate::{
    contender::Contender,
    echo::{self, Chain},
    naive::Naive,
    tpcb::TpcB,
};

/// As a server with memory of its own would be set; everything that makes a commit durable is at its default, on.
pub const DATABASE_SETTINGS: [&str; 2] = ["shared_buffers=1GB", "max_wal_size=4GB"];
/// No bank is slow here, and nobody asks it twice on a machine that is busy.
pub const TIMES: BankTimes =
    BankTimes { answer_timeout_ms: 10_000, enquire_after_ms: 11_000, valid_for_ms: 60_000 };

/// How long open payments may take to come to their end.
pub const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// The stage.
#[derive(Debug)]
pub struct Stage {
    /// Rialto.
    pub system: System,
    /// The ledger of Rialto.
    pub ledger: PgPool,
    rialto: Load,
    hot_merchant: Load,
    chain: Chain,
    echo: Load,
    lean_chain: Chain,
    lean_echo: Load,
    naive: Naive,
    naive_load: Load,
    /// None where there is no pgbench.
    pub tpcb: Option<TpcB>,
}

impl Stage {
    /// Starts everyone, TPC-B with tables of that scale and the others with so many accounts that pay at each bank. `bar` tells
    /// what is being done.
    ///
    /// # Errors
    /// When somebody does not come up.
    pub async fn set(scale: u32, payers: usize, bar: &ProgressBar) -> Result<Self, BenchError> {
        let folder = own_folder("compare")?;
        let setup_in = |name: &str| Setup {
            times: TIMES,
            database_settings: DATABASE_SETTINGS.map(str::to_owned).to_vec(),
            ..Setup::new(folder.join(name)).over_http2()
        };
        bar.set_message("starting Rialto");
        let mut system = System::start(setup_in("rialto")).await?;
        let api_keys = system.folder().join("api-keys.toml");
        bar.set_message("filling the tables of TPC-B");
        let tpcb = TpcB::prepare(system.postgres(), scale).await?;
        bar.set_message("starting the naive design");
        let naive = Naive::start(&setup_in("naive"), system.postgres(), &api_keys).await?;
        bar.set_message("starting the echo chains");
        let chain = Chain::start(&folder.join("echo"), false)?;
        let lean_chain = Chain::start(&folder.join("lean-echo"), true)?;
        bar.set_message("opening accounts");
        let keys = system.operators(0);
        let gateway = system.gateway()?;
        let plan = |spread| Plan { spread, payers, prefix: "compare".to_owned(), ..Plan::default() };
        let stage = Self {
            ledger: PgPool::connect_with(system.database()).await?,
            rialto: Load::open(&gateway, keys, plan(Spread::Uniform)).await?,
            hot_merchant: Load::open(&gateway, keys, plan(Spread::One)).await?,
            echo: echo::load(&chain.address)?,
            lean_echo: echo::load(&lean_chain.address)?,
            naive_load: Load::open(&Route::to(&naive.address, None)?, keys, plan(Spread::Uniform)).await?,
            system,
            chain,
            lean_chain,
            naive,
            tpcb,
        };
        // Nobody's first measurement is to pay for writing out what filling the tables left behind.
        sqlx::raw_sql("CHECKPOINT").execute(&stage.ledger).await?;
        Ok(stage)
    }

    /// Who calls a contender; nobody of ours calls TPC-B.
    pub fn load(&self, contender: Contender) -> Option<&Load> {
        match contender {
            Contender::Rialto => Some(&self.rialto),
            Contender::HotMerchant => Some(&self.hot_merchant),
            Contender::EchoChain => Some(&self.echo),
            Contender::LeanEchoChain => Some(&self.lean_echo),
            Contender::Naive => Some(&self.naive_load),
            Contender::TpcB => None,
        }
    }

    /// The processes that do a contender's work, but for those that call it.
    pub fn accounts(&mut self, contender: Contender) -> Vec<Account> {
        let of = |(name, process): &(&'static str, harness::process::Process)| Account {
            name,
            pid: process.pid(),
            with_children: false,
        };
        let mut accounts = match contender {
            Contender::Rialto | Contender::HotMerchant => {
                let services = [Service::Gateway, Service::Platform, Service::Channel, Service::Bank];
                let account = |service: Service| Account {
                    name: service.name(),
                    pid: self.system.process(service).pid(),
                    with_children: false,
                };
                services.map(account).to_vec()
            }
            Contender::EchoChain => return self.chain.hops.iter().map(of).collect(),
            Contender::LeanEchoChain => return self.lean_chain.hops.iter().map(of).collect(),
            Contender::Naive => self.naive.parts.iter().map(of).collect(),
            Contender::TpcB => Vec::new(),
        };
        let pid = self.system.postgres().process().pid();
        accounts.push(Account { name: "postgres", pid, with_children: true });
        accounts
    }

    /// Checks Rialto's ledger and the naive one, and both against their banks' own books.
    ///
    /// # Errors
    /// When a payment stays open, or something does not add up.
    pub async fn close(self) -> Result<(), BenchError> {
        harness::work::none_left(&self.system.database(), ENDS_WITHIN).await?;
        let balance = TrialBalance::take(&self.system.database()).await?;
        let differences = self.system.compare_with_banks().await?;
        if !balance.is_ok() || !differences.is_empty() {
            return Err(format!("the books do not add up:\n{balance}\n{}", differences.join("\n")).into());
        }
        self.naive.check().await
    }
}
