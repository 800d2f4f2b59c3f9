//! The generator of the load: so many payments a second whatever comes of them, or so many at once.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::{
    BenchError,
    client::{Client, money, order, payee_by_iban, payee_by_number},
    system::{BANKS, BankSetup},
};
use proto::{
    accounts::DepositRequest,
    payments::{CreatePaymentRequest, Payee, PaymentState, payee},
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tonic_types::StatusExt;

use crate::measured::Measured;

/// Connections to the gateway.
const CONNECTIONS: usize = 8;
/// Accounts that pay, in each currency.
const PAYERS: usize = 32;
/// Accounts that are paid, at each bank.
const PAYEES: u32 = 200;
/// What a payer begins with.
const FUNDS: i64 = 1_000_000_000_000;
/// Every caller's deadline.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often to look which calls are due.
const TICK: Duration = Duration::from_millis(2);

/// What was measured of each bank's payments, in the order of [`BANKS`].
pub type ByBank = Vec<Measured>;

/// Those who pay. Clones share their accounts.
#[derive(Clone, Debug)]
pub struct Load(Arc<World>);

#[derive(Debug)]
struct World {
    clients: Vec<Client>,
    /// Of each bank: the accounts that pay it, and those that it keeps.
    banks: Vec<(Vec<String>, Vec<Payee>, &'static str)>,
    numbers: AtomicU64,
}

impl Load {
    /// Opens accounts over the gateway at `address`, and puts money on them.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(address: &str, key: &str) -> Result<Self, BenchError> {
        let clients = (0..CONNECTIONS).map(|_| Client::new(address, key)).collect::<Result<Vec<_>, _>>()?;
        let client = clients.first().ok_or("no client")?;
        let mut banks = Vec::new();
        for bank in &BANKS {
            let currency = bank.currencies.first().copied().unwrap_or("EUR");
            let mut payers = Vec::new();
            for number in 0..PAYERS {
                let id = format!("{}-{number}", bank.id);
                let account = client.open_account(&id, "Ada Buyer", currency, "").await?.id;
                let deposit = DepositRequest {
                    request_id: id,
                    account: account.clone(),
                    amount: Some(money(FUNDS, currency)),
                    bank_id: bank.id.to_owned(),
                    reference: String::new(),
                };
                client.accounts.clone().deposit(client.request(deposit, None)).await?;
                payers.push(account);
            }
            banks.push((payers, (0..PAYEES).map(|number| payee_at(bank, number)).collect(), currency));
        }
        Ok(Self(Arc::new(World { clients, banks, numbers: AtomicU64::new(0) })))
    }

    /// Keeps `in_flight` payments under way, spread over all banks.
    pub async fn closed(&self, in_flight: usize, lasts: Duration) -> Measured {
        let end = Instant::now() + lasts;
        let measured = Arc::new(Mutex::new(Measured::new(lasts)));
        let mut callers = JoinSet::new();
        for _ in 0..in_flight {
            let (world, measured) = (Arc::clone(&self.0), Arc::clone(&measured));
            callers.spawn(async move {
                while Instant::now() < end {
                    let number = world.number();
                    let heard = world.pay(number, world.bank_of(number), Instant::now(), end).await;
                    heard.count(&mut measured.lock().unwrap_or_else(PoisonError::into_inner));
                }
            });
        }
        callers.join_all().await;
        Arc::into_inner(measured)
            .map(|measured| measured.into_inner().unwrap_or_else(PoisonError::into_inner))
            .unwrap_or_else(|| Measured::new(lasts))
    }

    /// Makes `per_s` payments a second, in turn to the banks of these numbers in [`BANKS`], and waits for every answer.
    ///
    /// # Errors
    /// When the generator itself fails.
    pub async fn open_loop(&self, per_s: f64, lasts: Duration, to: &[usize]) -> Result<ByBank, BenchError> {
        let begins = Instant::now();
        let end = begins + lasts;
        let gap = Duration::from_secs_f64(1.0 / per_s.max(1.0));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut calls = JoinSet::new();
        let mut measured: ByBank = BANKS.iter().map(|_| Measured::new(lasts)).collect();
        let mut due = begins;
        let mut turn = to.iter().copied().cycle();
        while due < end {
            ticks.tick().await;
            let now = Instant::now();
            while due <= now && due < end {
                let world = Arc::clone(&self.0);
                let bank = turn.next().unwrap_or_default();
                let at = due;
                calls.spawn(async move {
                    let number = world.number();
                    (bank, world.pay(number, bank, at, end).await)
                });
                due += gap;
            }
            while let Some(answered) = calls.try_join_next() {
                count(&mut measured, answered?);
            }
        }
        while let Some(answered) = calls.join_next().await {
            count(&mut measured, answered?);
        }
        Ok(measured)
    }
}

fn count(measured: &mut ByBank, (bank, heard): (usize, Heard)) {
    if let Some(measured) = measured.get_mut(bank) {
        heard.count(measured);
    }
}

/// All banks' measures as one.
pub fn together(by_bank: &[Measured]) -> Measured {
    let mut all = Measured::new(by_bank.first().map_or(Duration::ZERO, |first| first.lasted));
    by_bank.iter().for_each(|one| all.add(one));
    all
}

/// What one caller heard.
struct Heard {
    latency: Duration,
    in_time: bool,
    /// None of a payment that succeeded.
    other: Option<String>,
}

impl Heard {
    fn count(&self, measured: &mut Measured) {
        match &self.other {
            None => measured.succeeded(self.latency, self.in_time),
            Some(reason) => measured.came_to(reason),
        }
    }
}

impl World {
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The bank whose turn it is.
    fn bank_of(&self, number: u64) -> usize {
        usize::try_from(number).unwrap_or_default() % self.banks.len().max(1)
    }

    async fn pay(&self, number: u64, bank: usize, due: Instant, end: Instant) -> Heard {
        let place = usize::try_from(number).unwrap_or_default();
        let client = self.clients.get(place % self.clients.len().max(1));
        let answer = match client {
            Some(client) => client.pay(self.order(number, bank), Some(DEADLINE)).await,
            None => Err(tonic::Status::internal("no client")),
        };
        let heard = Instant::now();
        let other = match answer {
            Ok(answer) if answer.payment.state() == PaymentState::Succeeded => None,
            Ok(answer) => {
                let reason =
                    answer.payment.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default();
                Some(format!(
                    "{} {reason}",
                    answer.payment.state().as_str_name().trim_start_matches("PAYMENT_STATE_")
                ))
            }
            Err(status) => {
                let reason = status.get_details_error_info().map(|info| info.reason);
                Some(reason.unwrap_or_else(|| format!("{:?} {}", status.code(), status.message())))
            }
        };
        Heard { latency: heard.saturating_duration_since(due), in_time: heard <= end, other }
    }

    fn order(&self, number: u64, bank: usize) -> CreatePaymentRequest {
        let place = usize::try_from(number).unwrap_or_default() / self.banks.len().max(1);
        let Some((payers, payees, currency)) = self.banks.get(bank) else {
            return CreatePaymentRequest::default();
        };
        let payer = payers.get(place % payers.len().max(1)).map(String::as_str).unwrap_or_default();
        let payee = payees.get(place % payees.len().max(1)).cloned().unwrap_or_default();
        order(&format!("strain-{number}"), payer, payee, 1_000, currency)
    }
}

fn payee_at(bank: &BankSetup, number: u32) -> Payee {
    match bank.iban_code {
        Some(_) => payee_by_iban("Blaise Seller", &bank.account(number)),
        None => {
            payee_by_number("Hideki Seller", &bank.account(number), payee::Bank::BankId(bank.id.to_owned()))
        }
    }
}
