//! HTTP/2: many requests share a connection, whose task writes what has gathered and hands out the answers.
//!
//! A bank has few connections: a further one comes about only when those that there are can take no more requests. A
//! connection counts as having come about when the bank's settings are there, so that a bank that speaks something else
//! never sees a request.

mod wire;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use h2::{
    Reason, RecvStream, StreamId,
    client::{self, SendRequest},
};
use hyper::{Response, Uri, body::Bytes, header::CONTENT_LENGTH};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};
use url::{Position, Url};

use super::{
    Answered, Body, IDLE_TIMEOUT, NoAnswer, Own, check_head,
    dial::{Dialer, Stream, causes},
    post_to,
};
use crate::rails::iso20022::gate;
use wire::Wire;

/// Requests on a connection at once, where the bank allows more: whatever cuts one makes so many payments unknown.
const MAX_STREAMS: usize = 1_000;
/// How often a request that certainly was not dealt with is sent in all.
const MAX_ATTEMPTS: u32 = 3;
/// What a bank may send of all answers together before any is read.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What the head of an answer may come to.
const MAX_HEAD_BYTES: u32 = 16 * 1024;
/// The least that the protocol allows.
const MAX_FRAME_BYTES: u32 = 16 * 1024;
/// Requests that were given up lately, whose late answers are known as such; and for how long.
const MAX_GIVEN_UP: usize = 1_024;
const GIVEN_UP_FOR: Duration = Duration::from_secs(10);
/// Answers that break the protocol, each of which costs a request; with more, the connection goes.
const MAX_BAD_ANSWERS: usize = 64;

type Driver = client::Connection<Wire<TokioIo<Stream>>, Bytes>;

/// The way to one bank over HTTP/2.
#[derive(Debug)]
pub(super) struct Http2 {
    dialer: Dialer,
    address: Uri,
    pool: Arc<Pool>,
}

/// The connections to a bank.
#[derive(Debug, Default)]
struct Pool {
    connections: Mutex<Connections>,
    /// Held by who makes a connection; others may want to wait for that one.
    dialling: tokio::sync::Mutex<()>,
    /// Told when there may be a place for a request.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    all: Vec<Arc<Connection>>,
    /// Whether a task closes those that are idle.
    is_watched: bool,
}

/// A connection; its task goes on until it has ended, or nobody has it any more.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Bytes>,
    wire: Wire<TokioIo<Stream>>,
    requests: AtomicUsize,
}

/// One request's place on a connection.
#[derive(Debug)]
struct Place<'a> {
    connection: Arc<Connection>,
    pool: &'a Pool,
    is_answered: bool,
}

impl Http2 {
    /// Prepares to call `address` over connections of `dialer`.
    pub(super) fn new(address: &Url, dialer: Dialer) -> Result<Self, String> {
        let address = &address[..Position::AfterQuery];
        Ok(Self {
            dialer,
            address: address.parse().map_err(|_| "is an address that HTTP can't name")?,
            pool: Arc::default(),
        })
    }

    /// Sends a document with its own headers, and returns the answer.
    pub(super) async fn post(&self, document: Bytes, own: Own) -> Result<Answered, NoAnswer> {
        let deadline = Instant::now() + self.dialer.timeout();
        let mut attempts = 1;
        loop {
            let place = timeout_at(deadline, self.place()).await;
            let no_place = |_| NoAnswer::Unreachable("no connection had a place for it in time".to_owned());
            let mut place = place.map_err(no_place)??;
            match place.ask(&self.address, document.clone(), own.clone()).await {
                Ok(mut response) => {
                    place.is_answered = true;
                    check_head(&response)?;
                    let read = body(response.body_mut()).await;
                    let body = read.map_err(|error| place.connection.broken(&error))??;
                    return Ok(Answered { head: std::mem::take(response.headers_mut()), body });
                }
                Err(NoAnswer::Unreachable(_)) if attempts < MAX_ATTEMPTS => attempts += 1,
                Err(no_answer) => return Err(no_answer),
            }
        }
    }

    /// A place on one of the connections, or on a new one if they have none.
    async fn place(&self) -> Result<Place<'_>, NoAnswer> {
        let patience = self.dialer.timeout();
        if let Some(place) = self.pool.take(patience) {
            return Ok(place);
        }
        loop {
            let mut freed = pin!(self.pool.freed.notified());
            freed.as_mut().enable();
            if let Some(place) = self.pool.take(patience) {
                return Ok(place);
            }
            tokio::select! {
                _turn = self.pool.dialling.lock() => match self.pool.take(patience) {
                    Some(place) => return Ok(place),
                    None => {
                        let (connection, driver) = Box::pin(self.dialer.dial(greet)).await?;
                        return Ok(self.pool.add(connection, driver));
                    }
                },
                () = freed => {}
            }
        }
    }
}

impl Pool {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, patience: Duration) -> Option<Place<'_>> {
        let connections = self.connections();
        let connection = connections.all.iter().find(|connection| connection.has_place(patience))?;
        Some(self.place_on(Arc::clone(connection)))
    }

    fn place_on(&self, connection: Arc<Connection>) -> Place<'_> {
        connection.requests.fetch_add(1, Ordering::Relaxed);
        Place { connection, pool: self, is_answered: false }
    }

    /// Keeps a new connection, and gives its first place away.
    fn add(self: &Arc<Self>, connection: Connection, driver: Driver) -> Place<'_> {
        let connection = Arc::new(connection);
        tokio::spawn(drive(driver, connection.wire.clone(), Arc::downgrade(self)));
        let place = self.place_on(Arc::clone(&connection));
        let mut connections = self.connections();
        connections.all.push(connection);
        if !std::mem::replace(&mut connections.is_watched, true) {
            tokio::spawn(close_idle(Arc::downgrade(self)));
        }
        self.freed.notify_waiters();
        place
    }
}

impl Connection {
    fn has_place(&self, patience: Duration) -> bool {
        self.requests.load(Ordering::Relaxed) < self.sender.current_max_send_streams().min(MAX_STREAMS)
            && !self.is_idle()
            && self.wire.takes_requests(patience)
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && self.wire.heard_ago() >= IDLE_TIMEOUT
    }

    /// What an error in place of an answer means. Only what is certain is [`NoAnswer::Unreachable`]: the bank has refused
    /// the request unseen (RFC 9113, 8.7), or it came after the last one that the bank deals with on this connection
    /// (6.8), or nothing was written since before the request, and nothing will be.
    fn judge(&self, error: &h2::Error, request: StreamId, mark: u64) -> NoAnswer {
        let is_refused =
            error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
        let is_untouched = is_refused
            || self.wire.is_turned_away(request.as_u32())
            || (!error.is_reset() && self.wire.shut_unless_written(mark));
        if is_untouched { NoAnswer::Unreachable(causes(error)) } else { self.broken(error) }
    }

    /// What ends a connection is told of by the first of the requests on it.
    fn broken(&self, error: &h2::Error) -> NoAnswer {
        match error.is_reset() || self.wire.is_first_to_tell() {
            true => NoAnswer::Broken(causes(error)),
            false => NoAnswer::BrokenBesides(causes(error)),
        }
    }
}

impl Place<'_> {
    /// Sends a request and waits for the head of its answer. Whoever stops waiting cancels the request.
    async fn ask(&self, address: &Uri, document: Bytes, own: Own) -> Result<Response<RecvStream>, NoAnswer> {
        let Connection { sender, wire, .. } = &*self.connection;
        let mut request = post_to(address, (), own);
        request.headers_mut().insert(CONTENT_LENGTH, document.len().into());
        let mark = wire.mark();
        let (answer, mut body) = sender.clone().send_request(request, false).map_err(|error| {
            // Nothing more can be sent on this connection.
            wire.take_no_more();
            NoAnswer::Unreachable(causes(&error))
        })?;
        let request = answer.stream_id();
        let sent = body.send_data(document, true);
        drop(body);
        match sent {
            Ok(()) => answer.await,
            Err(error) => Err(error),
        }
        .map_err(|error| self.connection.judge(&error, request, mark))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let before = self.connection.requests.fetch_sub(1, Ordering::Relaxed);
        if before == 1 && self.is_answered {
            self.connection.wire.rest();
        }
        self.pool.freed.notify_one();
    }
}

/// Says the first words on a connection, and waits for the bank's.
async fn greet(stream: Stream) -> Result<(Connection, Driver), String> {
    let wire = Wire::new(TokioIo::new(stream));
    let window = u32::try_from(gate::MAX_BYTES).unwrap_or(u32::MAX);
    let handshake = client::Builder::new()
        .enable_push(false)
        .initial_window_size(window)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_concurrent_reset_streams(MAX_GIVEN_UP)
        .reset_stream_duration(GIVEN_UP_FOR)
        .max_local_error_reset_streams(Some(MAX_BAD_ANSWERS))
        // Until the bank's settings say otherwise.
        .initial_max_send_streams(0)
        .handshake::<_, Bytes>(wire.clone())
        .await;
    let (sender, mut driver) = handshake.map_err(|error| causes(&error))?;
    poll_fn(|cx| match wire.poll_drive(&mut driver, cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err("the bank closed it at once".to_owned())),
        Poll::Ready(Err(error)) => {
            Poll::Ready(Err(format!("the bank does not speak HTTP/2: {}", causes(&error))))
        }
        Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((Connection { sender, wire, requests: AtomicUsize::new(0) }, driver))
}

/// Sees to a connection until it has ended.
async fn drive(mut driver: Driver, wire: Wire<TokioIo<Stream>>, pool: Weak<Pool>) {
    if let Err(error) = poll_fn(|cx| wire.poll_drive(&mut driver, cx)).await {
        tracing::debug!(error = causes(&error), "a connection to a bank ended");
    }
    drop(driver);
    wire.shut();
    let Some(pool) = pool.upgrade() else { return };
    pool.connections().all.retain(|connection| !connection.wire.is_shut());
    pool.freed.notify_waiters();
}

/// Closes connections that were idle for too long, and those whose requests were all given up, until there are none.
async fn close_idle(pool: Weak<Pool>) {
    loop {
        sleep(IDLE_TIMEOUT / 4).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut connections = pool.connections();
        connections.all.retain(|connection| !connection.is_idle());
        if connections.all.is_empty() {
            connections.is_watched = false;
            return;
        }
    }
}

async fn body(incoming: &mut RecvStream) -> Result<Result<Vec<u8>, NoAnswer>, h2::Error> {
    let mut body = Body::default();
    while let Some(chunk) = incoming.data().await {
        let chunk = chunk?;
        if let Err(too_long) = body.add(&chunk) {
            return Ok(Err(too_long));
        }
        incoming.flow_control().release_capacity(chunk.len())?;
    }
    Ok(Ok(body.0))
}
