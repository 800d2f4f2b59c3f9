//! What attackers do to a gateway, over TLS from an address of their own.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use harness::{
    BenchError,
    certificates::shake_hands_on,
    http2::{END_HEADERS, PREFACE, call, frame, header, kind},
};

use prost::{Message, bytes::Bytes};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::Request;
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};

/// Where attackers are: on this machine, and not where the others are.
const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66)), 0);
/// As many connections as one address may have.
const CONNECTIONS: u32 = 200;
/// As many calls as one connection may have.
const CALLS: u32 = 256;
/// Calls that reset themselves, and the like, on one connection.
const FLOOD: u32 = 2_000;

/// What a connection may take in before it asks for more, by default (RFC 9113, section 6.9.2).
const WINDOW: u32 = 65_535;
/// How long after another one a connection is made.
const APART: Duration = Duration::from_millis(10);
/// How long it takes until one that has ended is made again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The beginning of a record of TLS that says hello.
const HALF_A_HELLO: &[u8] = &[22, 3, 1, 0, 200, 1, 0, 0, 196];
/// The beginning of a message of 60,000 bytes, in a gRPC frame, of which the end never comes.
static MOST_OF_A_MESSAGE: [u8; 59_905] = {
    let mut bytes = [0x5a; 59_905];
    [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]] = [0, 0, 0, 0xea, 0x60];
    bytes
};
const UNKNOWN_KEY: &str = "rk_0000000000000000000000000000000000000000000";
/// What describes itself at length.
const DESCRIBED: &str = "rialto.payments.v1.PaymentService";

const CREATE_PAYMENT: &str = "/rialto.payments.v1.PaymentService/CreatePayment";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// An attacker's whole work, which ends when it is dropped.
type Assault = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A way to attack.
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// How hard it is done, for people.
    pub strength: &'static str,
    /// What the attacker does until it is stopped.
    pub begin: fn(Attacker) -> Assault,
}

/// Every way that there is.
pub fn attacks() -> Vec<Attack> {
    let attack = |name, strength, begin| Attack { name, strength, begin };
    vec![
        attack("hands half shaken", "100 connections/s, held", |one| one.each(100, Attacker::shake_halfway)),
        attack("hands shaken in vain", "500 connections/s", |one| one.each(500, Attacker::shake_in_vain)),
        attack("rapid resets", "20 connections/s of 2,000", |one| one.each(20, Attacker::reset_rapidly)),
        attack("resets provoked", "20 connections/s of 2,000", |one| one.each(20, Attacker::provoke_resets)),
        attack("headers without end", "20 connections/s", |one| one.each(20, Attacker::continue_headers)),
        attack("pings", "20 connections/s of 2,000", |one| one.each(20, Attacker::ping)),
        attack("calls that never begin", "200 connections of 256", |one| {
            one.hold(CONNECTIONS, Attacker::begin_no_message)
        }),
        attack("messages that never end", "20 connections of 256, of 60 KiB", |one| {
            one.hold(20, Attacker::end_no_message)
        }),
        attack("answers that nobody reads", "200 connections of 256", |one| {
            one.hold(CONNECTIONS, Attacker::read_no_answer)
        }),
        attack("unknown credentials", "1,000 calls/s", |one| one.hold(10, Attacker::guess)),
    ]
}

/// Who attacks.
#[derive(Clone)]
pub struct Attacker {
    gateway: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Attacker {
    /// One who knows the gateway's address.
    pub fn new(gateway: SocketAddr, tls: Arc<ClientConfig>) -> Self {
        Self { gateway, tls }
    }

    /// Does something so many times a second, whatever comes of it.
    fn each<F>(self, per_s: u32, once: fn(Self) -> F) -> Assault
    where
        F: Future<Output = Result<(), BenchError>> + Send + 'static,
    {
        Box::pin(async move {
            let mut under_way = JoinSet::new();
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_s);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                while under_way.try_join_next().is_some() {}
                under_way.spawn(once(self.clone()));
            }
        })
    }

    /// Does something on so many connections at once, and again where it ends.
    fn hold<F>(self, connections: u32, once: fn(Self) -> F) -> Assault
    where
        F: Future<Output = Result<(), BenchError>> + Send + 'static,
    {
        Box::pin(async move {
            let holders = (0..connections).map(|number| {
                let one = self.clone();
                async move {
                    tokio::time::sleep(APART * number).await;
                    loop {
                        let _ = once(one.clone()).await;
                        tokio::time::sleep(AGAIN_AFTER).await;
                    }
                }
            });
            JoinSet::from_iter(holders).join_all().await;
        })
    }

    async fn dial(&self) -> Result<TcpStream, BenchError> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(FROM)?;
        Ok(socket.connect(self.gateway).await?)
    }

    async fn shake(&self) -> Result<TlsStream<TcpStream>, BenchError> {
        shake_hands_on(self.dial().await?, Arc::clone(&self.tls)).await
    }

    async fn shake_halfway(self) -> Result<(), BenchError> {
        let mut stream = self.dial().await?;
        stream.write_all(HALF_A_HELLO).await?;
        until_closed(&mut stream).await;
        Ok(())
    }

    async fn shake_in_vain(self) -> Result<(), BenchError> {
        self.shake().await?.shutdown().await?;
        Ok(())
    }

    /// Writes what a connection begins with and then these frames for each of many streams, and reads until it is closed.
    async fn flood(self, frames: impl Fn(u32) -> Vec<u8>) -> Result<(), BenchError> {
        let (mut reader, mut writer) = tokio::io::split(self.shake().await?);
        let mut bytes = [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat();
        bytes.extend((0..FLOOD).flat_map(|number| frames(number * 2 + 1)));
        let write = async {
            let _ = writer.write_all(&bytes).await;
        };
        tokio::join!(write, until_closed(&mut reader));
        Ok(())
    }

    async fn reset_rapidly(self) -> Result<(), BenchError> {
        let headers = call(HEALTH, &[]);
        let cancel = 8_u32.to_be_bytes();
        self.flood(|stream| {
            let begun = frame(kind::HEADERS, END_HEADERS, stream, &headers);
            [begun, frame(kind::RST_STREAM, 0, stream, &cancel)].concat()
        })
        .await
    }

    async fn provoke_resets(self) -> Result<(), BenchError> {
        let headers = call(HEALTH, &[]);
        self.flood(|stream| {
            let begun = frame(kind::HEADERS, END_HEADERS, stream, &headers);
            [begun, frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
        })
        .await
    }

    async fn continue_headers(self) -> Result<(), BenchError> {
        let more = header("a", &"b".repeat(100));
        let headers = call(HEALTH, &[]);
        self.flood(|stream| match stream {
            1 => frame(kind::HEADERS, 0, 1, &headers),
            _ => frame(kind::CONTINUATION, 0, 1, &more),
        })
        .await
    }

    async fn ping(self) -> Result<(), BenchError> {
        self.flood(|_| frame(kind::PING, 0, 0, &[0; 8])).await
    }

    /// As many calls at once as there may be, each with this body; returns when the connection has ended.
    async fn calls(self, path: &'static str, window: u32, body: Body) -> Result<(), BenchError> {
        let (client, connection) = h2::client::Builder::new()
            .initial_window_size(window)
            .handshake::<_, Bytes>(self.shake().await?)
            .await?;
        let calls = async {
            let mut client = client.ready().await?;
            let mut open = Vec::new();
            for _ in 0..CALLS {
                let request = Request::post(format!("https://localhost{path}"))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .body(())?;
                let (answer, mut stream) = client.send_request(request, false)?;
                // A server may take empty pieces for an attack of their own, and close.
                if !body.bytes.is_empty() {
                    stream.send_data(body.bytes.clone(), body.is_whole)?;
                }
                open.push((answer, stream));
                client = client.ready().await?;
            }
            std::future::pending::<Result<(), BenchError>>().await
        };
        tokio::select! {
            ended = connection => Ok(ended?),
            begun = calls => begun,
        }
    }

    async fn begin_no_message(self) -> Result<(), BenchError> {
        self.calls(CREATE_PAYMENT, WINDOW, Body { bytes: Bytes::new(), is_whole: false }).await
    }

    async fn end_no_message(self) -> Result<(), BenchError> {
        self.calls(
            CREATE_PAYMENT,
            WINDOW,
            Body { bytes: Bytes::from_static(&MOST_OF_A_MESSAGE), is_whole: false },
        )
        .await
    }

    async fn read_no_answer(self) -> Result<(), BenchError> {
        let request = ServerReflectionRequest {
            message_request: Some(MessageRequest::FileContainingSymbol(DESCRIBED.to_owned())),
            ..ServerReflectionRequest::default()
        };
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len())?.to_be_bytes();
        let bytes = [&[0][..], &length, &message].concat().into();
        self.calls(REFLECTION, 0, Body { bytes, is_whole: true }).await
    }

    /// Guesses a hundred keys a second.
    async fn guess(self) -> Result<(), BenchError> {
        let (mut client, connection) = h2::client::handshake(self.shake().await?).await?;
        let guesses = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                client = client.ready().await?;
                let request = Request::post(format!("https://localhost{CREATE_PAYMENT}"))
                    .header("content-type", "application/grpc")
                    .header("authorization", format!("Bearer {UNKNOWN_KEY}"))
                    .body(())?;
                let (answer, mut stream) = client.send_request(request, false)?;
                stream.send_data(Bytes::from_static(&[0; 5]), true)?;
                tokio::spawn(answer);
            }
        };
        tokio::select! {
            ended = connection => Ok(ended?),
            begun = guesses => begun,
        }
    }
}

/// What is sent of a call.
struct Body {
    bytes: Bytes,
    is_whole: bool,
}

/// Reads until the other side closes.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
}
