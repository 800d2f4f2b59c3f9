//! Broker: publishes what was placed in the log of events, off the path of payments, one platform at a time.
//!
//! A platform takes the turn for a while, publishes the next steps, waits until the broker has them, and then says in the database how far
//! it has come. Whoever dies before that has them published again under the same ids, by which the broker knows them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use common::{id::PaymentId, lifecycle::Lifecycle};
use tokio::time::timeout;
use uuid::Uuid;

use super::Flow;
use crate::{
    broker::{self, Broker, BrokerError, Link, Message},
    metrics,
    store::{Store, StoreError, event_log::LoggedEvent},
};

/// How often to look for what was placed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long to wait after a failure.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// How many steps are published by one turn.
const STEPS_AT_ONCE: i64 = 500;
/// How long a turn is somebody's. The next one takes over when it has passed.
const LEASE: Duration = Duration::from_secs(15);
/// How long publishing takes at most: less than the turn, so that there are never two at it.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Why publishing did not go on.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker did.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The broker took too long.
    #[error("the broker took longer than {PUBLISH_TIMEOUT:?}")]
    TooSlow,
}

/// One who publishes.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    broker: Broker,
    holder: Uuid,
    link: Option<Link>,
}

/// Publishes, until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, broker: Broker, lifecycle: Lifecycle) {
    let mut publisher = Publisher::new(flow.store.clone(), broker);
    let mut fails = false;
    while !lifecycle.is_draining() {
        let pause = match publisher.step().await {
            Ok(is_more) => {
                if std::mem::take(&mut fails) {
                    tracing::info!("events are published to the broker again");
                }
                if is_more { Duration::ZERO } else { LOOK_EVERY }
            }
            Err(error) => {
                if !std::mem::replace(&mut fails, true) {
                    tracing::warn!(%error, "cannot publish events to the broker; they wait, and this is tried each second");
                }
                TRY_EVERY
            }
        };
        let _ = timeout(pause, lifecycle.draining()).await;
    }
    if let Err(error) = flow.store.give_broker_turn(publisher.holder).await {
        tracing::debug!(%error, "the turn to publish was not given back, and lapses");
    }
}

impl Publisher {
    /// One who has not published yet.
    pub fn new(store: Store, broker: Broker) -> Self {
        Self { store, broker, holder: Uuid::new_v4(), link: None }
    }

    /// Publishes the next steps, if it is this one's turn. Says whether there may be more.
    ///
    /// # Errors
    /// When the database or the broker fails; the steps are then published again.
    pub async fn step(&mut self) -> Result<bool, NotPublished> {
        let done = self.publish_next().await;
        if matches!(done, Err(NotPublished::Broker(_) | NotPublished::TooSlow)) {
            self.link = None;
        }
        done
    }

    async fn publish_next(&mut self) -> Result<bool, NotPublished> {
        let Some((published, last)) = self.store.published().await? else {
            self.store.begin_broker().await?;
            return Ok(true);
        };
        if published == last {
            return Ok(false);
        }
        // Before the turn is taken: who can't reach the broker leaves it to others.
        let link = match self.link.take() {
            Some(link) => link,
            None => self.broker.connect().await?,
        };
        let link = self.link.insert(link);
        let Some(turn) = self.store.take_broker_turn(self.holder, LEASE).await? else { return Ok(false) };
        let stretch = self.store.stretch_behind(turn.behind, STEPS_AT_ONCE).await?;
        // Where nothing is left, all that there was is forgotten, or another one has published it.
        let end = stretch.end().unwrap_or(last.max(turn.behind));
        let missed = stretch.begin().map_or(end, |begin| begin - 1) - turn.behind;
        let events = self.store.events(&stretch, None).await?;
        let published = publish(link, &events, self.broker.subject_prefix());
        timeout(PUBLISH_TIMEOUT, published).await.map_err(|_| NotPublished::TooSlow)??;
        if missed > 0 {
            tracing::error!(
                missed,
                "ALARM: events were forgotten before the broker took them: see --keep-events"
            );
        }
        self.store.end_broker_turn(turn, end, missed).await?;
        Ok(end < last)
    }
}

/// Publishes events. A payment's next step is published when the broker has the one before, so that whatever is lost or repeated on the
/// way, the stream has them in order.
async fn publish(link: &Link, events: &[LoggedEvent], subject_prefix: &str) -> Result<(), BrokerError> {
    let mut waves: Vec<Vec<Message>> = Vec::new();
    let mut steps: HashMap<PaymentId, usize> = HashMap::new();
    for event in events {
        let step = steps.entry(event.payment.id).or_default();
        if waves.len() == *step {
            waves.push(Vec::new());
        }
        waves[*step].extend(broker::messages(event, subject_prefix));
        *step += 1;
    }
    for wave in &waves {
        link.publish(wave).await?;
        metrics::published(wave.len());
    }
    Ok(())
}
