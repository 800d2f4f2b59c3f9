//! The load: callers who pay, capture, cancel, refund, repeat, hang up and read, and followers who read every open end until it is certain.

mod call;
mod caller;
mod follow;
mod known;
mod life;
mod operations;
mod operators;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use common::rpc_client::Route;
use harness::{BenchError, client::Client};
use rand::{SeedableRng, rngs::StdRng};
use tokio::task::JoinHandle;

use crate::journal::Journal;
use call::Call;
use caller::Caller;
pub use follow::OpenEnds;
use known::KnownPayments;
pub use operations::SCRIPTED_ENDING;

/// Callers at once.
pub const CALLERS: u32 = 12;
/// Requests that are remembered, to be repeated.
const REMEMBERED: usize = 400;

/// How long a probe may take.
const PROBE_WITHIN: Duration = Duration::from_secs(2);

/// Who pays, who is paid, and what all callers share.
#[derive(Debug)]
pub struct World {
    /// The journal.
    pub journal: Arc<Journal>,
    /// One client for each caller, and one more for the followers.
    clients: Vec<Client>,
    watcher: Client,
    payers: Vec<Payer>,
    recent: Mutex<VecDeque<Arc<Call>>>,
    /// Payments that callers have heard of.
    known: KnownPayments,
    /// Requests of which it is not known yet what came of them.
    pub open_ends: OpenEnds,
    probes: AtomicU64,
}

/// An account of the callers.
#[derive(Clone, Debug)]
pub struct Payer {
    /// Its id.
    pub account: String,
    /// Its currency.
    pub currency: &'static str,
    /// Whether there is never much on it, so that callers race for the rest.
    pub is_poor: bool,
}

/// The callers' accounts: currency, and whether it is poor.
const PAYERS: [(&str, bool); 6] =
    [("EUR", false), ("EUR", false), ("USD", false), ("JPY", false), ("EUR", true), ("EUR", true)];
/// What is on an account at first.
const RICH: i64 = 1_000_000_000_000;
const POOR: i64 = 20_000;

impl World {
    /// Opens the callers' accounts over the gateway, and puts money on them, which takes the keys of two operators.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(
        journal: Arc<Journal>,
        gateway: &Route,
        [key, approver]: [&str; 2],
    ) -> Result<Self, BenchError> {
        let client = |_| Client::new(gateway, key)?.approved_by(approver);
        let clients = (0..=CALLERS).map(client).collect::<Result<Vec<_>, _>>()?;
        let mut world = Self {
            journal,
            clients,
            watcher: client(CALLERS)?,
            payers: Vec::new(),
            recent: Mutex::default(),
            known: KnownPayments::default(),
            open_ends: OpenEnds::default(),
            probes: AtomicU64::new(0),
        };
        let client = world.clients.first().ok_or("no client")?.clone();
        for (number, (currency, is_poor)) in PAYERS.into_iter().enumerate() {
            let account =
                client.open_account(&format!("account-{number}"), "Ada Buyer", currency, "").await?.id;
            let payer = Payer { account, currency, is_poor };
            let amount = if is_poor { POOR } else { RICH };
            let deposit = operations::deposit(&format!("deposit-{number}"), &payer, amount);
            caller::ask(&world, &client, &deposit, caller::Manner::Plainly).await?;
            world.payers.push(payer);
        }
        Ok(world)
    }

    /// The client of the one who watches.
    pub fn watcher(&self) -> Client {
        self.watcher.clone()
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Arc<Call>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a payment of its own, to see whether that works now. The callers may all be waiting for what went wrong before.
    ///
    /// # Errors
    /// When the journal can't be written.
    pub async fn probe(&self) -> Result<bool, BenchError> {
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        let (Some(client), Some(payer)) = (self.clients.last(), self.payers.first()) else {
            return Ok(false);
        };
        let call = operations::probe(&format!("probe-{number}"), payer);
        caller::ask(self, client, &call, caller::Manner::Within(PROBE_WITHIN)).await
    }

    /// Remembers a request, so that any caller may repeat it or read what came of it.
    fn remember(&self, call: Call) {
        let mut recent = self.recent();
        recent.push_back(Arc::new(call));
        if recent.len() > REMEMBERED {
            recent.pop_front();
        }
    }
}

/// Callers at work.
#[derive(Debug)]
pub struct Load {
    enough: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Result<(), BenchError>>>,
}

impl Load {
    /// Sets the callers to work. What they do is drawn from `seed`; `cycle` begins their request ids.
    pub fn begin(world: &Arc<World>, seed: u64, cycle: u64) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let callers = world.clients.iter().zip(0..CALLERS).map(|(client, number)| {
            let random =
                StdRng::seed_from_u64(seed ^ cycle.wrapping_mul(0x9E37_79B9) ^ u64::from(number) << 48);
            let prefix = format!("c{cycle}-{number}");
            let caller = Caller::new(Arc::clone(world), client.clone(), random, prefix);
            tokio::spawn(caller.work(Arc::clone(&enough)))
        });
        Self { callers: callers.collect(), enough }
    }

    /// Ends the work, after the calls under way.
    ///
    /// # Errors
    /// When a caller could not go on.
    pub async fn end(self) -> Result<(), BenchError> {
        self.enough.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await??;
        }
        Ok(())
    }
}

/// Follows open ends until the returned handle is aborted.
pub fn follow(world: &Arc<World>) -> JoinHandle<Result<(), BenchError>> {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let client = world.clients.last().ok_or("no client")?.clone();
        tokio::try_join!(
            follow::follow(&world, &client),
            follow::follow(&world, &client),
            follow::follow(&world, &client),
            follow::follow(&world, &client)
        )?;
        Ok(())
    })
}

/// Has two operators end, over the gateway, what no machine can know, until the returned handle is aborted.
/// The banks' books are in the run's folder.
///
/// # Errors
/// When an address or key is none.
pub fn resolve(
    world: &Arc<World>,
    gateway: &Route,
    keys: [&str; 2],
    folder: PathBuf,
) -> Result<JoinHandle<Result<(), BenchError>>, BenchError> {
    let [proposes, approves] = keys.map(|key| Client::new(gateway, key));
    let (operators, world) = ([proposes?, approves?], Arc::clone(world));
    Ok(tokio::spawn(async move { operators::resolve(&world, &operators, &folder).await }))
}

/// How long an open end rests between two reads.
const BETWEEN_READS: Duration = Duration::from_millis(60);
