//! One connection's callers: they measure for themselves, so that nothing is locked for a payment.

use std::{sync::atomic::Ordering, time::Instant};

use proto::payments::{Payment, PaymentState};
use rand::rngs::SmallRng;
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet};
use tonic::Status;

use super::{Run, measured::Measured};

/// How many calls that are due are taken at once.
const TAKEN: usize = 64;

/// The callers on one connection.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) run: Run,
    pub(super) connection: usize,
    pub(super) rng: SmallRng,
}

/// What came of a call.
struct Heard {
    /// Which part of the calls it is measured with.
    part: usize,
    due: Instant,
    at: Instant,
    answer: Result<Option<Payment>, Status>,
}

impl Caller {
    /// Keeps `in_flight` payments under way.
    pub(super) async fn closed(mut self, in_flight: usize) -> Vec<Measured> {
        let mut measured = self.run.nothing_measured();
        let mut calls = JoinSet::new();
        for _ in 0..in_flight {
            self.call(&mut calls, Instant::now());
        }
        while let Some(heard) = calls.join_next().await {
            let Ok(heard) = heard else { continue };
            self.count(&mut measured, &heard);
            if !self.run.is_over(heard.at) {
                self.call(&mut calls, Instant::now());
            }
        }
        measured
    }

    /// Makes the calls that `dues` tells of, as long as it does, and waits for every answer.
    pub(super) async fn open_loop(mut self, mut dues: UnboundedReceiver<Instant>) -> Vec<Measured> {
        let mut measured = self.run.nothing_measured();
        let mut calls = JoinSet::new();
        let mut due = Vec::with_capacity(TAKEN);
        let mut is_told = true;
        while is_told || !calls.is_empty() {
            tokio::select! {
                told = dues.recv_many(&mut due, TAKEN), if is_told => {
                    is_told = told > 0;
                    due.drain(..).for_each(|due| self.call(&mut calls, due));
                }
                Some(heard) = calls.join_next(), if !calls.is_empty() => {
                    if let Ok(heard) = heard {
                        self.count(&mut measured, &heard);
                    }
                }
            }
        }
        measured
    }

    fn call(&mut self, calls: &mut JoinSet<Heard>, due: Instant) {
        let world = &self.run.world;
        let (part, call) = world.calls.call(self.connection, world.number(), &mut self.rng);
        calls.spawn(async move {
            let answer = call.await;
            Heard { part, due, at: Instant::now(), answer }
        });
    }

    fn count(&self, measured: &mut [Measured], heard: &Heard) {
        let Some(measured) = measured.get_mut(heard.part) else { return };
        measured.lasted = self.run.lasted();
        let latency = heard.at.saturating_duration_since(heard.due);
        let after = heard.at.saturating_duration_since(self.run.begins);
        let succeeded = match &heard.answer {
            Ok(Some(payment)) => {
                measured.paid(payment, latency, after);
                payment.state() == PaymentState::Succeeded
            }
            Ok(None) => {
                measured.answered(latency, after);
                true
            }
            Err(status) => {
                measured.failed(status);
                false
            }
        };
        self.run.world.succeeded.fetch_add(succeeded.into(), Ordering::Relaxed);
    }
}
