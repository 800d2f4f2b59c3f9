//! Answers that no HTTP server would send, written past it. Each goes on until it is through or the peer is gone.

use std::io;

use tokio::task::yield_now;
use tokio::time::{Duration, sleep};

use crate::line::Wire;

/// What is written at once where much is to be written.
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS_PER_MIB: u32 = 16;

/// The answer byte by byte with a pause before each: all of it, or its body only.
pub async fn drip(wire: &Wire, xml: &str, pause: Duration, head_too: bool) -> io::Result<()> {
    let head = head(&format!("content-length: {}", xml.len()));
    let (at_once, slowly) = if head_too { (String::new(), head + xml) } else { (head, xml.to_owned()) };
    wire.send(at_once.as_bytes()).await?;
    for byte in slowly.as_bytes().chunks(1) {
        sleep(pause).await;
        wire.send(byte).await?;
    }
    Ok(())
}

/// The beginning of the answer.
pub async fn half(wire: &Wire, xml: &str) -> io::Result<()> {
    let half = xml.get(..xml.len() / 2).unwrap_or_default();
    wire.send((head(&format!("content-length: {}", xml.len())) + half).as_bytes()).await
}

/// A head that never ends.
pub async fn endless_headers(wire: &Wire) -> io::Result<()> {
    wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/xml; charset=utf-8\r\n").await?;
    let line = format!("x-filler: {}\r\n", "a".repeat(1_000));
    loop {
        wire.send(line.as_bytes()).await?;
        yield_now().await;
    }
}

/// The answer, followed by white space until the body has that many mebibytes; its length is told or not.
pub async fn huge_body(wire: &Wire, xml: &str, mib: u32, length_told: bool) -> io::Result<()> {
    let spaces = " ".repeat(CHUNK_BYTES);
    let first = format!("{xml}{}", " ".repeat(CHUNK_BYTES.saturating_sub(xml.len())));
    let told = format!("content-length: {}", u64::from(mib) * 1024 * 1024);
    let framing = if length_told { &told } else { "transfer-encoding: chunked" };
    wire.send(head(framing).as_bytes()).await?;
    for number in 0..mib.saturating_mul(CHUNKS_PER_MIB) {
        let chunk = if number == 0 { &first } else { &spaces };
        if length_told {
            wire.send(chunk.as_bytes()).await?;
        } else {
            wire.send(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).await?;
        }
        yield_now().await;
    }
    wire.send(if length_told { b"" } else { b"0\r\n\r\n" }).await
}

fn head(framing: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/xml; charset=utf-8\r\n{framing}\r\n\r\n")
}
