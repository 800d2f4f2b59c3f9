//! The system under torment: the real programs with a proxy on every link, a keeper that starts again whatever dies, and a
//! stop-watch for how long that takes.

mod outages;
mod quiet;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::crash_point;
use harness::{
    BenchError,
    detour::{Detours, Link},
    system::{BankTimes, Service, Setup, System},
};
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;

use crate::{
    journal::Journal,
    load::{self, World},
    net::Net,
};
pub use outages::{Outages, Recovered};

/// Short, so that fences, leases and enquiries fall into a cycle.
pub const TIMES: BankTimes = BankTimes { answer_timeout_ms: 400, enquire_after_ms: 500, valid_for_ms: 3_000 };
/// Banks whose payments wait for them while they are down.
const QUEUEING: [&str; 1] = ["meridian"];
/// The bank that is reached over HTTP/2, so that what cuts the ways to the banks cuts both kinds of connection.
const OVER_HTTP2: &str = "aurora";
/// What the programs are built with.
pub const FEATURES: [&str; 2] = ["tests/chaos", "tests/planted"];
/// How often the keeper looks whether something has died.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A part that can die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A process of ours, or the banks'.
    Service(Service),
    /// PostgreSQL.
    Database,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 5] = [
        Self::Service(Service::Gateway),
        Self::Service(Service::Platform),
        Self::Database,
        Self::Service(Service::Channel),
        Self::Service(Service::Bank),
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service(service) => service.name(),
            Self::Database => "database",
        }
    }
}

/// How to start a bench.
#[derive(Clone, Debug, Default)]
pub struct BenchSetup {
    /// Where its files are.
    pub folder: PathBuf,
    /// The bug to plant, if any.
    pub planted: Option<String>,
    /// How long banks take payments, in milliseconds, if not as long as usual.
    pub valid_for_ms: Option<u32>,
    /// Further settings of PostgreSQL.
    pub database_settings: Vec<String>,
}

/// An address that nobody listens at now: the channel keeps it when it is started again.
fn free_address() -> Result<String, BenchError> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The system under torment; dropping it stops everything.
#[derive(Debug)]
pub struct Bench {
    /// The proxies.
    pub net: Arc<Net>,
    /// Who calls.
    pub world: Arc<World>,
    /// How long outages took.
    pub outages: Arc<Outages>,
    folder: PathBuf,
    system: Arc<Mutex<System>>,
    database_stays_down: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<(), BenchError>>>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Bench {
    /// Builds the programs, starts everything and opens the callers' accounts.
    ///
    /// # Errors
    /// When a part can't be had or does not come up.
    pub async fn start(setup: BenchSetup) -> Result<Self, BenchError> {
        let BenchSetup { folder, planted, valid_for_ms, database_settings } = setup;
        let net = Arc::new(Net::default());
        let mut setup = Setup::new(folder.clone());
        setup.times = BankTimes { valid_for_ms: valid_for_ms.unwrap_or(TIMES.valid_for_ms), ..TIMES };
        // Several writers, so that batches race for locks.
        let flags = ["--max-clock-skew=500ms", "--ledger-writers=3"];
        setup.flags = flags.map(|flag| (Service::Platform, flag.to_owned())).to_vec();
        if planted.is_none() {
            // So short that payments are refunded, repeated and spoken of by their banks while they leave and when they have left. What
            // bugs are planted into stays as they know it.
            setup.flags.push((Service::Platform, "--archive-after=2s".to_owned()));
            // Longer than anything stands still, and short enough that much is sealed while others do.
            setup.flags.push((Service::Platform, "--seal-after=20s".to_owned()));
        }
        setup.database_settings.extend(database_settings);
        setup.features = FEATURES.to_vec();
        setup.notice_listen = Some(free_address()?);
        setup.queueing = &QUEUEING;
        setup.bank_settings.push((OVER_HTTP2, "http = \"2\"".to_owned()));
        let detours: Arc<dyn Detours> = net.clone();
        setup.detours = Some(detours);
        fs::create_dir_all(orders_below(&folder))?;
        let orders = orders_below(&folder).to_string_lossy().into_owned();
        for service in Service::ALL {
            setup.variables.push((service, crash_point::ORDERS.to_owned(), orders.clone()));
            if let Some(bug) = &planted {
                setup.variables.push((service, common::planted::BUG.to_owned(), bug.clone()));
            }
        }
        let system = System::start(setup).await?;
        let gateway = net.detour(Link::ClientToGateway, system.address(Service::Gateway))?;
        let gateway = system.certificates().to_gateway(&gateway)?;
        let journal = Arc::new(Journal::begin(&folder)?);
        let world = Arc::new(World::open(journal, &gateway, system.operators(0)).await?);
        let operators = system.operators(0).map(str::to_owned);
        let system = Arc::new(Mutex::new(system));
        let outages = Arc::new(Outages::default());
        let database_stays_down = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            system: Arc::clone(&system),
            outages: Arc::clone(&outages),
            world: Arc::clone(&world),
            database_stays_down: Arc::clone(&database_stays_down),
        };
        let resolving =
            load::resolve(&world, &gateway, operators.each_ref().map(String::as_str), folder.clone())?;
        let tasks = vec![tokio::spawn(keeper.keep()), load::follow(&world), resolving];
        Ok(Self { net, world, outages, folder, system, database_stays_down, tasks })
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn system(&self) -> MutexGuard<'_, System> {
        self.system.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of the platform's key-encryption keys.
    pub fn data_key(&self) -> PathBuf {
        self.system().data_key().to_owned()
    }

    /// How to connect to the ledger's database, past every proxy.
    pub fn database(&self) -> PgConnectOptions {
        self.system().database()
    }

    /// The process ids of the services.
    pub fn pids(&self) -> Vec<(Service, u32)> {
        let mut system = self.system();
        Service::ALL.into_iter().map(|service| (service, system.process(service).pid())).collect()
    }

    /// Sends a signal, by its name without SIG.
    ///
    /// # Errors
    /// When the part is not running.
    pub fn signal(&self, part: Part, signal: &str) -> Result<(), BenchError> {
        // A service that is told to end goes on working; it is missed once it has ended, which the keeper sees.
        if signal == "KILL" || (part == Part::Database && matches!(signal, "INT" | "QUIT")) {
            self.outages.crashed(part, Instant::now());
        }
        let mut system = self.system();
        match part {
            Part::Service(service) => system.process(service).signal(signal),
            Part::Database => system.postgres().process().signal(signal),
        }
    }

    /// Whether PostgreSQL is to stay down once it has ended.
    pub fn keep_database_down(&self, down: bool) {
        self.database_stays_down.store(down, Ordering::Relaxed);
    }

    /// Whether PostgreSQL has ended.
    pub fn database_has_ended(&self) -> bool {
        self.system().postgres().process().ended().is_some()
    }

    /// Orders whoever passes a crash point to die or stand still there; see [`crash_point`].
    ///
    /// # Errors
    /// When the order can't be written.
    pub fn order(&self, point: &str, order: &str) -> Result<(), BenchError> {
        let file = orders_below(&self.folder).join(point);
        // The process must not read half an order.
        let unfinished = file.with_added_extension("unfinished");
        fs::write(&unfinished, order)?;
        fs::rename(unfinished, file)?;
        Ok(())
    }

    /// Takes an order back, and says whether it was obeyed before.
    pub fn withdraw(&self, point: &str) -> bool {
        let orders = orders_below(&self.folder);
        let _ = fs::remove_file(orders.join(point));
        fs::remove_file(orders.join(format!("{point}{}", crash_point::OBEYED))).is_ok()
    }

    /// The address of the banks, past every proxy.
    pub fn banks(&self) -> String {
        self.system().address(Service::Bank).to_owned()
    }
}

fn orders_below(folder: &Path) -> PathBuf {
    folder.join("crash-points")
}

/// Starts again whatever has died, as an orchestrator would.
struct Keeper {
    system: Arc<Mutex<System>>,
    outages: Arc<Outages>,
    world: Arc<World>,
    database_stays_down: Arc<AtomicBool>,
}

impl Keeper {
    async fn keep(self) -> Result<(), BenchError> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look()?;
        }
    }

    fn look(&self) -> Result<(), BenchError> {
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        for service in system.ended() {
            self.outages.crashed(Part::Service(service), Instant::now());
            system.begin_restart(service)?;
            let (route, world) = (system.route(service)?, Arc::clone(&self.world));
            tokio::spawn(outages::until_serving(Arc::clone(&self.outages), world, service, route));
        }
        let may_start = !self.database_stays_down.load(Ordering::Relaxed);
        if may_start && system.postgres().process().ended().is_some() {
            self.outages.crashed(Part::Database, Instant::now());
            system.postgres().begin_restart()?;
            let (database, world) = (system.database(), Arc::clone(&self.world));
            tokio::spawn(outages::until_good_payment(Arc::clone(&self.outages), database, world));
        }
        Ok(())
    }
}
