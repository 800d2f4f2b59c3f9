//! How long it takes from a crash to serving again.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::rpc_client::Route;
use harness::system::Service;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::Part;
use crate::load::World;

/// How often to look whether a part is back.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// After this a part counts as not back, and nothing is recorded.
const GIVE_UP: Duration = Duration::from_secs(20);

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// From a service's crash until it says that it serves.
    Serving(Service),
    /// From a service's crash until a payment that is asked for then is answered well.
    GoodPaymentAfter(Service),
    /// From PostgreSQL's accepting connections until a payment that is asked for then is answered well.
    GoodPayment,
}

/// The stop-watch.
#[derive(Debug, Default)]
pub struct Outages {
    /// Whether outages are measured: only where no other fault is in the way.
    measuring: AtomicBool,
    crashed: Mutex<Vec<(&'static str, Instant)>>,
    measured: Mutex<Vec<(Recovered, Duration)>>,
}

impl Outages {
    fn lock(&self) -> MutexGuard<'_, Vec<(&'static str, Instant)>> {
        self.crashed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures from now on, or does not.
    pub fn measure(&self, measuring: bool) {
        self.lock().clear();
        self.measuring.store(measuring, Ordering::Relaxed);
    }

    /// A part has crashed; the first word counts.
    pub fn crashed(&self, part: Part, at: Instant) {
        let mut crashed = self.lock();
        if !crashed.iter().any(|(name, _)| *name == part.name()) {
            crashed.push((part.name(), at));
        }
    }

    fn since(&self, part: Part) -> Option<Instant> {
        self.lock().iter().find(|(name, _)| *name == part.name()).map(|(_, at)| *at)
    }

    fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    fn record(&self, what: Recovered, after: Duration) {
        if self.is_measuring() {
            self.measured.lock().unwrap_or_else(PoisonError::into_inner).push((what, after));
        }
    }

    fn came_back(&self, part: Part) {
        self.lock().retain(|(name, _)| *name != part.name());
    }

    /// All that was measured.
    pub fn measured(&self) -> Vec<(Recovered, Duration)> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Waits until a service that has just been started again serves, and then for a good payment.
pub async fn until_serving(outages: Arc<Outages>, world: Arc<World>, service: Service, route: Route) {
    // The banks are not ours to measure.
    if service == Service::Bank {
        return;
    }
    let part = Part::Service(service);
    let deadline = Instant::now() + GIVE_UP;
    while !is_serving(&route).await {
        if Instant::now() > deadline {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let Some(crash) = outages.since(part) else { return };
    outages.record(Recovered::Serving(service), crash.elapsed());
    if outages.is_measuring() && is_paid(&world, deadline).await {
        outages.record(Recovered::GoodPaymentAfter(service), crash.elapsed());
    }
    outages.came_back(part);
}

/// Whether a payment is answered well before the deadline.
async fn is_paid(world: &World, deadline: Instant) -> bool {
    while Instant::now() < deadline {
        // A journal that can't be written ends the run elsewhere.
        if world.probe().await.unwrap_or_default() {
            return true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    false
}

async fn is_serving(route: &Route) -> bool {
    let answer = HealthClient::new(route.clone().connect()).check(HealthCheckRequest::default()).await;
    answer.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving)
}

/// Waits until PostgreSQL, which has just been started again, accepts connections, and then for a good payment.
pub async fn until_good_payment(outages: Arc<Outages>, database: PgConnectOptions, world: Arc<World>) {
    let deadline = Instant::now() + GIVE_UP;
    let accepts = loop {
        match PgConnection::connect_with(&database).await {
            Ok(connection) => {
                drop(connection.close().await);
                break Instant::now();
            }
            Err(_) if Instant::now() > deadline => return,
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    };
    if outages.since(Part::Database).is_none() {
        return;
    }
    // Started twice, because what was left of the dead one was in the way of the first, it comes back once.
    if is_paid(&world, deadline).await && outages.since(Part::Database).is_some() {
        outages.record(Recovered::GoodPayment, accepts.elapsed());
    }
    outages.came_back(Part::Database);
}
