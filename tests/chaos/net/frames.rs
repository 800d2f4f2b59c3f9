//! The frames of the PostgreSQL protocol (version 3), as far as it takes to see a COMMIT and its answer.

use std::sync::atomic::{AtomicBool, Ordering};

/// A byte code in place of a version: the client asks for TLS or GSSAPI before it starts.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// From whom to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the caller.
    Forward,
    /// Back to the caller.
    Backward,
}

/// What a piece of the stream is, as far as a rule wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Anything.
    Plain,
    /// The client's COMMIT.
    Commit,
    /// The server's word that it has committed.
    Committed,
}

/// A piece of the stream, not cut in the middle of a frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub mark: Mark,
    /// What passes.
    pub bytes: Vec<u8>,
}

/// What both ways of a connection know of it.
#[derive(Debug, Default)]
pub struct Greeting {
    encryption_asked: AtomicBool,
}

/// Cuts one way of a connection into frames.
#[derive(Debug)]
pub struct Frames<'a> {
    way: Way,
    greeting: &'a Greeting,
    greeted: bool,
    buffer: Vec<u8>,
}

impl<'a> Frames<'a> {
    /// One way of a connection that has just been made.
    pub fn new(way: Way, greeting: &'a Greeting) -> Self {
        Self { way, greeting, greeted: false, buffer: Vec::new() }
    }

    /// Takes what has come, and returns the whole frames; neighbours without a mark are one piece.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces: Vec<Piece> = Vec::new();
        while let Some(length) = self.next_length().filter(|length| *length <= self.buffer.len()) {
            self.greet();
            let bytes: Vec<u8> = self.buffer.drain(..length).collect();
            let mark = mark(self.way, &bytes);
            match pieces.last_mut() {
                Some(last) if (last.mark, mark) == (Mark::Plain, Mark::Plain) => last.bytes.extend(bytes),
                _ => pieces.push(Piece { mark, bytes }),
            }
        }
        pieces
    }

    /// The length of the frame that the buffer begins with, once that can be told.
    fn next_length(&self) -> Option<usize> {
        let length = match self.way {
            // Before the first message proper, frames have no type.
            Way::Forward if !self.greeted => number(self.buffer.get(..4)?),
            // The answer to a request for encryption is one byte.
            Way::Backward if !self.greeted && self.greeting.encryption_asked.load(Ordering::Relaxed) => 1,
            _ => number(self.buffer.get(1..5)?) + 1,
        };
        usize::try_from(length).ok()
    }

    /// Takes note of what the whole first frame of the buffer means for the next one.
    fn greet(&mut self) {
        let asks = self.way == Way::Forward
            && !self.greeted
            && self.buffer.get(4..8).is_some_and(|code| ENCRYPTION_REQUESTS.contains(&number(code)));
        if asks {
            self.greeting.encryption_asked.store(true, Ordering::Relaxed);
        } else {
            self.greeted = true;
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn mark(way: Way, frame: &[u8]) -> Mark {
    let says = |kind: u8, text: &[u8]| {
        let body = frame.get(5..).unwrap_or_default();
        frame.first() == Some(&kind) && body.strip_suffix(b"\0").unwrap_or(body) == text
    };
    match way {
        // sqlx sends COMMIT as a simple query.
        Way::Forward if says(b'Q', b"COMMIT") => Mark::Commit,
        Way::Backward if says(b'C', b"COMMIT") => Mark::Committed,
        _ => Mark::Plain,
    }
}
