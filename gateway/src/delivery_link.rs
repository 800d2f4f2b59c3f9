//! Deliveries of a cell's webhooks: taken over from its platform, posted, and reported. Any number of gateways do so; whose turn it is the
//! platform says. The connection is one of its own, so that webhooks hold up neither payments nor watches.

use std::{sync::Arc, time::Duration};

use common::lifecycle::Lifecycle;
use proto::platform::{
    ClaimDeliveriesRequest, Delivery, ReportDeliveryRequest, platform_service_client::PlatformServiceClient,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tonic::{Status, transport::Channel};

use crate::post::{Posted, Poster};

/// Attempts under way at once here for each cell. One endpoint has but a few, and one that fails one alone.
const MAX_UNDER_WAY: usize = 64;
/// How often to look for work when there was none, and at most when there was.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOK_EVERY_UNDER_WORK: Duration = Duration::from_millis(10);
/// How long to wait for a platform that does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the platform may take to answer.
const LONGEST_ASKING: Duration = Duration::from_secs(10);
/// How often a report is tried. One that is lost has the webhook posted again.
const REPORTS: u32 = 3;

/// Delivers.
#[derive(Clone, Debug)]
pub struct Deliveries {
    platform: PlatformServiceClient<Channel>,
    poster: Poster,
    finished: Arc<Notify>,
}

impl Deliveries {
    /// Delivers what the platform behind this channel has, by this poster.
    pub fn new(platform: Channel, poster: Poster) -> Self {
        // Contents are small, and there are at most as many as are under way.
        let platform = PlatformServiceClient::new(platform).max_decoding_message_size(16 << 20);
        Self { platform, poster, finished: Arc::default() }
    }

    /// Delivers until the lifecycle drains; then waits for what is under way.
    pub async fn run(self, lifecycle: Lifecycle) {
        let places = Arc::new(Semaphore::new(MAX_UNDER_WAY));
        let posting = TaskTracker::new();
        let mut is_there = true;
        while !lifecycle.is_draining() {
            let free = places.available_permits();
            let pause = match self.claim(free).await {
                Ok(deliveries) => {
                    is_there = true;
                    let pause = if deliveries.is_empty() { LOOK_EVERY } else { LOOK_EVERY_UNDER_WORK };
                    for delivery in deliveries {
                        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                        posting.spawn(self.clone().deliver(delivery, place));
                    }
                    pause
                }
                Err(status) => {
                    if is_there {
                        tracing::info!(%status, "no webhooks are delivered from here until the platform answers");
                    }
                    is_there = false;
                    PAUSE
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = lifecycle.draining() => {}
            }
            if places.available_permits() == 0 {
                tokio::select! {
                    () = self.finished.notified() => {}
                    () = lifecycle.draining() => {}
                }
            }
        }
        posting.close();
        posting.wait().await;
    }

    async fn claim(&self, most: usize) -> Result<Vec<Delivery>, Status> {
        let Ok(most @ 1..) = u32::try_from(most) else { return Ok(Vec::new()) };
        let mut platform = self.platform.clone();
        let asked = timeout(LONGEST_ASKING, platform.claim_deliveries(ClaimDeliveriesRequest { most })).await;
        let answer = asked.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        Ok(answer.into_inner().deliveries)
    }

    async fn deliver(self, delivery: Delivery, place: OwnedSemaphorePermit) {
        let posted = self.poster.post(&delivery).await;
        self.report(&delivery, posted).await;
        drop(place);
        self.finished.notify_one();
    }

    async fn report(&self, delivery: &Delivery, posted: Posted) {
        let request = ReportDeliveryRequest {
            turn: delivery.turn.clone(),
            status: posted.status.into(),
            outcome: posted.outcome.to_owned(),
            retry_after_s: u32::try_from(posted.retry_after.as_secs()).unwrap_or(u32::MAX),
        };
        for _ in 0..REPORTS {
            let mut platform = self.platform.clone();
            match timeout(LONGEST_ASKING, platform.report_delivery(request.clone())).await {
                Ok(Ok(_)) => return,
                Ok(Err(status)) => tracing::debug!(%status, "a delivery can't be reported"),
                Err(_) => tracing::debug!("a delivery can't be reported in time"),
            }
            sleep(PAUSE).await;
        }
        tracing::warn!(
            event = delivery.id,
            "what came of a delivery is not on record, so that it is made again"
        );
    }
}
