//! Listeners that can go down, and connections that the bank can hang up on or write to past HTTP.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub mod outbox;

/// Connections that the system queues before they are accepted.
const BACKLOG: u32 = 1_024;

/// Whether a bank can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// As a bank should be.
    Up,
    /// Connections come about, and nothing is read or answered.
    Hung,
    /// Connections are refused, and those that there were are gone.
    Down,
}

/// Accepts connections as long as the link is up, with small packets sent at once.
#[derive(Debug)]
pub struct BankListener {
    address: SocketAddr,
    /// None while the link is down.
    socket: Option<TcpListener>,
    link: watch::Receiver<Link>,
    /// Ends every connection that was accepted since the link was last down.
    up: CancellationToken,
}

impl BankListener {
    /// Binds `address`; port 0 takes any free port.
    pub fn bind(address: SocketAddr, link: watch::Receiver<Link>) -> io::Result<Self> {
        // The port may be shared with sockets of this listener only, so it must be free to begin with.
        let probe = unbound(address)?;
        probe.bind(address)?;
        let address = probe.local_addr()?;
        drop(probe);
        let socket = bound(address)?.listen(BACKLOG)?;
        Ok(Self { address, socket: Some(socket), link, up: CancellationToken::new() })
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, which comes about only while the bank is up.
    pub async fn accept(&mut self) -> Line {
        loop {
            let link = *self.link.borrow_and_update();
            if link == Link::Hung {
                changed(&mut self.link).await;
            } else if let (Link::Up, Some(socket)) = (link, &mut self.socket) {
                tokio::select! {
                    accepted = socket.accept() => match accepted {
                        Ok((stream, _)) => {
                            // A connection that refuses the option is slower, not wrong.
                            drop(stream.set_nodelay(true));
                            return Line::new(stream, self.up.child_token());
                        }
                        Err(_) => pause().await,
                    },
                    () = changed(&mut self.link) => {}
                }
            } else if self.stay_down().await.is_err() {
                pause().await;
            }
        }
    }

    /// Refuses connections until the link changes. The port is kept by a socket that does not listen, so that nobody
    /// else can take it meanwhile.
    async fn stay_down(&mut self) -> io::Result<()> {
        let place = bound(self.address)?;
        self.socket = None;
        std::mem::take(&mut self.up).cancel();
        while *self.link.borrow_and_update() == Link::Down {
            changed(&mut self.link).await;
        }
        self.socket = Some(place.listen(BACKLOG)?);
        Ok(())
    }
}

fn unbound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// A socket at `address` that refuses connections. It can be had while another of this program listens there.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = unbound(address)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Where connections or the port cannot be had, the system is short of something that may come back.
async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
}

/// Waits until the link changes; for ever where nobody can change it.
async fn changed(link: &mut watch::Receiver<Link>) {
    if link.changed().await.is_err() {
        std::future::pending().await
    }
}

/// One connection.
#[derive(Debug)]
pub struct Line {
    reader: OwnedReadHalf,
    /// Bytes that were read already, to be read again.
    begun: Vec<u8>,
    wire: Wire,
    /// Wakes whoever waits for bytes when the connection is to end.
    end: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    fn new(stream: TcpStream, end: CancellationToken) -> Self {
        let waits = Box::pin(end.clone().cancelled_owned());
        let (reader, writer) = stream.into_split();
        Self { reader, begun: Vec::new(), wire: Wire { writer: Arc::new(writer), end }, end: waits }
    }

    /// The way past HTTP.
    pub fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// Whether the first bytes are `preface`. Reads no more than it takes to see that, and leaves them to be read again.
    pub async fn begins_with(&mut self, preface: &[u8]) -> io::Result<bool> {
        let mut begun = Vec::new();
        while preface.starts_with(&begun) && begun.len() < preface.len() {
            let mut byte = [0];
            if self.read(&mut byte).await? == 0 {
                break;
            }
            begun.extend(byte);
        }
        self.begun = begun;
        Ok(self.begun == preface)
    }
}

/// A handler's way past HTTP: it can write to its connection, or end it without a word.
#[derive(Debug, Clone)]
pub struct Wire {
    writer: Arc<OwnedWriteHalf>,
    end: CancellationToken,
}

impl Wire {
    /// Ends the connection: whatever the handler returns is not sent.
    pub fn hang_up(&self) {
        self.end.cancel();
    }

    /// Writes `bytes` as they are.
    pub async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.check()?;
            self.writer.writable().await?;
            match self.writer.try_write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what there is room for.
    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            self.check()?;
            ready!(self.writer.as_ref().as_ref().poll_write_ready(cx))?;
            match self.writer.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.end.is_cancelled() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.check()?;
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !self.begun.is_empty() {
            let count = self.begun.len().min(buffer.remaining());
            buffer.put_slice(self.begun.get(..count).unwrap_or_default());
            self.begun.drain(..count);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            self.wire.check()?;
            ready!(self.wire.writer.as_ref().as_ref().poll_write_ready(cx))?;
            match self.wire.writer.try_write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Nothing to do: the server drops the connection right after, which closes it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
