//! Callers who pay at a fixed rate whatever comes of it, each of whom repeats the same request until it is answered; and what they were told.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    system::BANKS,
};
use proto::payments::PaymentState;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// For how long a caller waits for an answer, and then asks again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long after its time a call is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(40);

/// A payment that was due.
#[derive(Debug)]
struct Entry {
    request_id: String,
    due: Instant,
    answered: Instant,
    /// The payment's number and state; none if nobody said anything certain.
    told: Option<(String, PaymentState)>,
}

/// What callers were told.
#[derive(Debug)]
pub struct Journal(Vec<Entry>);

/// Callers at work.
pub struct Callers {
    enough: watch::Sender<bool>,
    working: JoinHandle<Journal>,
}

impl Callers {
    /// Begins to pay, so many times a second.
    pub fn begin(client: &Client, payer: &str, per_s: u32) -> Self {
        let (enough, ending) = watch::channel(false);
        let (client, payer) = (client.clone(), payer.to_owned());
        let working = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_s.max(1));
            let mut calls = JoinSet::new();
            for number in 0_u32.. {
                ticks.tick().await;
                if *ending.borrow() {
                    break;
                }
                calls.spawn(call(client.clone(), payer.clone(), number));
            }
            Journal(calls.join_all().await)
        });
        Self { enough, working }
    }

    /// Ends, after the calls under way.
    pub async fn end(self) -> Journal {
        let _ = self.enough.send(true);
        self.working.await.unwrap_or_else(|_| Journal(Vec::new()))
    }
}

async fn call(client: Client, payer: String, number: u32) -> Entry {
    let due = Instant::now();
    let request_id = format!("f{number}");
    // The two banks that have IBANs.
    let bank = &BANKS[usize::from(number.is_multiple_of(2))];
    let payee = payee_by_iban("Blaise", &bank.account(number % 50 + 1));
    let request = order(&request_id, &payer, payee, 1, "EUR");
    let mut told = None;
    while due.elapsed() < GIVEN_UP_AFTER {
        match client.pay(request.clone(), Some(PATIENCE)).await {
            Ok(answer) => {
                let is_over =
                    matches!(answer.payment.state(), PaymentState::Succeeded | PaymentState::Failed);
                told = Some((answer.payment.id.clone(), answer.payment.state()));
                if is_over {
                    break;
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    Entry { request_id, due, answered: Instant::now(), told }
}

impl Journal {
    /// Payments that were acknowledged, in whatever state.
    pub fn acknowledged(&self) -> usize {
        self.0.iter().filter(|entry| entry.told.is_some()).count()
    }

    /// When the first payment succeeded that was begun after this moment.
    pub fn first_success_after(&self, moment: Instant) -> Option<Instant> {
        let later = self.0.iter().filter(|entry| entry.due >= moment);
        later.filter(|entry| entry.succeeded()).map(|entry| entry.answered).min()
    }

    /// How many acknowledged payments the database does not have, or has in another final state.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn lost(&self, database: &PgConnectOptions) -> Result<usize, BenchError> {
        let mut connection = PgConnection::connect_with(database).await?;
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT request_id, 'pay_' || replace(id::text, '-', ''), 'PAYMENT_STATE_' || state FROM all_payments",
        )
        .fetch_all(&mut connection)
        .await?;
        let kept: HashMap<_, _> =
            rows.into_iter().map(|(request, id, state)| (request, (id, state))).collect();
        let is_kept = |entry: &&Entry| {
            let Some((told, state)) = &entry.told else { return true };
            let is_final = matches!(state, PaymentState::Succeeded | PaymentState::Failed);
            let found = kept.get(&entry.request_id);
            found.is_some_and(|(id, now)| id == told && (!is_final || now == state.as_str_name()))
        };
        Ok(self.0.iter().filter(|entry| !is_kept(entry)).count())
    }

    /// The 99th percentile of how long the payments took that were due then, in milliseconds.
    pub fn p99_ms(&self, was_due: impl Fn(Instant) -> bool) -> f64 {
        let chosen = self.0.iter().filter(|entry| was_due(entry.due));
        let mut took: Vec<Duration> = chosen.map(|entry| entry.answered - entry.due).collect();
        took.sort();
        took.get(took.len() * 99 / 100).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
    }
}

impl Entry {
    fn succeeded(&self) -> bool {
        matches!(self.told, Some((_, PaymentState::Succeeded)))
    }
}
