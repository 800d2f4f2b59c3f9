//! The frames of the PostgreSQL protocol (version 3), as far as it takes to see a commit and its answer.
//!
//! The platform commits in two ways: with COMMIT, and with the one statement that saves a batch, outside of a transaction.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// What the text of the statement that saves a batch has in it.
const SAVES: &[u8] = b" THEN changed_meanwhile(";

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
    /// The client has the server commit.
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
pub struct Conversation {
    encryption_asked: AtomicBool,
    in_transaction: AtomicBool,
    /// The server commits with the end of the statement that it has.
    commits: AtomicBool,
    /// The name under which the client has prepared the statement that saves a batch.
    saving: Mutex<Vec<u8>>,
}

/// Cuts one way of a connection into frames.
#[derive(Debug)]
pub struct Frames<'a> {
    way: Way,
    conversation: &'a Conversation,
    greeted: bool,
    buffer: Vec<u8>,
}

impl<'a> Frames<'a> {
    /// One way of a connection that has just been made.
    pub fn new(way: Way, conversation: &'a Conversation) -> Self {
        Self { way, conversation, greeted: false, buffer: Vec::new() }
    }

    /// Takes what has come, and returns the whole frames; neighbours without a mark are one piece.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces: Vec<Piece> = Vec::new();
        while let Some(length) = self.next_length().filter(|length| *length <= self.buffer.len()) {
            self.greet();
            let bytes: Vec<u8> = self.buffer.drain(..length).collect();
            let mark = self.conversation.mark(self.way, &bytes);
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
            Way::Backward if !self.greeted && self.conversation.encryption_asked.load(Ordering::Relaxed) => 1,
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
            self.conversation.encryption_asked.store(true, Ordering::Relaxed);
        } else {
            self.greeted = true;
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

impl Conversation {
    fn mark(&self, way: Way, frame: &[u8]) -> Mark {
        let Some((kind, body)) = frame.split_first().and_then(|(kind, rest)| Some((*kind, rest.get(4..)?)))
        else {
            return Mark::Plain;
        };
        match (way, kind) {
            // sqlx sends COMMIT as a simple query.
            (Way::Forward, b'Q') if body == b"COMMIT\0" => Mark::Commit,
            (Way::Backward, b'C') if body == b"COMMIT\0" => Mark::Committed,
            (Way::Forward, b'P') => self.parsed(body),
            (Way::Forward, b'B') => self.bound(body),
            (Way::Backward, b'E') => {
                self.commits.store(false, Ordering::Relaxed);
                Mark::Plain
            }
            (Way::Backward, b'Z') => {
                self.in_transaction.store(body != b"I", Ordering::Relaxed);
                // Outside of a transaction this is the server's word that what it did is on disk.
                if self.commits.swap(false, Ordering::Relaxed) { Mark::Committed } else { Mark::Plain }
            }
            _ => Mark::Plain,
        }
    }

    /// A statement is prepared: its name, and its text.
    fn parsed(&self, body: &[u8]) -> Mark {
        if body.windows(SAVES.len()).any(|part| part == SAVES) {
            let name = body.split(|byte| *byte == 0).next().unwrap_or_default();
            *self.saving.lock().unwrap_or_else(PoisonError::into_inner) = name.to_owned();
        }
        Mark::Plain
    }

    /// A prepared statement is about to run: the name of its portal, and its own.
    fn bound(&self, body: &[u8]) -> Mark {
        let name = body.split(|byte| *byte == 0).nth(1).unwrap_or_default();
        let saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let commits = !saving.is_empty() && *saving == name && !self.in_transaction.load(Ordering::Relaxed);
        self.commits.store(commits, Ordering::Relaxed);
        if commits { Mark::Commit } else { Mark::Plain }
    }
}
