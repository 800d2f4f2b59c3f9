//! HTTP/2 floods, frame by frame: the connection ends, the server does not.

use std::time::Duration;

use harness::BenchError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    bench::{Alone, channel, run},
    reflection::health,
};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a call, in HPACK without compression.
fn call() -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [
        &[0x83, 0x86, 0x04][..], // POST, http, :path
        &text("/grpc.health.v1.Health/Check"),
        &[0x01], // :authority
        &text("localhost"),
        &[0x0f, 0x10], // content-type
        &text("application/grpc"),
        &[0x00],
        &text("te"),
        &text("trailers"),
    ]
    .concat()
}

/// Sends the preface and then `flood` of stream numbers 1, 3, 5 … until the server ends the connection; returns the
/// error codes of its GOAWAY frames.
async fn flood(address: &str, count: u32, flood: impl Fn(u32) -> Vec<u8>) -> Result<Vec<u32>, BenchError> {
    let stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.into_split();
    let mut bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    for number in 0..count {
        bytes.extend(flood(number * 2 + 1));
    }
    let writing = tokio::spawn(async move {
        // The server may close before it has read everything.
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let mut received = Vec::new();
    let reading = async {
        let mut chunk = [0; 16 << 10];
        while let Ok(count @ 1..) = reader.read(&mut chunk).await {
            received.extend_from_slice(&chunk[..count]);
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), reading).await;
    writing.abort();
    ended.map_err(|_| "the server goes on with the connection")?;
    Ok(goaways(&received))
}

fn goaways(mut bytes: &[u8]) -> Vec<u32> {
    let mut codes = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(9) {
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        if header[3] == GOAWAY && payload.len() >= 8 {
            codes.push(u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]));
        }
        bytes = rest;
    }
    codes
}

#[test]
fn floods_end_their_connection_and_nothing_else() {
    run(async || {
        type Flood = fn(u32) -> Vec<u8>;
        let gateway = Alone::gateway(&[])?;
        let bystander = channel(&gateway.address);
        assert_eq!(health(bystander.clone(), "").await?, ServingStatus::Serving);
        let rows: [(&str, u32, Flood); 4] = [
            ("rapid reset (CVE-2023-44487)", 20_000, |stream| {
                [frame(HEADERS, END_HEADERS, stream, &call()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])]
                    .concat()
            }),
            ("made you reset (CVE-2025-8671)", 20_000, |stream| {
                let nothing = frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 0]);
                [frame(HEADERS, END_HEADERS, stream, &call()), nothing].concat()
            }),
            ("endless continuation (CVE-2024-27316)", 20_000, |stream| {
                let first = if stream == 1 { frame(HEADERS, 0, 1, &call()) } else { Vec::new() };
                [
                    first,
                    frame(CONTINUATION, 0, 1, &[[0x00, 0x01, b'a', 0x7e].as_slice(), &[b'b'; 126]].concat()),
                ]
                .concat()
            }),
            ("a frame that is too long", 1, |_| frame(PING, 0, 0, &[0; 20_000])),
        ];
        for (name, count, frames) in rows {
            let codes =
                flood(&gateway.address, count, frames).await.map_err(|error| format!("{name}: {error}"))?;
            // The reset of a closed socket may overtake the GOAWAY; if it came, it names an error.
            assert!(codes.iter().all(|code| *code != 0), "{name}: {codes:?}");
            assert_eq!(health(bystander.clone(), "").await?, ServingStatus::Serving, "{name}");
        }
        assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
        Ok(())
    });
}
