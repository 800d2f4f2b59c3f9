//! The generator of a load: so many payments at once, or so many a second whatever comes of them.
//!
//! It shares the machine with what it measures, so it is cheap: each connection's callers measure for themselves, and what
//! they measured is added up at the end.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "measures of time and counts, no money"
)]

mod accounts;
mod balanced;
mod caller;
mod calls;
mod clock;
mod measured;
mod plan;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::rpc_client::Route;
use rand::{SeedableRng, rngs::SmallRng};
use tokio::{sync::mpsc::unbounded_channel, task::JoinSet};

use crate::{BenchError, client::Client};
use accounts::Accounts;
use balanced::Balanced;
use caller::Caller;
use calls::{Payments, Several};

pub use balanced::Gateways;
pub use calls::{Call, Calls};
pub use measured::{Measured, SLOT, together};
pub use plan::{Plan, Spread};

/// Those who pay, or make other calls. Clones share their accounts and their end.
#[derive(Clone, Debug)]
pub struct Load(Arc<World>);

#[derive(Debug)]
struct World {
    calls: Arc<dyn Calls>,
    numbers: Arc<AtomicU64>,
    succeeded: AtomicU64,
    stopped: OnceLock<Instant>,
}

impl Load {
    /// Opens the plan's accounts over the gateway, and puts money on those that pay. The first key needs the roles
    /// payer-app, merchant and operator, the second is another operator's.
    ///
    /// # Errors
    /// When the plan cannot be done, or an account cannot be opened.
    pub async fn open(gateway: &Route, [key, second]: [&str; 2], plan: Plan) -> Result<Self, BenchError> {
        plan.check()?;
        let client = |_| Client::new(gateway, key)?.approved_by(second);
        let clients = (0..plan.connections).map(client).collect::<Result<Vec<_>, _>>()?;
        let accounts = Accounts::open(&clients[0], &plan).await?;
        Ok(Self::of(Payments { clients, accounts, deadline: plan.deadline, tag: tag(&plan) }))
    }

    /// The same over several gateways, through which an account is opened by the route to one of them. Callers try once more.
    ///
    /// # Errors
    /// As [`Load::open`].
    pub async fn open_over(
        gateways: &Arc<Gateways>,
        first: &Route,
        [key, second]: [&str; 2],
        plan: Plan,
    ) -> Result<Self, BenchError> {
        plan.check()?;
        let accounts = Accounts::open(&Client::new(first, key)?.approved_by(second)?, &plan).await?;
        Ok(Self::of(Balanced {
            gateways: Arc::clone(gateways),
            connections: plan.connections,
            accounts,
            deadline: plan.deadline,
            tag: tag(&plan),
        }))
    }

    /// What these make with one another, each over the same number of connections and as many of the calls.
    pub fn of_several(loads: &[Self]) -> Self {
        let calls = loads.iter().map(|load| Arc::clone(&load.0.calls)).collect();
        Self::of(Several(calls))
    }

    /// A load of other calls than payments.
    pub fn of(calls: impl Calls + 'static) -> Self {
        Self(Arc::new(World {
            calls: Arc::new(calls),
            numbers: Arc::default(),
            succeeded: AtomicU64::new(0),
            stopped: OnceLock::new(),
        }))
    }

    /// Keeps `in_flight` payments under way, and waits for every answer.
    pub async fn closed(&self, in_flight: usize, lasts: Duration) -> Measured {
        let run = Run::begin(Arc::clone(&self.0), lasts);
        let mut callers = JoinSet::new();
        let connections = self.0.calls.connections();
        for (number, caller) in run.callers().enumerate() {
            let share = in_flight / connections + usize::from(number < in_flight % connections);
            callers.spawn(caller.closed(share));
        }
        together(&run.sum(callers).await)
    }

    /// Makes `per_s` payments a second, and waits for every answer. Latency counts from when a call was due, so that those
    /// which a stalled system kept waiting are not left out.
    pub async fn open_loop(&self, per_s: f64, lasts: Duration) -> Measured {
        together(&self.open_loop_by_bank(per_s, lasts).await)
    }

    /// The same, each bank's payments measured apart, in the order of the plan's banks.
    pub async fn open_loop_by_bank(&self, per_s: f64, lasts: Duration) -> Vec<Measured> {
        let run = Run::begin(Arc::clone(&self.0), lasts);
        let mut callers = JoinSet::new();
        let mut ways = Vec::new();
        for caller in run.callers() {
            let (way, dues) = unbounded_channel();
            callers.spawn(caller.open_loop(dues));
            ways.push(way);
        }
        let clock = run.clone();
        tokio::task::spawn_blocking(move || {
            clock::tell(clock.begins, per_s, &ways, |moment| clock.is_over(moment));
        });
        run.sum(callers).await
    }

    /// The same load with an end of its own.
    #[must_use]
    pub fn until_stopped(&self) -> Self {
        Self(Arc::new(World {
            calls: Arc::clone(&self.0.calls),
            numbers: Arc::clone(&self.0.numbers),
            succeeded: AtomicU64::new(0),
            stopped: OnceLock::new(),
        }))
    }

    /// Ends whatever is being measured now or later: no call is made any more.
    pub fn stop(&self) {
        self.0.stopped.get_or_init(Instant::now);
    }

    /// Payments that have succeeded so far.
    pub fn succeeded(&self) -> u64 {
        self.0.succeeded.load(Ordering::Relaxed)
    }
}

/// What a load's own request ids begin with.
fn tag(plan: &Plan) -> String {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", plan.prefix, &unique[..12])
}

impl World {
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// One measurement.
#[derive(Clone, Debug)]
struct Run {
    world: Arc<World>,
    begins: Instant,
    lasts: Duration,
}

impl Run {
    fn begin(world: Arc<World>, lasts: Duration) -> Self {
        Self { world, begins: Instant::now(), lasts }
    }

    /// One for each connection. Each draws the same in each run, so that runs can be compared.
    fn callers(&self) -> impl Iterator<Item = Caller> {
        (0..self.world.calls.connections()).zip(0..).map(|(connection, seed)| Caller {
            run: self.clone(),
            connection,
            rng: SmallRng::seed_from_u64(seed),
        })
    }

    /// How long it lasts, or did if it was stopped.
    fn lasted(&self) -> Duration {
        let stopped = self.world.stopped.get();
        stopped.map_or(self.lasts, |at| self.lasts.min(at.saturating_duration_since(self.begins)))
    }

    /// Whether it is over at this moment: whether what is due then is not to be done.
    fn is_over(&self, moment: Instant) -> bool {
        moment >= self.begins + self.lasts || self.world.stopped.get().is_some()
    }

    fn nothing_measured(&self) -> Vec<Measured> {
        vec![Measured::new(self.lasts); self.world.calls.parts()]
    }

    /// Waits for the callers, and adds up by bank what they measured.
    async fn sum(&self, callers: JoinSet<Vec<Measured>>) -> Vec<Measured> {
        let mut sums = self.nothing_measured();
        for measured in callers.join_all().await {
            sums.iter_mut().zip(&measured).for_each(|(sum, one)| sum.add(one));
        }
        sums.iter_mut().for_each(|sum| sum.lasted = self.lasted());
        sums
    }
}
