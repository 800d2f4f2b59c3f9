//! A receiver of webhooks: a real server of HTTP that answers as it is told and keeps what it was sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, Uri},
    response::{IntoResponse, Response},
    serve::Listener,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    BenchError,
    certificates::Authority,
    tls_listener::{Shown, TlsListener},
};

/// How long is waited for what should come.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With a status and nothing else.
    Status(u16),
    /// With a status and this header.
    Header(u16, &'static str, String),
    /// With 200 and a body that never ends.
    Endless,
    /// With 200 and so many lines of head.
    Headers(usize),
    /// Not within a minute.
    Never,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// Where to: the path.
    pub path: String,
    /// Its head.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Received {
    /// The text of a header; empty without one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Its body, as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Known {
    answers: VecDeque<Answer>,
    received: Vec<Received>,
}

type Shared = Arc<Mutex<Known>>;

fn known(shared: &Shared) -> MutexGuard<'_, Known> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The receiver; dropping it ends it.
#[derive(Debug)]
pub struct Receiver {
    origin: String,
    shared: Shared,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// Starts one, which answers 204 unless it is told otherwise.
    ///
    /// # Errors
    /// When it can't listen.
    pub async fn start() -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        Ok(Self::serve(listener, origin))
    }

    /// Starts one over TLS, with a certificate of this CA.
    ///
    /// # Errors
    /// When it can't listen.
    pub async fn start_over_tls(ca: &Authority) -> Result<Self, BenchError> {
        let listener = TlsListener::bind(&Shown::of(ca)?).await?;
        let origin = listener.origin()?;
        Ok(Self::serve(listener, origin))
    }

    fn serve(listener: impl Listener<Addr: std::fmt::Debug>, origin: String) -> Self {
        let shared = Shared::default();
        let routes = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        Self { origin, shared, serving }
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.origin)
    }

    /// Has the next requests answered so, and all others as ever.
    pub fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        known(&self.shared).answers = answers.into_iter().collect();
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Received> {
        known(&self.shared).received.clone()
    }

    /// Waits until so much has come.
    ///
    /// # Errors
    /// When it does not.
    pub async fn wait_for(&self, count: usize) -> Result<Vec<Received>, BenchError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let received = self.received();
            if received.len() >= count {
                return Ok(received);
            }
            if Instant::now() > until {
                return Err(format!("{} of {count} webhooks came", received.len()).into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn take(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let answer = {
        let mut known = known(&shared);
        known.received.push(Received { at: Instant::now(), path: uri.path().to_owned(), headers, body });
        known.answers.pop_front().unwrap_or(Answer::Status(204))
    };
    let status = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match answer {
        Answer::Status(code) => status(code).into_response(),
        Answer::Header(code, name, value) => (status(code), [(name, value)]).into_response(),
        Answer::Endless => {
            let chunk = || Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 1_024]));
            Body::from_stream(tokio_stream::iter(std::iter::repeat_with(chunk))).into_response()
        }
        Answer::Headers(count) => {
            let lines = (0..count).filter_map(|number| {
                Some((HeaderName::try_from(format!("x-{number}")).ok()?, "x".parse().ok()?))
            });
            (StatusCode::OK, lines.collect::<HeaderMap>()).into_response()
        }
        Answer::Never => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::OK.into_response()
        }
    }
}
