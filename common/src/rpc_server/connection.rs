//! A TCP connection that has sent the HTTP/2 preface.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::Place;

/// What every HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A counted connection whose preface was read and is given again to whoever reads it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    preface: &'static [u8],
    _place: Place,
}

impl Connection {
    /// Reads the preface; anything else is refused, so that a silent or a foreign client never reaches the server.
    pub(super) async fn begin(mut stream: TcpStream, place: Place) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut expected = PREFACE.as_slice();
        while !expected.is_empty() {
            let mut bytes = [0; PREFACE.len()];
            let (bytes, _) = bytes.split_at_mut(expected.len());
            let count = stream.read(bytes).await?;
            let (read, _) = bytes.split_at(count);
            // The first byte that differs is enough: a foreign client need not wait for the timeout.
            match expected.strip_prefix(read) {
                Some(rest) if count > 0 => expected = rest,
                _ => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "not HTTP/2 with prior knowledge",
                    ));
                }
            }
        }
        Ok(Self { stream, preface: PREFACE, _place: place })
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.preface.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let (now, later) = self.preface.split_at(self.preface.len().min(buf.remaining()));
        buf.put_slice(now);
        self.preface = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
