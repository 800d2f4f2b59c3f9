//! The payments of the load: from all the accounts of a ledger, to merchants at all its banks.

use std::time::Duration;

use common::{id::AccountId, rpc_client::Route};
use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    load::{Call, Calls},
    system::BankSetup,
};
use proto::payments::Payee;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use uuid::Uuid;

/// What each payment is about, in minor units.
pub const AMOUNT: i64 = 1_000;
/// The currency of everything.
pub const CURRENCY: &str = "EUR";
/// Merchants at each bank.
const PAYEES: u32 = 1_000;
/// How long a caller waits for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Draws payer, bank and merchant of each payment evenly.
#[derive(Debug)]
pub struct Orders {
    clients: Vec<Client>,
    payers: Vec<Uuid>,
    payees: Vec<Payee>,
    tag: String,
}

impl Orders {
    /// Over so many connections to the gateway.
    ///
    /// # Errors
    /// When the address is none, or nobody pays or is paid.
    pub fn new(
        (gateway, key): (&Route, &str),
        connections: usize,
        payers: Vec<Uuid>,
        banks: &[BankSetup],
    ) -> Result<Self, BenchError> {
        let payees: Vec<Payee> =
            banks.iter().flat_map(|bank| (0..PAYEES).map(|number| payee_at(bank, number))).collect();
        if payers.is_empty() || payees.is_empty() {
            return Err("nobody pays, or nobody is paid".into());
        }
        let clients = (0..connections).map(|_| Client::new(gateway, key)).collect::<Result<_, _>>()?;
        Ok(Self { clients, payers, payees, tag: Uuid::new_v4().simple().to_string() })
    }
}

impl Calls for Orders {
    fn connections(&self) -> usize {
        self.clients.len()
    }

    fn call(&self, connection: usize, number: u64, _: &mut SmallRng) -> (usize, Call) {
        // The load's own draws begin anew with each measurement, and would pay from the same few of many accounts again.
        let mut rng = SmallRng::seed_from_u64(number);
        let payer = AccountId::from_uuid(self.payers[rng.random_range(0..self.payers.len())]).to_string();
        let payee = self.payees[rng.random_range(0..self.payees.len())].clone();
        let order = order(&format!("{}-{number}", self.tag), &payer, payee, AMOUNT, CURRENCY);
        let client = self.clients[connection].clone();
        (
            0,
            Box::pin(
                async move { client.pay(order, Some(DEADLINE)).await.map(|answer| Some(answer.payment)) },
            ),
        )
    }
}

/// A merchant at a bank.
pub fn payee_at(bank: &BankSetup, number: u32) -> Payee {
    payee_by_iban("Blaise Seller", &bank.account(number))
}
