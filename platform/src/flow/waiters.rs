//! Who waits for which payment, in this process. The database is the truth; this is the fast way to hear of it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use common::id::PaymentId;
use tokio::sync::watch;

use crate::domain::payment::Payment;

/// The payments that somebody waits for.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<HashMap<PaymentId, watch::Sender<Option<Payment>>>>);

/// One who waits; dropping it ends the waiting.
#[derive(Debug)]
pub struct Waiter<'a> {
    waiters: &'a Waiters,
    payment: PaymentId,
    news: watch::Receiver<Option<Payment>>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<PaymentId, watch::Sender<Option<Payment>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news of a payment from now on.
    pub fn wait_for(&self, payment: PaymentId) -> Waiter<'_> {
        let news = self.lock().entry(payment).or_insert_with(|| watch::channel(None).0).subscribe();
        Waiter { waiters: self, payment, news }
    }

    /// Tells those who wait how the payment stands now.
    pub fn tell(&self, payment: &Payment) {
        if let Some(news) = self.lock().get(&payment.id) {
            news.send_replace(Some(payment.clone()));
        }
    }
}

impl Waiter<'_> {
    /// Completes when the payment is told to be in a final state, or in one of which nobody knows how long it lasts.
    pub async fn finished(&mut self) -> Payment {
        self.told(|payment| payment.state.ends_waiting()).await
    }

    /// Completes when the payment is told to be as `is_awaited` says.
    pub async fn told(&mut self, is_awaited: impl Fn(&Payment) -> bool) -> Payment {
        let is_awaited = |news: &Option<Payment>| news.as_ref().is_some_and(&is_awaited);
        match self.news.wait_for(is_awaited).await.map(|news| news.clone()) {
            Ok(Some(payment)) => payment,
            // The sender stays in the table as long as anyone waits.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// The newest that was told.
    pub fn latest(&self) -> Option<Payment> {
        self.news.borrow().clone()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiters = self.waiters.lock();
        if waiters.get(&self.payment).is_some_and(|news| news.receiver_count() <= 1) {
            waiters.remove(&self.payment);
        }
    }
}
