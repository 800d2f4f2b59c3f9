//! The path of a payment, one file a step: [`intake`] → [`book`] → [`settle`] → [`book`], and [`recover`], which enters
//! the same path wherever a payment was left.

pub mod archive;
pub mod book;
pub mod broker;
mod conversation;
pub mod declined;
pub mod deposits;
mod fence;
mod forgetting;
mod incoming;
pub mod intake;
mod message;
pub mod notice;
pub mod observe;
pub mod overdue;
mod pace;
pub mod publish;
mod queue;
pub mod recover;
pub mod seal;
pub mod settle;
pub mod signatures;
mod waiters;
pub mod webhooks;

use std::{sync::Arc, time::Duration};

use common::{clock::Clock, lifecycle::Lifecycle};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{
    broker::Broker,
    channel_link::{ChannelLink, Composer, Noticed},
    directory::Directory,
    fingerprint::Fingerprints,
    metrics,
    store::Store,
};

use book::{Book, ToSend};
use publish::Published;
use waiters::Waiters;

/// What the steps share.
#[derive(Debug)]
pub struct Flow {
    store: Store,
    clock: Clock,
    directory: Directory,
    channel: ChannelLink,
    composer: Composer,
    book: Book,
    waiters: Waiters,
    published: Published,
    /// Payments being settled; they are waited for before the process ends.
    settling: TaskTracker,
    fingerprints: Fingerprints,
    limits: Limits,
}

/// How much may be under way, how far clocks may differ, how long what is over stays, when it is sealed, how long and how many deposits
/// wait, and how long events are kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Payments under way at once; more are refused before anything is written.
    pub max_under_way: usize,
    /// How far the bank's clock may differ from ours: "never received" binds only this long after the bank stops taking
    /// the payment.
    pub max_clock_skew: Duration,
    /// How long payments that are over stay where every payment is written; none: for ever.
    pub archive_after: Option<Duration>,
    /// How old what was decided is when the audit log takes it up.
    pub seal_after: Duration,
    /// How long a deposit waits for its approval.
    pub deposits_lapse_after: Duration,
    /// How long events are kept for those who watch, and what was delivered to webhooks.
    pub keep_events: Duration,
    /// How long what banks said is kept for people.
    pub keep_bank_messages: Duration,
    /// How many deposits of one participant wait for their approval.
    pub max_pending_deposits: usize,
}

/// The parts that a flow is made of.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// The banks that can be instructed.
    pub directory: Directory,
    /// The streams to the channels.
    pub channel: ChannelLink,
    /// Has the channel write what it does not send.
    pub composer: Composer,
    /// The ledger's one writer.
    pub book: Book,
    /// Payments that the book has written and that are to be sent.
    pub submissions: mpsc::UnboundedReceiver<ToSend>,
    /// What banks say unasked.
    pub notices: mpsc::Receiver<Noticed>,
    /// Tells repeats of what banks send from other content.
    pub fingerprints: Fingerprints,
    /// How much may be under way.
    pub limits: Limits,
    /// Where events are published, if anywhere.
    pub broker: Option<Broker>,
}

impl Flow {
    /// Puts the steps together and starts settling and recovering, until the lifecycle drains.
    pub fn start(parts: Parts, lifecycle: &Lifecycle) -> Arc<Self> {
        let Parts { store, clock, directory, channel, composer, book, submissions, notices, .. } = parts;
        let Parts { fingerprints, limits, broker, .. } = parts;
        let settling = TaskTracker::new();
        let (waiting, under_way) = (book.clone(), settling.clone());
        metrics::observe_flow(move || waiting.waiting(), move || under_way.len());
        metrics::observe_pool(store.pool());
        let flow = Arc::new(Self {
            store,
            clock,
            directory,
            channel,
            composer,
            book,
            waiters: Waiters::default(),
            published: Published::default(),
            settling,
            fingerprints,
            limits,
        });
        tokio::spawn(settle::run(Arc::clone(&flow), submissions));
        tokio::spawn(notice::run(Arc::clone(&flow), notices));
        tokio::spawn(recover::run(Arc::clone(&flow), lifecycle.clone()));
        tokio::spawn(overdue::run(Arc::clone(&flow), lifecycle.clone()));
        tokio::spawn(deposits::run(Arc::clone(&flow), lifecycle.clone()));
        forgetting::begin(&flow, lifecycle);
        tokio::spawn(publish::run(Arc::clone(&flow), lifecycle.clone()));
        tokio::spawn(observe::run(Arc::clone(&flow), lifecycle.clone(), broker.is_some()));
        tokio::spawn(webhooks::run(Arc::clone(&flow), lifecycle.clone()));
        if let Some(broker) = broker {
            tokio::spawn(broker::run(Arc::clone(&flow), broker, lifecycle.clone()));
        }
        tokio::spawn(seal::run(Arc::clone(&flow), lifecycle.clone(), flow.limits.seal_after));
        if let Some(keep) = flow.limits.archive_after {
            tokio::spawn(archive::run(Arc::clone(&flow), lifecycle.clone(), keep));
        }
        flow
    }

    /// The database, for reads.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The banks that can be instructed.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What happens to payments, as it comes.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// The ledger's one writer.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Completes when no payment is being settled any more.
    pub async fn settled(&self) {
        self.settling.close();
        self.settling.wait().await;
    }
}
