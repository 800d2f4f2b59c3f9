//! One connection's callers: they measure for themselves, so that nothing is locked for a payment.

use std::time::Instant;

use proto::payments::Payment;
use rand::rngs::SmallRng;
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet};
use tonic::Status;

use super::{Run, measured::Measured};
use crate::client::Client;

/// How many calls that are due are taken at once.
const TAKEN: usize = 64;

/// The callers on one connection.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) run: Run,
    pub(super) client: Client,
    pub(super) rng: SmallRng,
}

/// What came of a call.
struct Heard {
    /// The place of its bank in the plan.
    bank: usize,
    due: Instant,
    at: Instant,
    answer: Result<Payment, Status>,
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
        let (bank, order) = world.accounts.order(world.number(), &world.tag, &mut self.rng);
        let (client, deadline) = (self.client.clone(), world.deadline);
        calls.spawn(async move {
            let answer = client.pay(order, Some(deadline)).await.map(|answer| answer.payment);
            Heard { bank, due, at: Instant::now(), answer }
        });
    }

    fn count(&self, measured: &mut [Measured], heard: &Heard) {
        let Some(measured) = measured.get_mut(heard.bank) else { return };
        measured.lasted = self.run.lasted();
        match &heard.answer {
            Ok(payment) => {
                let after = heard.at.saturating_duration_since(self.run.begins);
                measured.paid(payment, heard.at.saturating_duration_since(heard.due), after);
                self.run.world.count(payment);
            }
            Err(status) => measured.failed(status),
        }
    }
}
