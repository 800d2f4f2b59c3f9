//! The bytes of a connection, below HTTP/2, which does not tell of itself what must be known of them: whether any left,
//! whether anything was heard, and which request is the last that the bank deals with.
//!
//! It also gathers what is written, so that many requests leave at once: HTTP/2 by itself would write each.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::client;
use hyper::body::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// What may wait to be written.
const MAX_GATHERED_BYTES: usize = 256 * 1024;

/// A connection's bytes, for HTTP/2 and for whoever wants to know of them.
#[derive(Debug)]
pub(super) struct Wire<S>(Arc<Mutex<State<S>>>);

#[derive(Debug)]
struct State<S> {
    /// None once nothing more is read or written.
    stream: Option<S>,
    gathered: Vec<u8>,
    /// How much of what is gathered is written.
    gone: usize,
    /// How much was ever written.
    written: u64,
    heard_at: Instant,
    /// Since when something is awaited, and nothing was heard.
    awaits_since: Option<Instant>,
    takes_requests: bool,
    /// Whether somebody has told that it is broken.
    is_told_of: bool,
    frames: Frames,
}

/// Follows the frames that the bank sends, for its GOAWAY.
#[derive(Debug, Default)]
struct Frames {
    /// The beginning of a frame, as far as it is there.
    begun: Vec<u8>,
    /// What is still to come of a frame that is of no interest.
    rest: usize,
    /// The last request that the bank deals with on this connection, if it has said so.
    last: Option<u32>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// The bytes of a connection that has just come about.
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(State {
            stream: Some(stream),
            gathered: Vec::new(),
            gone: 0,
            written: 0,
            heard_at: Instant::now(),
            awaits_since: None,
            takes_requests: true,
            is_told_of: false,
            frames: Frames::default(),
        })))
    }

    /// Notes that a request is about to be sent, and returns what was written before it.
    pub(super) fn mark(&self) -> u64 {
        let mut state = self.state();
        state.awaits_since.get_or_insert_with(Instant::now);
        state.written
    }

    /// Notes that every answer has come.
    pub(super) fn rest(&self) {
        self.state().awaits_since = None;
    }

    /// Whether the next request may be sent here: not where the bank takes no more, nor where an answer was awaited for
    /// as long as `patience` and nothing at all was heard, as on a connection that is dead.
    pub(super) fn takes_requests(&self, patience: Duration) -> bool {
        let state = self.state();
        let is_dead = state.awaits_since.is_some_and(|since| since.elapsed() >= patience);
        state.stream.is_some() && state.takes_requests && state.frames.last.is_none() && !is_dead
    }

    /// No request is sent here any more.
    pub(super) fn take_no_more(&self) {
        self.state().takes_requests = false;
    }

    /// Whether nobody has told yet that it is broken.
    pub(super) fn is_first_to_tell(&self) -> bool {
        !std::mem::replace(&mut self.state().is_told_of, true)
    }

    /// How long nothing was heard.
    pub(super) fn heard_ago(&self) -> Duration {
        self.state().heard_at.elapsed()
    }

    /// Whether the bank has said that it does not deal with this request.
    pub(super) fn is_turned_away(&self, request: u32) -> bool {
        self.state().frames.last.is_some_and(|last| request > last)
    }

    /// Whether nothing was written since `mark`, and then nothing ever will be.
    pub(super) fn shut_unless_written(&self, mark: u64) -> bool {
        let mut state = self.state();
        let is_untouched = state.written == mark;
        if is_untouched {
            state.shut();
        }
        is_untouched
    }

    /// Reads and writes nothing more.
    pub(super) fn shut(&self) {
        self.state().shut();
    }

    /// Whether nothing more is read or written.
    pub(super) fn is_shut(&self) -> bool {
        self.state().stream.is_none()
    }

    /// Sees to the connection that is spoken on these bytes, and writes what that has gathered.
    pub(super) fn poll_drive(
        &self,
        driver: &mut client::Connection<Self, Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), h2::Error>> {
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut *driver).poll(cx) {
                return Poll::Ready(ended);
            }
            let mut state = self.state();
            match state.poll_write_gathered(cx) {
                // The connection finds that when it reads.
                Poll::Ready(Err(_)) => state.shut(),
                Poll::Ready(Ok(())) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Wire<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> State<S> {
    fn shut(&mut self) {
        self.stream = None;
        self.gathered = Vec::new();
        self.gone = 0;
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>>
    where
        S: Unpin,
    {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: AsyncWrite + Unpin> State<S> {
    fn poll_write_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream: Some(stream), gathered, gone, written, .. } = self else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let Some(left) = gathered.get(*gone..).filter(|left| !left.is_empty()) {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, left))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *gone += count;
            *written += u64::try_from(count).unwrap_or(u64::MAX);
        }
        ready!(Pin::new(stream).poll_flush(cx))?;
        gathered.clear();
        *gone = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = buffer.filled().len();
        ready!(state.stream()?.poll_read(cx, buffer))?;
        if let Some(heard) = buffer.filled().get(before..).filter(|heard| !heard.is_empty()) {
            state.frames.follow(heard);
            let now = Instant::now();
            state.heard_at = now;
            state.awaits_since = state.awaits_since.map(|_| now);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stream()?;
        if state.gathered.len() >= MAX_GATHERED_BYTES {
            ready!(state.poll_write_gathered(cx))?;
        }
        state.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Nothing to do: what is gathered is written when the connection has been seen to.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ready!(state.poll_write_gathered(cx))?;
        state.stream()?.poll_shutdown(cx)
    }
}

impl Frames {
    const HEAD_BYTES: usize = 9;
    const GO_AWAY: u8 = 7;

    /// Takes what has come.
    fn follow(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let wanted = match self.begun.get(3) {
                // The identifier of the last request follows the head.
                Some(&Self::GO_AWAY) => Self::HEAD_BYTES + 4,
                _ => Self::HEAD_BYTES,
            };
            let (taken, later) = bytes.split_at(bytes.len().min(wanted.saturating_sub(self.begun.len())));
            if taken.is_empty() {
                return;
            }
            self.begun.extend_from_slice(taken);
            bytes = later;
            self.read();
        }
    }

    /// Reads the beginning of a frame, if all that is of interest is there.
    fn read(&mut self) {
        let [a, b, c, kind, _, _, _, _, _, ref payload @ ..] = *self.begun.as_slice() else { return };
        let length = [a, b, c].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if kind == Self::GO_AWAY {
            let [a, b, c, d] = *payload else { return };
            let last = u32::from_be_bytes([a & 0x7f, b, c, d]);
            self.last = Some(self.last.map_or(last, |before| before.min(last)));
        }
        self.rest = length.saturating_sub(payload.len());
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_gathered_and_not_written_never_is_once_that_was_said() {
        let (ours, mut theirs) = tokio::io::duplex(1_024);
        let mut wire = Wire::new(ours);
        wire.write_all(b"first").await.expect("gathered");
        poll_fn(|cx| wire.state().poll_write_gathered(cx)).await.expect("written");
        let mark = wire.mark();
        wire.write_all(b"request").await.expect("gathered");
        assert!(wire.shut_unless_written(mark));
        assert!(wire.is_shut() && poll_fn(|cx| wire.state().poll_write_gathered(cx)).await.is_err());
        let mut heard = String::new();
        theirs.read_to_string(&mut heard).await.expect("closed");
        assert_eq!(heard, "first");
    }

    #[tokio::test]
    async fn of_what_was_written_since_nothing_is_certain() {
        let (ours, _theirs) = tokio::io::duplex(4);
        let mut wire = Wire::new(ours);
        let mark = wire.mark();
        wire.write_all(b"request").await.expect("gathered");
        // The other side takes a part, and no more.
        let written = poll_fn(|cx| Poll::Ready(wire.state().poll_write_gathered(cx))).await;
        assert!(written.is_pending());
        assert!(!wire.shut_unless_written(mark) && !wire.is_shut());
    }

    #[test]
    fn a_go_away_is_found_however_it_is_cut() {
        let frame = |kind, payload: &[u8]| {
            let length = u8::try_from(payload.len()).expect("short");
            [&[0, 0, length, kind, 0, 0, 0, 0, 0], payload].concat()
        };
        // The body of the first looks like a GOAWAY.
        let inside = frame(Frames::GO_AWAY, &[0, 0, 0, 1, 0, 0, 0, 0]);
        let go_away = |last: u8| frame(Frames::GO_AWAY, &[0x80, 0, 0, last, 0, 0, 0, 0, b'x']);
        let all =
            [frame(0, &inside), frame(4, &[]), go_away(9), frame(0, b"x"), go_away(5), go_away(7)].concat();
        for cut in 1..all.len() {
            let mut frames = Frames::default();
            all.chunks(cut).for_each(|part| frames.follow(part));
            assert_eq!(frames.last, Some(5), "{cut}");
        }
        let mut frames = Frames::default();
        frames.follow(&frame(0, &inside));
        assert_eq!(frames.last, None);
    }
}
