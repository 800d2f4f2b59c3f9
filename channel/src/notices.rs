//! What banks said unasked, on its way to a platform and back: a bank hears that its notice was taken only after a
//! platform has put it on record.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proto::channel::{Notice, NoticeReceipt};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use crate::bank::MAX_UNASKED;

/// How long a platform may take to put a notice on record.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many notices may wait to be sent to one platform: more than one bank may have under way, so that none fills it alone.
const WAITING_NOTICES: usize = 4 * MAX_UNASKED;

/// Hands notices to the platforms that are connected, each in its turn.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Hub>);

#[derive(Debug)]
struct Hub {
    /// Begins anywhere: a receipt for a notice of an earlier process must not be taken for one of this process's.
    last_id: AtomicU64,
    platforms: Mutex<VecDeque<Arc<Platform>>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { last_id: AtomicU64::new(rand::random()), platforms: Mutex::default() }
    }
}

/// A platform that is connected.
#[derive(Debug)]
struct Platform {
    notices: mpsc::Sender<Notice>,
    waiting: Mutex<HashMap<u64, Waiting>>,
    under_way: TaskTracker,
}

/// Whoever waits for a receipt. While somebody does, the platform's stream is not at its end.
#[derive(Debug)]
struct Waiting {
    receipt: oneshot::Sender<NoticeReceipt>,
    _under_way: TaskTrackerToken,
}

/// Why nobody knows whether a notice is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// No platform is connected that could take it now.
    #[error("no platform is connected that could take it")]
    NoPlatform,
    /// The platform's stream ended before the receipt.
    #[error("the platform went away before it answered")]
    Lost,
    /// The platform took too long.
    #[error("the platform did not answer within {} ms", RECEIPT_TIMEOUT.as_millis())]
    TimedOut,
}

impl Notices {
    /// Connects a platform, until the returned connection is dropped. What is waiting for its receipts is counted among
    /// `under_way`.
    pub fn connect(&self, under_way: TaskTracker) -> (Connection, mpsc::Receiver<Notice>) {
        let (sender, notices) = mpsc::channel(WAITING_NOTICES);
        let platform = Arc::new(Platform { notices: sender, waiting: Mutex::default(), under_way });
        locked(&self.0.platforms).push_back(Arc::clone(&platform));
        (Connection { hub: Arc::clone(&self.0), platform }, notices)
    }

    /// Hands a notice to the next platform that can take it and waits for the receipt; gives the notice its id.
    ///
    /// # Errors
    /// When nobody knows whether it is on record.
    pub async fn deliver(&self, mut notice: Notice) -> Result<NoticeReceipt, NotTaken> {
        notice.notice_id = self.0.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let ticket = self.hand_over(notice)?;
        ticket.receipt().await
    }

    fn hand_over(&self, mut notice: Notice) -> Result<Ticket, NotTaken> {
        let id = notice.notice_id;
        let mut platforms = locked(&self.0.platforms);
        for _ in 0..platforms.len() {
            platforms.rotate_left(1);
            let Some(platform) = platforms.back() else { break };
            let (receipt, received) = oneshot::channel();
            let waiting = Waiting { receipt, _under_way: platform.under_way.token() };
            locked(&platform.waiting).insert(id, waiting);
            let ticket = Ticket { id, platform: Arc::clone(platform), received };
            match platform.notices.try_send(notice) {
                Ok(()) => return Ok(ticket),
                Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => {
                    notice = back;
                }
            }
        }
        Err(NotTaken::NoPlatform)
    }
}

/// Waits for one receipt; nobody does once it is dropped.
struct Ticket {
    id: u64,
    platform: Arc<Platform>,
    received: oneshot::Receiver<NoticeReceipt>,
}

impl Ticket {
    async fn receipt(mut self) -> Result<NoticeReceipt, NotTaken> {
        match timeout(RECEIPT_TIMEOUT, &mut self.received).await {
            Ok(Ok(receipt)) => Ok(receipt),
            Ok(Err(_)) => Err(NotTaken::Lost),
            Err(_) => Err(NotTaken::TimedOut),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        locked(&self.platform.waiting).remove(&self.id);
    }
}

/// A platform's connection. Dropping it ends it: no notice goes there any more, and whoever waits for a receipt hears so.
#[derive(Debug)]
pub struct Connection {
    hub: Arc<Hub>,
    platform: Arc<Platform>,
}

impl Connection {
    /// Passes a receipt to whoever waits for it. One that nobody waits for came too late: the bank sends its notice again.
    pub fn receive(&self, receipt: NoticeReceipt) {
        let waiting = locked(&self.platform.waiting).remove(&receipt.notice_id);
        let is_heard = waiting.is_some_and(|waiting| waiting.receipt.send(receipt).is_ok());
        if !is_heard {
            tracing::info!("a receipt that nobody waits for");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        locked(&self.hub.platforms).retain(|platform| !Arc::ptr_eq(platform, &self.platform));
        locked(&self.platform.waiting).clear();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
