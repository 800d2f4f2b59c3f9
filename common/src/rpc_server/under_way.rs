//! What callers at one address may have under way at once: so many calls, and so much of requests that are not whole yet.
//!
//! Either takes memory, and whoever can connect can begin a call, so that nobody may take as much of it as connections and streams allow.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use prost::bytes::Bytes;
use tokio::time::Sleep;
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{Layer, Service};

use super::{Peer, one_message::OneMessage};
use crate::{deadline::MAX_BUDGET, fault::Fault};

/// Bytes of requests from one address that are not whole yet. Requests come in one piece, so that few of them ever wait.
const MAX_UNREAD_BYTES: usize = 8 << 20;

/// What the paths of reflection begin with.
const REFLECTION: &str = "/grpc.reflection.";

/// What callers at one address have under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    calls: AtomicUsize,
    unread_bytes: AtomicUsize,
}

/// A call that is counted until it is dropped.
struct Call(Arc<UnderWay>);

impl Call {
    /// Counts a call, unless there are `max` from there already.
    fn begin(under_way: &Arc<UnderWay>, max: usize) -> Option<Self> {
        let before = under_way.calls.fetch_add(1, Ordering::Relaxed);
        // Counted from here on, so that a refusal counts it back.
        let call = Self(Arc::clone(under_way));
        (before < max).then_some(call)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Puts [`Bounded`] in front of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoundedLayer {
    /// Calls at once from one address.
    pub(super) max_calls: usize,
}

/// Refuses calls that are one too many, and requests that take too much memory or time to come.
#[derive(Clone, Debug)]
pub(super) struct Bounded<S> {
    inner: S,
    max_calls: usize,
}

impl<S> Layer<S> for BoundedLayer {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded { inner, max_calls: self.max_calls }
    }
}

impl<S: Service<Request<Body>, Response = Response<Body>>> Service<Request<Body>> for Bounded<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Whoever came in through no connection of this server is not counted.
        let Some(peer) = request.extensions().get::<Peer>() else {
            return Answering::Asked { call: None, answer: self.inner.call(request) };
        };
        let Some(call) = Call::begin(&peer.under_way, self.max_calls) else {
            let message = "too many calls from this address are under way; nothing was begun";
            return Answering::Refused { why: Fault::exhausted("TOO_MANY_CALLS", message) };
        };
        let under_way = Arc::clone(&peer.under_way);
        // Reflection is a conversation; all other calls take one message.
        let message = (!request.uri().path().starts_with(REFLECTION)).then(OneMessage::default);
        let request = request.map(|body| Body::new(Unread::new(body, under_way, message, MAX_BUDGET)));
        Answering::Asked { call: Some(call), answer: self.inner.call(request) }
    }
}

pin_project! {
    /// What comes of a call.
    #[project = AnsweringProjection]
    pub(super) enum Answering<F> {
        /// The answer will.
        Asked { call: Option<Call>, #[pin] answer: F },
        /// It is refused.
        Refused { why: Fault },
    }
}

impl<F: Future<Output = Result<Response<Body>, E>>, E> Future for Answering<F> {
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnsweringProjection::Asked { call, answer } => {
                let answer = ready!(answer.poll(context))?;
                let call = call.take();
                Poll::Ready(Ok(answer.map(|body| Body::new(Answered { body, _call: call }))))
            }
            AnsweringProjection::Refused { why } => Poll::Ready(Ok(Status::from(why.clone()).into_http())),
        }
    }
}

/// A request's body, whose bytes are counted until all are there or nobody wants them any more.
struct Unread {
    body: Body,
    bytes: usize,
    under_way: Arc<UnderWay>,
    /// The one message that it may have; any number if there is none.
    message: Option<OneMessage>,
    /// How long it may take to come.
    within: Duration,
    /// When it is waited for no longer; nobody had to wait yet if there is none.
    too_late: Option<Pin<Box<Sleep>>>,
}

impl Unread {
    fn new(body: Body, under_way: Arc<UnderWay>, message: Option<OneMessage>, within: Duration) -> Self {
        Self { body, bytes: 0, under_way, message, within, too_late: None }
    }

    /// Looks at what has come, and counts it if more is to follow.
    fn take(&mut self, piece: &[u8]) -> Result<(), Fault> {
        if self.message.as_mut().is_some_and(|message| !message.take(piece)) {
            return Err(Fault::malformed("this call takes one message, and nothing may follow it"));
        }
        if self.body.is_end_stream() {
            self.give_back();
            return Ok(());
        }
        self.bytes += piece.len();
        let before = self.under_way.unread_bytes.fetch_add(piece.len(), Ordering::Relaxed);
        if before + piece.len() > MAX_UNREAD_BYTES {
            let message = "too much of requests from this address that are not whole yet; nothing was begun";
            return Err(Fault::exhausted("TOO_MUCH_UNREAD", message));
        }
        Ok(())
    }

    /// They take no memory of the server's any more.
    fn give_back(&mut self) {
        self.under_way.unread_bytes.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }

    fn is_too_late(&mut self, context: &mut Context<'_>) -> bool {
        let within = self.within;
        let too_late = self.too_late.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        too_late.as_mut().poll(context).is_ready()
    }
}

impl http_body::Body for Unread {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            if self.is_too_late(context) {
                return Poll::Ready(Some(Err(Fault::request_too_slow().into())));
            }
            return Poll::Pending;
        };
        let Some(Ok(piece)) = &frame else {
            self.give_back();
            return Poll::Ready(frame);
        };
        match self.take(piece.data_ref().map_or(&[], |bytes| bytes.as_ref())) {
            Ok(()) => Poll::Ready(frame),
            Err(fault) => Poll::Ready(Some(Err(fault.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// An answer's body, which ends its call.
struct Answered {
    body: Body,
    _call: Option<Call>,
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_stream::{StreamExt, wrappers::ReceiverStream};
    use tonic::Code;

    use super::*;

    /// A body that comes piece by piece, and what is counted of it.
    fn unread() -> (mpsc::Sender<Bytes>, Pin<Box<Unread>>, Arc<UnderWay>) {
        let (pieces, body) = mpsc::channel(1);
        let frames = ReceiverStream::new(body).map(|piece| Ok::<_, Status>(Frame::data(piece)));
        let under_way = Arc::new(UnderWay::default());
        let body = Body::new(http_body_util::StreamBody::new(frames));
        let within = Duration::from_millis(300);
        let unread = Unread::new(body, Arc::clone(&under_way), None, within);
        (pieces, Box::pin(unread), under_way)
    }

    async fn next(unread: &mut Pin<Box<Unread>>) -> Option<Result<Frame<Bytes>, Status>> {
        std::future::poll_fn(|context| http_body::Body::poll_frame(unread.as_mut(), context)).await
    }

    #[tokio::test]
    async fn a_request_that_is_not_whole_in_time_is_given_up_however_it_drips() {
        let (pieces, mut unread, _) = unread();
        let dripping = tokio::spawn(async move {
            while pieces.send(Bytes::from_static(b"x")).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let given_up = loop {
            if let Err(given_up) = next(&mut unread).await.expect("a word") {
                break given_up;
            }
        };
        assert_eq!(given_up.code(), Code::DeadlineExceeded);
        dripping.abort();
    }

    #[tokio::test]
    async fn bytes_count_until_they_are_whole_or_unwanted() {
        let count = |under_way: &UnderWay| under_way.unread_bytes.load(Ordering::Relaxed);
        let (pieces, mut unread, under_way) = unread();
        for size in [MAX_UNREAD_BYTES - 1, 1] {
            pieces.send(vec![0; size].into()).await.expect("wanted");
            assert!(next(&mut unread).await.is_some_and(|frame| frame.is_ok()));
        }
        assert_eq!(count(&under_way), MAX_UNREAD_BYTES);
        pieces.send(Bytes::from_static(b"x")).await.expect("wanted");
        let refused = next(&mut unread).await.expect("a word").expect_err("too much");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        drop(unread);
        assert_eq!(count(&under_way), 0);

        let (pieces, mut unread, under_way) = self::unread();
        pieces.send(Bytes::from_static(b"xx")).await.expect("wanted");
        next(&mut unread).await.expect("a frame").expect("good");
        assert_eq!(count(&under_way), 2);
        drop(pieces);
        assert!(next(&mut unread).await.is_none());
        assert_eq!(count(&under_way), 0, "whole");
    }

    #[test]
    fn calls_count_until_they_end() {
        let under_way = Arc::new(UnderWay::default());
        let mut calls: Vec<Call> = (0..3).filter_map(|_| Call::begin(&under_way, 3)).collect();
        assert_eq!(calls.len(), 3);
        assert!(Call::begin(&under_way, 3).is_none());
        calls.pop();
        assert!(Call::begin(&under_way, 3).is_some());
        assert!(Call::begin(&under_way, 3).is_some(), "the last one has ended");
    }
}
