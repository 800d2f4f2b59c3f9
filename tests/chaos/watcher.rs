//! Somebody who watches all the while, and takes the watch up again wherever it was cut: every step is heard of once, in the order of
//! its payment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use harness::{BenchError, client::Client};
use proto::payments::WatchPaymentsRequest;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{task::JoinHandle, time::Instant};

use crate::check::{Harm, Violation};

/// How long a watch that was cut rests.
const PAUSE: Duration = Duration::from_millis(50);
/// How soon all that was committed must be heard of when all is quiet.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// The one who watches; dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    heard: Arc<Mutex<Heard>>,
    watching: JoinHandle<()>,
    database: PgConnectOptions,
    participant: String,
}

#[derive(Debug, Default)]
struct Heard {
    position: String,
    /// The last step of each payment.
    steps: BTreeMap<String, i64>,
    events: BTreeSet<String>,
    /// How often the watch was begun.
    begun: u64,
    wrong: Vec<String>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Watcher {
    /// Begins to watch what concerns the client's participant.
    pub fn begin(client: Client, database: PgConnectOptions, participant: &str) -> Self {
        let heard = Arc::new(Mutex::new(Heard { position: "earliest".to_owned(), ..Heard::default() }));
        let watching = tokio::spawn(watch(client, Arc::clone(&heard)));
        Self { heard, watching, database, participant: participant.to_owned() }
    }

    /// What is wrong with what was heard, at quiescence: a step is missing that the ledger has, or came twice or in the wrong place.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub async fn judge(&self) -> Result<Vec<Violation>, BenchError> {
        let give_up = Instant::now() + HEARD_WITHIN;
        let mut database = PgConnection::connect_with(&self.database).await?;
        let missing = loop {
            let steps: Vec<(String, i64)> = sqlx::query_as(
                "SELECT 'pay_' || replace(id::text, '-', ''), sequence::bigint FROM all_payments WHERE participant_id = $1",
            )
            .bind(&self.participant)
            .fetch_all(&mut database)
            .await?;
            let missing = lock(&self.heard).missing(steps);
            if missing.is_empty() || Instant::now() > give_up {
                break missing;
            }
            tokio::time::sleep(PAUSE).await;
        };
        database.close().await?;
        let mut heard = lock(&self.heard);
        let lost = missing.into_iter().map(|(id, last)| {
            let known = heard.steps.get(&id).copied().unwrap_or_default();
            let found = format!(
                "of {id} steps behind {known} were not heard of, up to {last}; watches: {}",
                heard.begun
            );
            violation(Harm::Lost, found)
        });
        let mut found: Vec<_> = lost.collect();
        found.extend(heard.wrong.drain(..).map(|what| violation(Harm::Doubled, what)));
        Ok(found)
    }
}

fn violation(harm: Harm, found: String) -> Violation {
    Violation { invariant: "I12", harm, request_id: String::new(), found }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch(client: Client, heard: Arc<Mutex<Heard>>) {
    loop {
        let from_position = {
            let mut heard = lock(&heard);
            heard.begun += 1;
            heard.position.clone()
        };
        let request = WatchPaymentsRequest { from_position, ..WatchPaymentsRequest::default() };
        // Whatever cuts it, it goes on from where it was.
        if let Ok(answer) = client.payments.clone().watch_payments(client.request(request, None)).await {
            let mut watch = answer.into_inner();
            while let Ok(Some(said)) = watch.message().await {
                let mut heard = lock(&heard);
                if let Some(event) = said.event {
                    heard.hear(event);
                }
                heard.position = said.position;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Heard {
    /// The payments of which it has not heard the last step.
    fn missing(&self, steps: Vec<(String, i64)>) -> Vec<(String, i64)> {
        let is_missing = |(id, last): &(String, i64)| self.steps.get(id).copied().unwrap_or_default() < *last;
        steps.into_iter().filter(is_missing).collect()
    }

    fn hear(&mut self, event: proto::payments::PaymentEvent) {
        let payment = event.payment.unwrap_or_default();
        let known = self.steps.insert(payment.id.clone(), payment.sequence).unwrap_or_default();
        if payment.sequence != known + 1 {
            self.wrong.push(format!("step {} of {} came behind step {known}", payment.sequence, payment.id));
        }
        if !self.events.insert(event.id.clone()) {
            self.wrong.push(format!("{} came twice", event.id));
        }
    }
}
