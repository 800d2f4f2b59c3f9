//! HTTP/2: many messages at once on a connection, each with a task of its own.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, Response};
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Desk, XML, message, message_to, plain};
use crate::conversation::Reply;
use crate::gate;
use crate::line::outbox::{Gathering, Outbox};
use crate::line::{Line, Wire};
use crate::tls::Caller as Peer;

/// What a caller may send of all messages together before any is read.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Room for the largest message.
const STREAM_WINDOW: u32 = 64 * 1024;
/// What is sent at once where much is to be sent.
const CHUNK_BYTES: usize = 16 * 1024;
const CHUNKS_PER_MIB: u32 = 64;
/// The lines of a head that no caller should take, of a kilobyte each.
const ENDLESS_LINES: usize = 1_024;

type Connection = server::Connection<Gathering, Bytes>;
type Accepted = Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

/// Serves a connection until it ends, or what is under way on it is through once `shutdown` is cancelled.
pub async fn serve(line: Line, desk: Arc<Desk>, shutdown: CancellationToken) {
    let (wire, peer) = (line.wire(), Arc::new(line.caller()));
    let (gathering, outbox) = Gathering::new(line);
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(desk.max_streams);
    let mut handshake = pin!(builder.handshake(gathering));
    let shaken = poll_fn(|cx| {
        let shaken = handshake.as_mut().poll(cx);
        if shaken.is_pending() {
            // Its first words wait in the outbox; where they cannot be written, what is read next fails.
            let _ = outbox.poll_empty(cx);
        }
        shaken
    });
    let Ok(mut connection) = shaken.await else { return };
    let leave = CancellationToken::new();
    let (mut leaving, mut ending) = (pin!(leave.cancelled()), pin!(shutdown.cancelled()));
    let (mut is_leaving, mut is_ending) = (false, false);
    loop {
        tokio::select! {
            biased;
            () = &mut leaving, if !is_leaving => {
                is_leaving = true;
                connection.abrupt_shutdown(Reason::NO_ERROR);
            }
            () = &mut ending, if !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
            }
            accepted = poll_fn(|cx| poll_accept(&mut connection, &outbox, cx)) => {
                let Some(Ok((request, response))) = accepted else { return };
                let (wire, peer, leave) = (wire.clone(), Arc::clone(&peer), leave.clone());
                let caller = Caller { response, peer, wire, leave };
                tokio::spawn(caller.serve(request, Arc::clone(&desk)));
            }
        }
    }
}

/// Sees to the connection, then writes what that has gathered.
fn poll_accept(connection: &mut Connection, outbox: &Outbox, cx: &mut Context<'_>) -> Poll<Accepted> {
    if let Poll::Ready(accepted) = connection.poll_accept(cx) {
        return Poll::Ready(accepted);
    }
    match outbox.poll_empty(cx) {
        Poll::Ready(Err(_)) => Poll::Ready(None),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    }
}

/// Who waits for an answer, and the connection that it comes on.
struct Caller {
    response: SendResponse<Bytes>,
    peer: Arc<Peer>,
    wire: Wire,
    /// Has the connection say GOAWAY and end.
    leave: CancellationToken,
}

impl Caller {
    async fn serve(mut self, request: Request<RecvStream>, desk: Arc<Desk>) {
        let answered = {
            let mut answering = pin!(answer(request, &desk, &self.peer));
            poll_fn(|cx| match answering.as_mut().poll(cx) {
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
                // As when the connection is closed under HTTP/1.1: nobody waits any more.
                Poll::Pending => self.response.poll_reset(cx).map(|_| None),
            })
            .await
        };
        match answered {
            Some(Ok(response)) => drop(self.send(response)),
            Some(Err(reply)) => drop(self.misbehave(reply).await),
            None => {}
        }
    }

    fn send(&mut self, response: Response<Bytes>) -> Result<(), h2::Error> {
        let (mut head, body) = response.into_parts();
        head.headers.insert(CONTENT_LENGTH, body.len().into());
        let mut stream = self.response.send_response(Response::from_parts(head, ()), false)?;
        stream.send_data(body, true)
    }

    /// Answers as no bank should.
    async fn misbehave(mut self, reply: Reply) -> Result<(), h2::Error> {
        match reply {
            Reply::Refusal => self.response.send_reset(Reason::REFUSED_STREAM),
            Reply::GoAway => self.leave.cancel(),
            Reply::Cut => self.wire.hang_up(),
            Reply::Half { xml } => {
                let mut stream = self.response.send_response(head(Some(xml.len())), false)?;
                let half = Bytes::copy_from_slice(xml.as_bytes().get(..xml.len() / 2).unwrap_or_default());
                stream.send_data(half, false)?;
                // A reset would take back what has not left yet.
                sleep(Duration::from_millis(20)).await;
                stream.send_reset(Reason::INTERNAL_ERROR);
            }
            Reply::Silence => drop(poll_fn(|cx| self.response.poll_reset(cx)).await),
            Reply::Drip { xml, pause, head: head_too } => {
                if head_too {
                    // A head is one frame here: it comes as late as its last byte would.
                    sleep(pause * 100).await;
                }
                let mut stream = self.response.send_response(head(Some(xml.len())), false)?;
                for byte in xml.into_bytes() {
                    sleep(pause).await;
                    stream.send_data(Bytes::from(vec![byte]), false)?;
                }
                stream.send_data(Bytes::new(), true)?;
            }
            Reply::EndlessHeaders => {
                let mut endless = head(None);
                if let Ok(filler) = HeaderValue::from_str(&"a".repeat(1_000)) {
                    for _ in 0..ENDLESS_LINES {
                        endless.headers_mut().append("x-filler", filler.clone());
                    }
                }
                self.response.send_response(endless, true)?;
            }
            Reply::HugeBody { xml, mib, length_told } => {
                let length = usize::try_from(mib).unwrap_or_default() * 1024 * 1024;
                let mut stream = self.response.send_response(head(length_told.then_some(length)), false)?;
                let spaces = Bytes::from(vec![b' '; CHUNK_BYTES]);
                let mut first = xml.into_bytes();
                first.resize(CHUNK_BYTES, b' ');
                send_slowly(&mut stream, first.into()).await?;
                for _ in 1..mib.saturating_mul(CHUNKS_PER_MIB) {
                    send_slowly(&mut stream, spaces.clone()).await?;
                }
                stream.send_data(Bytes::new(), true)?;
            }
            _ => self.response.send_reset(Reason::INTERNAL_ERROR),
        }
        Ok(())
    }
}

/// What the desk says to a request, or how else the connection ends.
async fn answer(request: Request<RecvStream>, desk: &Desk, peer: &Peer) -> Result<Response<Bytes>, Reply> {
    let (head, mut body) = request.into_parts();
    let Some(bank) = message_to(&head.method, &head.uri, &desk.banks) else {
        let body = read(&mut body).await.unwrap_or_default();
        let response = desk.router.clone().oneshot(Request::from_parts(head, Body::from(body))).await;
        let (head, body) = response.unwrap_or_default().into_parts();
        return Ok(Response::from_parts(head, to_bytes(body, usize::MAX).await.unwrap_or_default()));
    };
    plain(message(&bank, peer, &head.headers, read(&mut body)).await)
}

/// A whole body; none if it is too long, or breaks off.
async fn read(body: &mut RecvStream) -> Option<Bytes> {
    let mut whole: Vec<u8> = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.ok()?;
        body.flow_control().release_capacity(chunk.len()).ok()?;
        if whole.is_empty() && body.is_end_stream() {
            return Some(chunk);
        }
        if whole.len() + chunk.len() > gate::MAX_BYTES {
            return None;
        }
        whole.extend_from_slice(&chunk);
    }
    Some(whole.into())
}

fn head(length: Option<usize>) -> Response<()> {
    let mut head = Response::new(());
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(XML));
    if let Some(length) = length {
        head.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    head
}

/// Sends as the caller lets it.
async fn send_slowly(stream: &mut SendStream<Bytes>, mut chunk: Bytes) -> Result<(), h2::Error> {
    while !chunk.is_empty() {
        stream.reserve_capacity(chunk.len());
        let Some(room) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return Ok(()) };
        let part = chunk.split_to(room?.min(chunk.len()));
        stream.send_data(part, false)?;
    }
    Ok(())
}
