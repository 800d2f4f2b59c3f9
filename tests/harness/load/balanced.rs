//! Payments over several gateways, as a balancer in front of them spreads calls, by callers who try once more.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::rpc_client::Route;
use rand::rngs::SmallRng;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    accounts::Accounts,
    calls::{Call, Calls},
};
use crate::{
    BenchError,
    client::{Client, may_try_again},
};

/// For how long a gateway is left alone that did not answer as one.
const LEFT_ALONE: Duration = Duration::from_millis(500);
/// How long a caller waits before the second try.
const PAUSE: Duration = Duration::from_millis(50);

/// The gateways that there may be. A call goes to one that is listed and answers, with the fewest calls under way.
#[derive(Debug)]
pub struct Gateways {
    places: Vec<Place>,
    turn: AtomicUsize,
    retried: AtomicU64,
}

#[derive(Debug)]
struct Place {
    clients: Vec<Client>,
    is_listed: AtomicBool,
    under_way: AtomicUsize,
    left_alone_until: Mutex<Option<Instant>>,
}

/// A call under way, counted until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    fn is_left_alone(&self) -> bool {
        let until = *self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

impl Gateways {
    /// Gateways at the ends of these routes, of which the first is listed, each over so many connections.
    ///
    /// # Errors
    /// When the key can't be sent.
    pub fn new(routes: &[Route], key: &str, connections: usize) -> Result<Self, BenchError> {
        let place = |(number, route): (usize, &Route)| -> Result<Place, BenchError> {
            Ok(Place {
                clients: (0..connections).map(|_| Client::new(route, key)).collect::<Result<_, _>>()?,
                is_listed: AtomicBool::new(number == 0),
                under_way: AtomicUsize::new(0),
                left_alone_until: Mutex::default(),
            })
        };
        let places = routes.iter().enumerate().map(place).collect::<Result<_, _>>()?;
        Ok(Self { places, turn: AtomicUsize::new(0), retried: AtomicU64::new(0) })
    }

    /// Has calls go to a gateway, or go there no more.
    pub fn list(&self, number: usize, is_listed: bool) {
        if let Some(place) = self.places.get(number) {
            place.is_listed.store(is_listed, Ordering::Relaxed);
        }
    }

    /// How many calls were made twice so far.
    pub fn retried(&self) -> u64 {
        self.retried.load(Ordering::Relaxed)
    }

    /// Where the next call goes: not where it failed before, if there is another.
    fn next(&self, failed: Option<usize>) -> usize {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let turns = (0..self.places.len()).map(|turn| (first + turn) % self.places.len().max(1));
        let rank = |number: &usize| {
            let place = &self.places[*number];
            let is_listed = place.is_listed.load(Ordering::Relaxed);
            (
                !is_listed,
                failed == Some(*number),
                place.is_left_alone(),
                place.under_way.load(Ordering::Relaxed),
            )
        };
        turns.min_by_key(rank).unwrap_or_default()
    }

    /// Pays, once more if the first try says so.
    async fn pay(
        &self,
        connection: usize,
        order: proto::payments::CreatePaymentRequest,
        deadline: Duration,
    ) -> Result<proto::payments::Payment, Status> {
        let mut failed = None;
        loop {
            let number = self.next(failed);
            let place = &self.places[number];
            place.under_way.fetch_add(1, Ordering::Relaxed);
            let counted = Counted(&place.under_way);
            let answer = place.clients[connection].pay(order.clone(), Some(deadline)).await;
            drop(counted);
            match answer {
                Ok(answer) => return Ok(answer.payment),
                Err(status) if failed.is_none() && is_to_be_tried_again(&status) => {
                    if status.get_details_error_info().is_none() {
                        let until = Instant::now() + LEFT_ALONE;
                        *place.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                    }
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    failed = Some(number);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(status) => return Err(status),
            }
        }
    }
}

/// Whether to make the call again as it was: the gateway says so, or it was not the gateway that answered.
fn is_to_be_tried_again(status: &Status) -> bool {
    let is_connections = status.code() == Code::Unknown && status.get_details_error_info().is_none();
    may_try_again(status) || status.code() == Code::Aborted || is_connections
}

/// The payments of a plan over several gateways.
#[derive(Debug)]
pub(super) struct Balanced {
    pub(super) gateways: Arc<Gateways>,
    pub(super) connections: usize,
    pub(super) accounts: Accounts,
    pub(super) deadline: Duration,
    /// What the payments' request ids begin with: of this load only.
    pub(super) tag: String,
}

impl Calls for Balanced {
    fn connections(&self) -> usize {
        self.connections
    }

    fn parts(&self) -> usize {
        self.accounts.banks()
    }

    fn call(&self, connection: usize, number: u64, rng: &mut SmallRng) -> (usize, Call) {
        let (bank, order) = self.accounts.order(number, &self.tag, rng);
        let (gateways, deadline) = (Arc::clone(&self.gateways), self.deadline);
        (bank, Box::pin(async move { gateways.pay(connection, order, deadline).await.map(Some) }))
    }
}
