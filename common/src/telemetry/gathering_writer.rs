//! Writes what gathers within a moment at once: a line of its own for each would wake a thread and call the system.

use std::{
    io::{self, BufWriter, Write},
    thread,
    time::Duration,
};

/// How long lines gather after a write. Nobody waits for them but who reads the log.
const PAUSE: Duration = Duration::from_millis(10);
/// How much is written at once at most.
const BUFFER_BYTES: usize = 64 << 10;

/// Buffers what is written; a flush writes it and lets the next gather for a moment. For a thread of its own.
#[derive(Debug)]
pub(super) struct GatheringWriter<W: Write>(BufWriter<W>);

impl<W: Write> GatheringWriter<W> {
    /// Writes to `inner`.
    pub(super) fn new(inner: W) -> Self {
        Self(BufWriter::with_capacity(BUFFER_BYTES, inner))
    }
}

impl<W: Write> Write for GatheringWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(PAUSE);
        Ok(())
    }
}
