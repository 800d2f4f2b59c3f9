//! What HTTP/2 writes, gathered: it would write each message by itself, and one write may do for many.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Line, Wire};

/// What may wait to be written.
const MAX_BYTES: usize = 256 * 1024;

/// Bytes that wait to be written to a connection.
#[derive(Debug, Clone)]
pub struct Outbox {
    wire: Wire,
    bytes: Arc<Mutex<Vec<u8>>>,
}

/// A connection whose bytes go to its outbox.
#[derive(Debug)]
pub struct Gathering {
    line: Line,
    outbox: Outbox,
}

impl Gathering {
    /// Has the line's bytes gathered. Nothing is written but by the outbox.
    pub fn new(line: Line) -> (Self, Outbox) {
        let outbox = Outbox { wire: line.wire(), bytes: Arc::default() };
        (Self { line, outbox: outbox.clone() }, outbox)
    }
}

impl Outbox {
    /// Writes all that waits.
    pub fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while !bytes.is_empty() {
            let count = ready!(self.wire.poll_write(cx, &bytes))?;
            bytes.drain(..count);
        }
        self.wire.poll_flush(cx)
    }

    fn poll_add(&self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        let is_full = self.bytes.lock().unwrap_or_else(PoisonError::into_inner).len() >= MAX_BYTES;
        if is_full {
            ready!(self.poll_empty(cx))?;
        }
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(more);
        Poll::Ready(Ok(more.len()))
    }
}

impl AsyncRead for Gathering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gathering {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.poll_add(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.poll_empty(cx)
    }
}
