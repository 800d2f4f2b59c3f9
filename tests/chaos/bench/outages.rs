//! How long it takes from a crash to serving again.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use harness::system::Service;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::Part;
use crate::load::World;

/// How often to look whether a part is back.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// After this a part counts as not back, and nothing is recorded.
const GIVE_UP: Duration = Duration::from_secs(20);

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// From a service's crash until it serves.
    Serving(Service),
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

    fn record(&self, part: Part, what: Recovered, after: Duration) {
        self.lock().retain(|(name, _)| *name != part.name());
        if self.measuring.load(Ordering::Relaxed) {
            self.measured.lock().unwrap_or_else(PoisonError::into_inner).push((what, after));
        }
    }

    /// All that was measured.
    pub fn measured(&self) -> Vec<(Recovered, Duration)> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Waits until a service that has just been started again serves.
pub async fn until_serving(outages: Arc<Outages>, service: Service, address: String) {
    // The banks are not ours to measure.
    if service == Service::Bank {
        return;
    }
    let part = Part::Service(service);
    let deadline = Instant::now() + GIVE_UP;
    while Instant::now() < deadline {
        if is_serving(&address).await {
            if let Some(crash) = outages.since(part) {
                outages.record(part, Recovered::Serving(service), crash.elapsed());
            }
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn is_serving(address: &str) -> bool {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return false };
    let Ok(channel) = endpoint.connect().await else { return false };
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.is_ok()
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
    while Instant::now() < deadline {
        // A journal that can't be written ends the run elsewhere.
        if world.probe().await.unwrap_or_default() {
            outages.record(Part::Database, Recovered::GoodPayment, accepts.elapsed());
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
