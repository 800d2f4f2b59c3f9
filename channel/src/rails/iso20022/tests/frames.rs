//! A bank's side of HTTP/2, frame by frame, for what no library would say.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::REPORT;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
/// `:status: 200` and `content-type: text/xml`, without indexing.
pub(super) const HEAD: &[u8] = b"\x88\x0f\x10\x08text/xml";

/// A connection that a bank has taken.
pub(super) struct Peer {
    stream: TcpStream,
    read: Vec<u8>,
    /// Whether what it says is taken.
    pub(super) is_open: bool,
}

/// A frame that the channel sent.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Peer {
    /// Reads the preface and says these settings.
    pub(super) async fn greet(mut stream: TcpStream, settings: &[(u16, u32)]) -> Self {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.expect("a preface");
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut peer = Self { stream, read: Vec::new(), is_open: true };
        let settings =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        peer.say(SETTINGS, 0, 0, &settings.collect::<Vec<_>>()).await;
        peer
    }

    /// Sends a frame.
    pub(super) async fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.write(&frame(kind, flags, stream, payload)).await;
    }

    /// Sends bytes at once.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.is_open = self.stream.write_all(bytes).await.is_ok();
    }

    /// The next frame; none if the connection ends first.
    pub(super) async fn hear(&mut self) -> Option<Frame> {
        loop {
            if let [a, b, c, kind, flags, d, e, f, g, ref rest @ ..] = *self.read {
                let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                if let Some(payload) = rest.get(..length) {
                    let stream = u32::from_be_bytes([d, e, f, g]);
                    let frame = Frame { kind, flags, stream, payload: payload.to_owned() };
                    self.read.drain(..9 + length);
                    if kind == DATA && length > 0 {
                        // As much again may come.
                        let again = u32::try_from(length).expect("short").to_be_bytes();
                        self.say(WINDOW_UPDATE, 0, 0, &again).await;
                    }
                    return Some(frame);
                }
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
            self.read.extend_from_slice(&chunk[..count]);
        }
    }

    /// The next whole request's stream; none if the connection ends first.
    pub(super) async fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.hear().await?;
            if frame.kind == DATA && frame.flags & END_STREAM > 0 {
                return Some(frame.stream);
            }
        }
    }

    /// Answers that the creditor is credited.
    pub(super) async fn credit(&mut self, stream: u32) {
        self.say(HEADERS, END_HEADERS, stream, HEAD).await;
        self.say(DATA, END_STREAM, stream, REPORT.as_bytes()).await;
    }

    /// Closes the connection without a word.
    pub(super) async fn hang_up(&mut self) {
        self.is_open = self.stream.shutdown().await.is_err();
    }

    pub(super) async fn reset(&mut self, stream: u32, reason: u32) {
        self.say(RST_STREAM, 0, stream, &reason.to_be_bytes()).await;
    }

    /// Says which is the last stream that it deals with, and why.
    pub(super) async fn go_away(&mut self, last: u32, reason: u32) {
        self.write(&go_away(last, reason)).await;
    }
}

/// A frame as it is sent.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The word which stream is the last that is dealt with, and why.
pub(super) fn go_away(last: u32, reason: u32) -> Vec<u8> {
    frame(GO_AWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat())
}
