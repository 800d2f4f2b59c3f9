//! The calls that a load consists of: payments, or whatever else is to be measured by the same loops.

use std::{fmt::Debug, future::Future, pin::Pin, sync::Arc, time::Duration};

use proto::payments::Payment;
use rand::rngs::SmallRng;
use tonic::Status;

use super::accounts::Accounts;
use crate::client::Client;

/// A call under way. What it answers is a payment, which may not have succeeded, or none where nothing is paid.
pub type Call = Pin<Box<dyn Future<Output = Result<Option<Payment>, Status>> + Send>>;

/// Makes the calls of a load.
pub trait Calls: Debug + Send + Sync {
    /// Over how many connections.
    fn connections(&self) -> usize;

    /// In how many parts they are measured.
    fn parts(&self) -> usize {
        1
    }

    /// The call of this number, over the connection of that place, and the part that it is measured with.
    fn call(&self, connection: usize, number: u64, rng: &mut SmallRng) -> (usize, Call);
}

/// The calls of several who have as many connections each, measured together.
#[derive(Debug)]
pub(super) struct Several(pub(super) Vec<Arc<dyn Calls>>);

impl Calls for Several {
    fn connections(&self) -> usize {
        self.0.iter().map(|one| one.connections()).sum()
    }

    fn parts(&self) -> usize {
        self.0.iter().map(|one| one.parts()).max().unwrap_or(1)
    }

    fn call(&self, connection: usize, number: u64, rng: &mut SmallRng) -> (usize, Call) {
        self.0[connection % self.0.len()].call(connection / self.0.len(), number, rng)
    }
}

/// The payments of a plan, measured bank by bank.
#[derive(Debug)]
pub(super) struct Payments {
    pub(super) clients: Vec<Client>,
    pub(super) accounts: Accounts,
    pub(super) deadline: Duration,
    /// What the payments' request ids begin with: of this load only.
    pub(super) tag: String,
}

impl Calls for Payments {
    fn connections(&self) -> usize {
        self.clients.len()
    }

    fn parts(&self) -> usize {
        self.accounts.banks()
    }

    fn call(&self, connection: usize, number: u64, rng: &mut SmallRng) -> (usize, Call) {
        let (bank, order) = self.accounts.order(number, &self.tag, rng);
        let (client, deadline) = (self.clients[connection].clone(), self.deadline);
        let call = async move { client.pay(order, Some(deadline)).await.map(|answer| Some(answer.payment)) };
        (bank, Box::pin(call))
    }
}
