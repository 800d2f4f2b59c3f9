//! The system with several of each service, those who pay over it, and the books at the end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use harness::{
    BenchError,
    load::{Gateways, Load, Measured, Plan},
    postgres::own_folder,
    system::{BankTimes, Replica, Service, Setup, System},
};
use platform::trial_balance::TrialBalance;
use sqlx::{Connection, PgConnection};

use crate::report::Felt;

/// As many of each as there ever are.
pub const PLACES: usize = 3;
/// The services that there are several of.
pub const KINDS: [Service; 3] = [Service::Channel, Service::Platform, Service::Gateway];
/// Banks take a few milliseconds, and are asked soon what became of a payment whose channel died.
const TIMES: BankTimes =
    BankTimes { answer_timeout_ms: 2_000, enquire_after_ms: 2_200, valid_for_ms: 20_000 };
/// How long payments that are under way may take to come to their end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to end that is told to.
const DRAINS_WITHIN: Duration = Duration::from_secs(40);
/// How long callers wait: what a process left that died is taken over when its lease is over, 6 s after it began.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long something may take during which payments are made.
const LONGEST: Duration = Duration::from_secs(600);
/// Payments a second while nothing is measured: connections are made, and caches filled.
const WARM_UP: Duration = Duration::from_secs(3);

/// The system, and those who pay.
pub struct Stage {
    /// The system.
    pub system: System,
    /// Where calls go.
    pub gateways: Arc<Gateways>,
    load: Load,
    per_s: f64,
    due: u64,
    failed: u64,
}

impl Stage {
    /// Starts `count` of each service; payments are made so many times a second. `change` has the last word on how.
    ///
    /// # Errors
    /// When a part does not come up.
    pub async fn set(count: usize, per_s: f64, change: impl FnOnce(&mut Setup)) -> Result<Self, BenchError> {
        let mut setup = Setup::new(own_folder("cluster")?).over_http2();
        (setup.places, setup.times) = (PLACES, TIMES);
        change(&mut setup);
        let mut system = System::start(setup).await?;
        for number in 1..count {
            for service in KINDS {
                system.launch(Replica { service, number })?;
            }
        }
        let gateway = |number| system.route(Replica { service: Service::Gateway, number });
        let routes = (0..PLACES).map(gateway).collect::<Result<Vec<_>, _>>()?;
        let plan = Plan { payers: 64, payees: 200, deadline: PATIENCE, ..Plan::default() };
        let [key, second] = system.operators(0);
        let gateways = Arc::new(Gateways::new(&routes, key, plan.connections)?);
        let load = Load::open_over(&gateways, &routes[0], [key, second], plan).await?;
        (0..count).for_each(|number| gateways.list(number, true));
        let mut stage = Self { system, gateways, load, per_s, due: 0, failed: 0 };
        stage.count(&stage.load.clone().open_loop(per_s, WARM_UP).await);
        Ok(stage)
    }

    fn count(&mut self, measured: &Measured) {
        self.due += measured.due;
        self.failed += failed(measured);
    }

    /// What callers feel for so long, while this happens.
    ///
    /// # Errors
    /// When it can't happen.
    pub async fn felt(
        &mut self,
        event: impl Into<String>,
        lasts: Duration,
        happens: impl AsyncFnOnce(&mut System, &Gateways) -> Result<(), BenchError>,
    ) -> Result<Felt, BenchError> {
        let retried = self.gateways.retried();
        let load = self.load.clone();
        let (measured, happened) =
            tokio::join!(load.open_loop(self.per_s, lasts), happens(&mut self.system, &self.gateways));
        happened?;
        self.count(&measured);
        Ok(Felt {
            event: event.into(),
            due: measured.due,
            others: measured.others(),
            failed: failed(&measured),
            retried: self.gateways.retried() - retried,
            p50_ms: measured.latency_ms(50.0),
            p99_ms: measured.latency_ms(99.0),
            p99_ratio: None,
            unevenness_percent: None,
        })
    }

    /// What callers feel while this happens, however long it takes.
    ///
    /// # Errors
    /// When it can't happen.
    pub async fn felt_while(
        &mut self,
        event: &str,
        happens: impl AsyncFnOnce(&mut System, &Gateways) -> Result<(), BenchError>,
    ) -> Result<Felt, BenchError> {
        let load = self.load.until_stopped();
        let all = self.load.clone();
        self.load = load.clone();
        let felt = self
            .felt(event, LONGEST, async |system, gateways| {
                let happened = happens(system, gateways).await;
                load.stop();
                happened
            })
            .await;
        self.load = all;
        felt
    }

    /// How much work the first `count` processes of a service have done since they were started.
    ///
    /// # Errors
    /// When one does not tell.
    pub async fn work(&self, service: Service, count: usize) -> Result<BTreeMap<usize, f64>, BenchError> {
        let mut work = BTreeMap::new();
        for number in 0..count {
            let seen = self.system.metrics(Replica { service, number }).await?;
            let done = match service {
                Service::Gateway => {
                    let method = "rialto.payments.v1.PaymentService/CreatePayment";
                    seen.sum("rpc_server_call_duration_seconds_count", &[("rpc_method", method)])
                }
                Service::Platform => {
                    let command = ("rialto_command_name", "CreatePayment");
                    seen.sum("rialto_command_duration_seconds_count", &[command])
                }
                Service::Channel | Service::Bank => seen.sum("rialto_bank_instructions_total", &[]),
            };
            work.insert(number, done);
        }
        Ok(work)
    }

    /// Waits until nothing is under way, and says how many payments there were, and what is wrong.
    ///
    /// # Errors
    /// When something stays open, or can't be read.
    pub async fn close(self) -> Result<(u64, Vec<String>), BenchError> {
        self.close_with(0).await
    }

    /// The same, where somebody else has made so many payments, each of which has ended as it should.
    ///
    /// # Errors
    /// As [`Stage::close`].
    pub async fn close_with(self, others: u64) -> Result<(u64, Vec<String>), BenchError> {
        let database = self.system.database();
        harness::work::none_left(&database, ENDS_WITHIN).await?;
        let mut wrong = self.system.compare_with_banks().await?;
        let balance = TrialBalance::take(&database).await?;
        if !balance.is_ok() {
            wrong.push(balance.to_string());
        }
        // A call that failed twice may have made a payment, or none.
        let mut connection = PgConnection::connect_with(&database).await?;
        let sql = "SELECT count(*), count(*) FILTER (WHERE state = 'SUCCEEDED') FROM all_payments";
        let (made, succeeded): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await?;
        connection.close().await?;
        let (made, succeeded) = (u64::try_from(made)?.saturating_sub(others), u64::try_from(succeeded)?);
        if made > self.due || made + self.failed < self.due {
            wrong.push(format!(
                "{} calls, {} of them failed twice, made {made} payments",
                self.due, self.failed
            ));
        }
        if succeeded < made {
            wrong.push(format!("of {made} payments {succeeded} succeeded"));
        }
        Ok((made, wrong))
    }
}

/// Calls that came to nothing twice.
fn failed(measured: &Measured) -> u64 {
    measured.errors.values().sum()
}

/// Tells a process to end, and waits until it has.
///
/// # Errors
/// When it does not in time.
pub async fn end(system: &mut System, gateways: &Gateways, replica: Replica) -> Result<(), BenchError> {
    // As an endpoint that is no longer ready is taken from the list.
    if replica.service == Service::Gateway {
        gateways.list(replica.number, false);
    }
    system.process(replica).signal("TERM")?;
    let end = std::time::Instant::now() + DRAINS_WITHIN;
    while system.process(replica).ended().is_none() {
        if std::time::Instant::now() > end {
            return Err(format!("{replica} does not end").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Starts a process, and has calls go there if it is a gateway.
///
/// # Errors
/// When it does not come up.
pub async fn begin(system: &mut System, gateways: &Gateways, replica: Replica) -> Result<(), BenchError> {
    system.launch(replica)?;
    if replica.service == Service::Gateway {
        gateways.list(replica.number, true);
    }
    Ok(())
}
