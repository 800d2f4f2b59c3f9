//! Listeners that can go down, and connections that the bank can hang up on or write to past HTTP.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::tls::Caller;

pub mod outbox;

/// Connections that the system queues before they are accepted.
const BACKLOG: u32 = 1_024;
/// What every TLS handshake begins with, and no HTTP (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

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
    pub async fn accept(&mut self) -> Incoming {
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
                            return Incoming { stream, end: self.up.child_token() };
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

/// A connection that was just made.
#[derive(Debug)]
pub struct Incoming {
    stream: TcpStream,
    end: CancellationToken,
}

impl Incoming {
    /// Shakes hands, if the caller begins to and the banks have TLS; whoever tests them may speak plaintext.
    pub async fn open(self, tls: Option<Arc<ServerConfig>>) -> io::Result<Line> {
        let Self { stream, end } = self;
        let opening = async {
            let mut first = [0];
            let begun = stream.peek(&mut first).await?;
            let Some(tls) = tls.filter(|_| begun > 0 && first == [TLS_HANDSHAKE]) else {
                let stream: Box<dyn Duplex> = Box::new(stream);
                return Ok::<_, io::Error>((stream, Caller::Plaintext));
            };
            let stream = TlsAcceptor::from(tls).accept(stream).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let caller = Caller::showing(shown);
            let stream: Box<dyn Duplex> = Box::new(stream);
            Ok((stream, caller))
        };
        let opened = end.run_until_cancelled(opening).await;
        let (stream, caller) = opened.unwrap_or_else(|| Err(io::ErrorKind::ConnectionAborted.into()))?;
        Ok(Line::new(stream, caller, end))
    }
}

/// Bytes both ways, over TLS or not.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// One connection.
#[derive(Debug)]
pub struct Line {
    /// Bytes that were read already, to be read again.
    begun: Vec<u8>,
    wire: Wire,
    caller: Caller,
    /// Wakes whoever waits for bytes when the connection is to end.
    end: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    fn new(stream: Box<dyn Duplex>, caller: Caller, end: CancellationToken) -> Self {
        let waits = Box::pin(end.clone().cancelled_owned());
        let wire = Wire { stream: Arc::new(Mutex::new(stream)), end };
        Self { begun: Vec::new(), wire, caller, end: waits }
    }

    /// The way past HTTP.
    pub fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// Who is at the other end.
    pub fn caller(&self) -> Caller {
        self.caller.clone()
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
#[derive(Clone)]
pub struct Wire {
    stream: Arc<Mutex<Box<dyn Duplex>>>,
    end: CancellationToken,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Wire {
    /// Ends the connection: whatever the handler returns is not sent.
    pub fn hang_up(&self) {
        self.end.cancel();
    }

    /// Writes `bytes` as they are.
    pub async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| self.poll_write(cx, bytes)).await?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes what there is room for.
    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut *self.stream()).poll_write(cx, bytes)
    }

    /// Sends what was written: TLS may keep some of it.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut *self.stream()).poll_flush(cx)
    }

    fn stream(&self) -> MutexGuard<'_, Box<dyn Duplex>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
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
        Pin::new(&mut *self.wire.stream()).poll_read(cx, buffer)
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
        self.wire.check()?;
        Pin::new(&mut *self.wire.stream()).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.stream().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx)
    }

    /// Nothing to do: the server drops the connection right after, which closes it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
