//! Connections: silent, slow, foreign, too many; and calls that no server knows.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use harness::{BenchError, client::may_try_again, http2::PREFACE, raw};
use proto::payments::GetPaymentRequest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tonic::{Code, Request, metadata::MetadataMap};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    bench::{Alone, channel, run},
    reflection::health,
};

/// Reads until the other side closes, and says how long that took.
async fn closed_after(stream: &mut TcpStream) -> Result<Duration, BenchError> {
    let began = Instant::now();
    let mut bytes = [0; 4096];
    let reading = async {
        // A reset is as closed as an end.
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    tokio::time::timeout(Duration::from_secs(12), reading).await.map_err(|_| "not closed in 12 s")?;
    Ok(began.elapsed())
}

#[test]
fn who_does_not_begin_is_sent_away_after_five_seconds() {
    run(async || {
        let gateway = Alone::gateway(&[])?;
        let mut silent = TcpStream::connect(&gateway.address).await?;
        let mut halfway = TcpStream::connect(&gateway.address).await?;
        halfway.write_all(&PREFACE[..23]).await?;
        let (mut slow_reader, mut slow_writer) = TcpStream::connect(&gateway.address).await?.into_split();
        let slowly = tokio::spawn(async move {
            for byte in PREFACE {
                if slow_writer.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let slow = async {
            let began = Instant::now();
            let mut byte = [0];
            let ended = tokio::time::timeout(Duration::from_secs(12), slow_reader.read(&mut byte)).await;
            ended.map_err(|_| "not closed in 12 s")?.ok();
            Ok::<_, BenchError>(began.elapsed())
        };
        let (silent, halfway, slow) =
            tokio::join!(closed_after(&mut silent), closed_after(&mut halfway), slow);
        for (name, took) in [("silent", silent?), ("halfway", halfway?), ("a byte a second", slow?)] {
            assert!((3..8).contains(&took.as_secs()), "{name}: closed after {took:?}");
        }
        slowly.abort();
        assert_eq!(health(channel(&gateway.address), "").await?, ServingStatus::Serving);
        Ok(())
    });
}

#[test]
fn who_speaks_something_else_is_sent_away_at_once() {
    run(async || {
        let gateway = Alone::gateway(&[])?;
        let tls_hello =
            [&[0x16, 0x03, 0x01, 0x00, 0xf8, 0x01, 0x00, 0x00, 0xf4, 0x03, 0x03][..], &[0x55; 242]].concat();
        let rows: [(&str, &[u8]); 8] = [
            ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("HTTP/1.0, short", b"GET /\r\n"),
            ("HTTP/1.1 with an upgrade", b"POST /x HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
            ("TLS", &tls_hello),
            ("zeros", &[0; 64]),
            ("one zero", &[0]),
            ("nearly the preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"),
            ("the proxy protocol", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ];
        for (name, bytes) in rows {
            let mut stream = TcpStream::connect(&gateway.address).await?;
            stream.write_all(bytes).await?;
            let took = closed_after(&mut stream).await.map_err(|error| format!("{name}: {error}"))?;
            assert!(took < Duration::from_secs(1), "{name}: closed after {took:?}");
        }
        Ok(())
    });
}

/// A connection that has said that it is HTTP/2, and was let in: the server has sent its settings.
async fn begun(address: &str) -> Result<Option<TcpStream>, BenchError> {
    begin(TcpStream::connect(address).await?).await
}

async fn begin(mut stream: TcpStream) -> Result<Option<TcpStream>, BenchError> {
    // Settings without content.
    let _ = stream.write_all(&[PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat()).await;
    let mut header = [0; 9];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut header)).await;
    Ok(read.is_ok_and(|read| read.is_ok()).then_some(stream))
}

#[test]
fn one_address_gets_no_more_connections_than_it_may_have() {
    run(async || {
        let gateway = Alone::gateway(&["--max-connections-per-address=8", "--max-connections=9"])?;
        let mut open = Vec::new();
        for number in 1..=7 {
            open.push(begun(&gateway.address).await?.ok_or(format!("connection {number} was refused"))?);
        }
        let working = channel(&gateway.address);
        assert_eq!(health(working.clone(), "").await?, ServingStatus::Serving);
        for number in 9..=30 {
            assert!(begun(&gateway.address).await?.is_none(), "connection {number} was let in");
        }
        assert_eq!(health(working.clone(), "").await?, ServingStatus::Serving);
        drop(open.pop());
        let again = || async { begun(&gateway.address).await.ok().flatten() };
        let _eighth = harness::wait::until("a place is free again", Duration::from_secs(5), again).await?;
        assert!(begun(&gateway.address).await?.is_none());
        assert_eq!(health(working, "").await?, ServingStatus::Serving);
        Ok(())
    });
}

#[test]
fn who_connects_again_and_again_is_slowed_down_and_nobody_else_is() {
    run(async || {
        let gateway = Alone::gateway(&["--max-connections-per-address=8", "--max-new-connections-per-s=4"])?;
        let working = channel(&gateway.address);
        assert_eq!(health(working.clone(), "").await?, ServingStatus::Serving);
        let began = Instant::now();
        let mut let_in = 1;
        for _ in 0..200 {
            let_in += u32::from(begun(&gateway.address).await?.is_some());
        }
        let most = 8.0 + 4.0 * began.elapsed().as_secs_f64();
        assert!(let_in >= 8 && f64::from(let_in) <= most.ceil(), "{let_in} in {:?}", began.elapsed());
        let elsewhere = TcpSocket::new_v4()?;
        elsewhere.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into())?;
        let elsewhere = elsewhere.connect(gateway.address.parse()?).await?;
        assert!(begin(elsewhere).await?.is_some(), "another address is none of it");
        assert_eq!(health(working, "").await?, ServingStatus::Serving, "nor is what is open");
        let again = || async { begun(&gateway.address).await.ok().flatten() };
        harness::wait::until("new ones are let in again", Duration::from_secs(2), again).await?;
        Ok(())
    });
}

#[test]
fn silent_connections_give_their_places_back() {
    run(async || {
        let gateway = Alone::gateway(&["--max-connections-per-address=4", "--max-connections=4"])?;
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(TcpStream::connect(&gateway.address).await?);
        }
        // Connected is not yet accepted: wait until the fifth is refused.
        let full = || async { begun(&gateway.address).await.ok()?.is_none().then_some(()) };
        harness::wait::until("all places are taken", Duration::from_secs(3), full).await?;
        let again = || async { begun(&gateway.address).await.ok().flatten() };
        harness::wait::until("the silent ones are sent away", Duration::from_secs(8), again).await?;
        drop(silent);
        Ok(())
    });
}

/// Answers pings, as every client does, until the other side closes.
async fn pong_until_closed(stream: &mut TcpStream) {
    let (mut header, mut payload) = ([0; 9], Vec::new());
    while stream.read_exact(&mut header).await.is_ok() {
        payload.resize(usize::from(header[1]) << 8 | usize::from(header[2]), 0);
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        let is_ping = header[3] == 6 && header[4] & 1 == 0;
        let pong = [&[0, 0, 8, 6, 1, 0, 0, 0, 0], payload.as_slice()].concat();
        if is_ping && stream.write_all(&pong).await.is_err() {
            return;
        }
    }
}

#[test]
fn a_connection_ends_at_its_age_and_its_caller_does_not_notice() {
    run(async || {
        let gateway = Alone::gateway(&["--max-connection-age=1s"])?;
        let mut idle = TcpStream::connect(&gateway.address).await?;
        idle.write_all(&[PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat()).await?;
        let closing = tokio::time::timeout(Duration::from_secs(12), pong_until_closed(&mut idle));
        closing.await.map_err(|_| "not closed in 12 s")?;
        let caller = channel(&gateway.address);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            // A call that crossed the server's farewell on the wire may be made again as it was.
            match health(caller.clone(), "").await {
                Err(error) if error.downcast_ref().is_some_and(may_try_again) => {}
                answer => assert_eq!(answer?, ServingStatus::Serving),
            }
        }
        Ok(())
    });
}

#[test]
fn calls_that_nobody_knows_are_unimplemented() {
    run(async || {
        let gateway = Alone::gateway(&[])?;
        for path in [
            "/rialto.payments.v1.PaymentService/NoSuchMethod",
            "/rialto.payments.v1.NoSuchService/CreatePayment",
            "/rialto.payments.v1.PaymentService/createPayment",
            "/rialto.platform.v1.PlatformService/Execute",
            "/rialto.channel.v1.InstructionService/Execute",
            "/grpc.channelz.v1.Channelz/GetServers",
            "/../../etc/passwd",
            "/",
            "//",
        ] {
            let found = raw::call(channel(&gateway.address), path, MetadataMap::new(), vec![vec![]]).await;
            assert_eq!(found.map_err(|status| status.code()), Err(Code::Unimplemented), "{path}");
        }
        Ok(())
    });
}

#[test]
fn what_is_too_large_or_compressed_is_refused_and_the_next_call_served() {
    run(async || {
        const GET: &str = "/rialto.payments.v1.PaymentService/GetPayment";
        let gateway = Alone::gateway(&[])?;
        let channel = channel(&gateway.address);
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", format!("Bearer {}", gateway.key).parse()?);
        let code = async |metadata: MetadataMap, message: Vec<u8>| {
            raw::call(channel.clone(), GET, metadata, vec![message])
                .await
                .map_err(|status| status.code())
                .map(drop)
        };
        for size in [(64 << 10) + 1, 1 << 20, 16 << 20] {
            let found = code(metadata.clone(), vec![0; size]).await;
            assert!(matches!(found, Err(Code::OutOfRange | Code::ResourceExhausted)), "{size}: {found:?}");
        }
        let mut headers = metadata.clone();
        headers.insert("x-large", "x".repeat(9_000).parse()?);
        let found = code(headers, vec![]).await;
        assert!(found.is_err() && found != Err(Code::Unavailable), "{found:?}");
        let mut compressed = metadata.clone();
        compressed.insert("grpc-encoding", "gzip".parse()?);
        assert_eq!(code(compressed, vec![]).await, Err(Code::Unimplemented));
        let mut client = proto::payments::payment_service_client::PaymentServiceClient::new(channel.clone());
        let mut request = Request::new(GetPaymentRequest::default());
        *request.metadata_mut() = metadata;
        let served = client.get_payment(request).await.map_err(|status| status.code()).map(drop);
        assert_eq!(served, Err(Code::Unavailable), "served, without a platform");
        assert!(!gateway.log().contains("panicked"));
        Ok(())
    });
}
