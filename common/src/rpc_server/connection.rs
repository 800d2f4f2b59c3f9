//! A connection that has sent the HTTP/2 preface, over TLS or not.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep_until},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tonic::transport::server::Connected;

use super::{Place, pace::Pace, under_way::UnderWay};
use crate::tls::{self, Wire};

/// What every HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Who opened a connection; every request on it carries this in its extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From where, as the socket says.
    pub address: SocketAddr,
    /// What its certificate calls it; none without a certificate.
    pub identity: Option<Arc<str>>,
    /// How fast the connection is read.
    pub pace: Arc<Pace>,
    /// What callers from there have under way.
    pub(super) under_way: Arc<UnderWay>,
}

/// A counted connection whose preface was read and is given again to whoever reads it.
pub(super) struct Connection {
    wire: Box<dyn Wire>,
    peer: Peer,
    preface: &'static [u8],
    /// While it is not read.
    rest: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connection {
    /// Shakes hands if there is TLS, and reads the preface; anything else is refused, so that a silent or a foreign client
    /// never reaches the server.
    pub(super) async fn begin(
        stream: TcpStream,
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        place: Place,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let under_way = Arc::clone(place.under_way());
        let mut peer = Peer { address, identity: None, pace: Arc::default(), under_way };
        let mut wire: Box<dyn Wire> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                let stream = TlsAcceptor::from(tls).accept(stream).await?;
                let (_, session) = stream.get_ref();
                if session.alpn_protocol() != Some(tls::HTTP2) {
                    return Err(foreign("no HTTP/2 agreed upon (ALPN h2)"));
                }
                let certificate = session.peer_certificates().and_then(<[_]>::first);
                peer.identity = certificate.and_then(tls::identity_of).map(Arc::from);
                Box::new(stream)
            }
        };
        let mut expected = PREFACE.as_slice();
        while !expected.is_empty() {
            let mut bytes = [0; PREFACE.len()];
            let (bytes, _) = bytes.split_at_mut(expected.len());
            let count = wire.read(bytes).await?;
            let (read, _) = bytes.split_at(count);
            // The first byte that differs is enough: a foreign client need not wait for the timeout.
            match expected.strip_prefix(read) {
                Some(rest) if count > 0 => expected = rest,
                _ => return Err(foreign("not HTTP/2 with prior knowledge")),
            }
        }
        Ok(Self { wire, peer, preface: PREFACE, rest: None, _place: place })
    }
}

fn foreign(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.preface.is_empty() {
            if self.rest.is_none() {
                self.rest = self.peer.pace.rests_until().map(|until| Box::pin(sleep_until(until)));
            }
            if let Some(rest) = &mut self.rest {
                ready!(rest.as_mut().poll(cx));
                self.rest = None;
            }
            return Pin::new(&mut self.wire).poll_read(cx, buf);
        }
        let (now, later) = self.preface.split_at(self.preface.len().min(buf.remaining()));
        buf.put_slice(now);
        self.preface = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    /// No, so that answers of up to a KiB are copied together and leave at once: HTTP/2 would write each by itself otherwise, and a write
    /// costs more than the copy. What is longer is written in two pieces.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

#[cfg(test)]
mod tests;
