//! The system that is strained, and what is asked of its parts.

use std::time::Duration;

use harness::{
    BenchError,
    load::{Load, Plan},
    postgres::own_folder,
    system::{BANKS, BankTimes, Service, Setup, System},
};
use platform::trial_balance::TrialBalance;
use serde_json::Value;

/// A bank is waited for as long as a buyer would.
const TIMES: BankTimes =
    BankTimes { answer_timeout_ms: 2_000, enquire_after_ms: 2_500, valid_for_ms: 20_000 };
/// How long open payments may take to come to their end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// The system, and those who pay over it.
pub struct Stage {
    /// The system.
    pub system: System,
    /// Those who pay.
    pub load: Load,
}

/// Payments of a few to a few at every bank.
pub fn plan() -> Plan {
    Plan { payers: 32, payees: 200, ..Plan::default() }
}

impl Stage {
    /// Starts everything, for payments of this plan; `change` has the last word on how.
    ///
    /// # Errors
    /// When a part does not come up.
    pub async fn set(purpose: &str, plan: Plan, change: impl FnOnce(&mut Setup)) -> Result<Self, BenchError> {
        let mut setup = Setup::new(own_folder(purpose)?).over_http2();
        setup.times = TIMES;
        change(&mut setup);
        let system = System::start(setup).await?;
        let load = Load::open(&system.gateway()?, system.operators(0), plan).await?;
        Ok(Self { system, load })
    }

    /// Gives a bank a script, see `bank --help`; none lets it do its plain duty.
    ///
    /// # Errors
    /// When the bank does not take it.
    pub async fn script(&self, bank: &str, rules: &Value) -> Result<(), BenchError> {
        let url = format!("http://{}/{bank}/script", self.system.address(Service::Bank));
        reqwest::Client::new().put(url).json(rules).send().await?.error_for_status()?;
        Ok(())
    }

    /// One of a bank's counters, by its path.
    ///
    /// # Errors
    /// When the bank does not tell.
    pub async fn counter(&self, bank: &str, path: &str) -> Result<u64, BenchError> {
        let url = format!("http://{}/{bank}/counters", self.system.address(Service::Bank));
        let counters: Value = reqwest::get(url).await?.json().await?;
        counters
            .pointer(path)
            .and_then(Value::as_u64)
            .ok_or_else(|| format!("{bank} has no counter {path}").into())
    }

    /// The memory that a service has in use, in MiB.
    ///
    /// # Errors
    /// When the service is gone.
    pub fn memory_mib(&mut self, service: Service) -> Result<u64, BenchError> {
        let pid = self.system.process(service).pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Ok(kib.ok_or("the kernel does not tell the memory in use")? / 1024)
    }

    /// Waits until nothing is under way, and checks the ledger and the banks' books.
    ///
    /// # Errors
    /// When something stays open, or does not add up.
    pub async fn close(self) -> Result<(), BenchError> {
        for bank in BANKS {
            self.script(bank.id, &Value::Array(Vec::new())).await?;
        }
        harness::work::none_comes(&self.system.database(), ENDS_WITHIN).await?;
        harness::work::none_left(&self.system.database(), ENDS_WITHIN).await?;
        let balance = TrialBalance::take(&self.system.database()).await?;
        let differences = self.system.compare_with_banks().await?;
        if !balance.is_ok() || !differences.is_empty() {
            return Err(format!("the books do not add up:\n{balance}\n{}", differences.join("\n")).into());
        }
        Ok(())
    }
}
