//! HTTP/2 floods, frame by frame: the connection ends, the server does not.

use std::time::Duration;

use harness::{
    BenchError,
    http2::{END_HEADERS, PREFACE, call, frame, kind},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    bench::{Alone, channel, run},
    reflection::health,
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Sends the preface and then `flood` of stream numbers 1, 3, 5 … until the server ends the connection; returns the
/// error codes of its GOAWAY frames.
async fn flood(address: &str, count: u32, flood: impl Fn(u32) -> Vec<u8>) -> Result<Vec<u32>, BenchError> {
    let stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.into_split();
    let mut bytes = [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat();
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
        if header[3] == kind::GOAWAY && payload.len() >= 8 {
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
                [
                    frame(kind::HEADERS, END_HEADERS, stream, &call(HEALTH, &[])),
                    frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]),
                ]
                .concat()
            }),
            ("made you reset (CVE-2025-8671)", 20_000, |stream| {
                let nothing = frame(kind::WINDOW_UPDATE, 0, stream, &[0, 0, 0, 0]);
                [frame(kind::HEADERS, END_HEADERS, stream, &call(HEALTH, &[])), nothing].concat()
            }),
            ("endless continuation (CVE-2024-27316)", 20_000, |stream| {
                let first =
                    if stream == 1 { frame(kind::HEADERS, 0, 1, &call(HEALTH, &[])) } else { Vec::new() };
                [
                    first,
                    frame(
                        kind::CONTINUATION,
                        0,
                        1,
                        &[[0x00, 0x01, b'a', 0x7e].as_slice(), &[b'b'; 126]].concat(),
                    ),
                ]
                .concat()
            }),
            ("a frame that is too long", 1, |_| frame(kind::PING, 0, 0, &[0; 20_000])),
        ];
        for (name, count, frames) in rows {
            let codes =
                flood(&gateway.address, count, frames).await.map_err(|error| format!("{name}: {error}"))?;
            // The reset of a closed socket may overtake the kind::GOAWAY; if it came, it names an error.
            assert!(codes.iter().all(|code| *code != 0), "{name}: {codes:?}");
            assert_eq!(health(bystander.clone(), "").await?, ServingStatus::Serving, "{name}");
        }
        assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
        Ok(())
    });
}
