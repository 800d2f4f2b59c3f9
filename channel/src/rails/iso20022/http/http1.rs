//! HTTP/1.1: each connection carries one request at a time, and is kept for the next.
//!
//! A connection has no task of its own: whoever waits for an answer drives it, so that nobody has to be woken for that.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderValue},
};
use tokio::time::{Instant, sleep};
use url::{Position, Url};

use super::{
    Answered, Body, IDLE_TIMEOUT, NoAnswer, Own, check_head,
    dial::{Dialer, Stream, causes},
    post_to,
};

type Post = Request<Full<Bytes>>;

/// The way to one bank over HTTP/1.1, with the connections that are idle.
#[derive(Debug)]
pub(super) struct Http1 {
    dialer: Dialer,
    host: HeaderValue,
    path: Uri,
    idle: Arc<Mutex<Idle>>,
}

/// The connections that wait for their next request, the one that was used last at the end.
#[derive(Debug, Default)]
struct Idle {
    connections: Vec<(Instant, Box<Connection>)>,
    /// Whether a task closes those that wait too long.
    is_watched: bool,
}

/// A connection, on which at most one request is under way.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// None once it has ended: whatever still waited for it then hears so.
    driver: Option<http1::Connection<Stream, Full<Bytes>>>,
}

/// The head of an answer, and the connection that its body comes on.
#[derive(Debug)]
struct Begun {
    response: Response<Incoming>,
    connection: Box<Connection>,
}

impl Http1 {
    /// Prepares to call `address` over connections of `dialer`.
    pub(super) fn new(address: &Url, dialer: Dialer) -> Result<Self, String> {
        let host = &address[Position::BeforeHost..Position::AfterPort];
        let path = &address[Position::BeforePath..Position::AfterQuery];
        Ok(Self {
            dialer,
            host: host.parse().map_err(|_| "has a host that HTTP can't name")?,
            path: path.parse().map_err(|_| "has a path that HTTP can't name")?,
            idle: Arc::default(),
        })
    }

    /// Sends a document with its own headers, and returns the answer.
    pub(super) async fn post(&self, document: Bytes, own: Own) -> Result<Answered, NoAnswer> {
        let mut request = post_to(&self.path, Full::new(document), own);
        request.headers_mut().insert(HOST, self.host.clone());
        let mut answered = self.send(request).await?;
        check_head(&answered.response)?;
        let body = answered.connection.drive(body(answered.response.body_mut())).await?;
        self.keep(answered.connection);
        Ok(Answered { head: std::mem::take(answered.response.headers_mut()), body })
    }

    /// Sends a request. One on an idle connection that turns out closed is moved to another one only while nothing of it
    /// was written.
    async fn send(&self, mut request: Post) -> Result<Begun, NoAnswer> {
        loop {
            let idle = self.take();
            let is_new = idle.is_none();
            let mut connection = match idle {
                Some(connection) => connection,
                // In a place of its own: it is large and rarely needed.
                None => Box::pin(self.dialer.dial(greet)).await?,
            };
            // Shows whether it ended meanwhile.
            connection.drive(std::future::ready(())).await;
            let answered = connection.sender.try_send_request(request);
            match connection.drive(answered).await {
                Ok(response) => return Ok(Begun { response, connection }),
                Err(mut failure) => match failure.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(NoAnswer::Broken(causes(failure.error()))),
                },
            }
        }
    }

    fn take(&self) -> Option<Box<Connection>> {
        let mut idle = lock(&self.idle);
        match idle.connections.pop() {
            Some((since, connection)) if since.elapsed() < IDLE_TIMEOUT => Some(connection),
            _ => {
                idle.connections.clear();
                None
            }
        }
    }

    /// Keeps a connection whose answer was read to its end.
    fn keep(&self, connection: Box<Connection>) {
        if connection.driver.is_none() {
            return;
        }
        let mut idle = lock(&self.idle);
        idle.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut idle.is_watched, true) {
            tokio::spawn(close_idle(Arc::downgrade(&self.idle)));
        }
    }
}

impl Connection {
    /// Waits for what depends on the connection. The connection is seen to first: it has what is waited for.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if self.driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready()) {
                self.driver = None;
            }
            work.as_mut().poll(cx)
        })
        .await
    }
}

async fn greet(stream: Stream) -> Result<Box<Connection>, String> {
    let (sender, driver) = http1::handshake(stream).await.map_err(|error| causes(&error))?;
    Ok(Box::new(Connection { sender, driver: Some(driver) }))
}

async fn body(incoming: &mut Incoming) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Body::default();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| NoAnswer::Broken(causes(&error)))?;
        body.add(&frame.into_data().unwrap_or_default())?;
    }
    Ok(body.0)
}

/// Closes connections that were idle for too long, until there are none.
async fn close_idle(idle: Weak<Mutex<Idle>>) {
    loop {
        sleep(IDLE_TIMEOUT / 4).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = lock(&idle);
        idle.connections.retain(|(since, _)| since.elapsed() < IDLE_TIMEOUT);
        if idle.connections.is_empty() {
            idle.is_watched = false;
            return;
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
