//! What one address may have under way at once: calls, and requests that are not whole.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use h2::{
    SendStream,
    client::{ResponseFuture, SendRequest},
};
use harness::{BenchError, wait::until};
use prost::{Message, bytes::Bytes};
use tokio::net::TcpSocket;
use tonic::codegen::http::{HeaderMap, Request};
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};

use crate::bench::{Alone, Done, run};

const CALL: &str = "http://localhost/rialto.payments.v1.PaymentService/GetPayment";
const REFLECTION: &str = "http://localhost/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// A connection from an address of this machine's own.
async fn connect(gateway: &Alone, last: u8) -> Result<SendRequest<Bytes>, BenchError> {
    connect_with(&h2::client::Builder::new(), gateway, last).await
}

async fn connect_with(
    how: &h2::client::Builder,
    gateway: &Alone,
    last: u8,
) -> Result<SendRequest<Bytes>, BenchError> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0))?;
    let stream = socket.connect(gateway.address.parse()?).await?;
    let (client, connection) = how.handshake(stream).await?;
    tokio::spawn(connection);
    Ok(client.ready().await?)
}

/// A call that has begun.
struct Begun {
    answer: ResponseFuture,
    request: SendStream<Bytes>,
}

async fn begin(client: &mut SendRequest<Bytes>, url: &str) -> Result<Begun, BenchError> {
    begin_with(client, url, HeaderMap::new()).await
}

async fn begin_with(
    client: &mut SendRequest<Bytes>,
    url: &str,
    headers: HeaderMap,
) -> Result<Begun, BenchError> {
    let request = Request::post(url).header("content-type", "application/grpc").header("te", "trailers");
    let mut request = request.body(())?;
    request.headers_mut().extend(headers);
    let (answer, request) = client.clone().ready().await?.send_request(request, false)?;
    Ok(Begun { answer, request })
}

impl Begun {
    /// Sends so much of a message, and waits until it has gone.
    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), BenchError> {
        let mut rest = Bytes::from(bytes);
        while !rest.is_empty() {
            self.request.reserve_capacity(rest.len());
            let room = std::future::poll_fn(|context| self.request.poll_capacity(context)).await;
            let room = room.ok_or("the call is over")??;
            self.request.send_data(rest.split_to(room.min(rest.len())), false)?;
        }
        Ok(())
    }

    /// What the call came to: its status and reason.
    async fn end(self) -> Result<(String, String), BenchError> {
        let mut answer = self.answer.await?;
        let headers = answer.headers().clone();
        let trailers = match headers.contains_key("grpc-status") {
            true => headers,
            false => answer.body_mut().trailers().await?.ok_or("no trailers")?,
        };
        let text = |name: &str, trailers: &HeaderMap| {
            trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        Ok((text("grpc-status", &trailers), text("grpc-message", &trailers)))
    }
}

/// What a call comes to that has all that it needs but a credential.
async fn whole(client: &SendRequest<Bytes>) -> Result<(String, String), BenchError> {
    let mut call = begin(&mut client.clone(), CALL).await?;
    // Whoever is refused does not want it.
    drop(call.request.send_data(Bytes::from_static(&[0; 5]), true));
    call.end().await
}

/// Waits until such a call comes to this: what other connections have said may be heard later.
async fn comes_to(client: &SendRequest<Bytes>, status: &str, message: &str) -> Result<(), BenchError> {
    until(&format!("{status} {message}"), Duration::from_secs(5), async || {
        let (found, said) = whole(client).await.ok()?;
        (found == status && said.contains(message)).then_some(())
    })
    .await
}

const INVALID_ARGUMENT: &str = "3";
const RESOURCE_EXHAUSTED: &str = "8";
const OUT_OF_RANGE: &str = "11";
const UNAUTHENTICATED: &str = "16";

#[test]
fn one_address_has_so_many_calls_at_once_and_no_more() {
    run(async || {
        let gateway = Alone::gateway(&["--max-calls-per-address=5", "--max-streams=4"])?;
        let mut connections = [connect(&gateway, 66).await?, connect(&gateway, 66).await?];
        let neighbour = connect(&gateway, 67).await?;
        let mut calls = Vec::new();
        for at in [0, 0, 0, 0, 1] {
            let mut call = begin(&mut connections[at], CALL).await?;
            call.send(vec![0; 4]).await?;
            calls.push(call);
        }
        let [_, other] = &connections;
        comes_to(other, RESOURCE_EXHAUSTED, "too%20many%20calls%20from%20this%20address").await?;
        assert_eq!(whole(&neighbour).await?.0, UNAUTHENTICATED, "a neighbour is served");
        // One ends, and there is room for another.
        let mut over = calls.remove(0);
        over.request.send_data(Bytes::from_static(&[0]), true)?;
        assert_eq!(over.end().await?.0, UNAUTHENTICATED);
        comes_to(other, UNAUTHENTICATED, "").await?;
        // Those who go away leave nothing behind.
        for call in &mut calls {
            call.request.send_reset(h2::Reason::CANCEL);
        }
        until("there is room for four again", Duration::from_secs(5), async || {
            let mut client = other.clone();
            let mut open = Vec::new();
            for _ in 0..4 {
                open.push(begin(&mut client, CALL).await.ok()?);
            }
            let mut served = 0;
            for mut call in open {
                // Whoever was refused does not want it.
                drop(call.request.send_data(Bytes::from_static(&[0; 5]), true));
                served += u8::from(call.end().await.ok()?.0 == UNAUTHENTICATED);
            }
            (served == 4).then_some(())
        })
        .await
    });
}

#[test]
fn one_address_may_leave_eight_mebibytes_of_requests_open_and_no_more() {
    run(async || -> Done {
        let gateway = Alone::gateway(&[])?;
        let mut client = connect(&gateway, 66).await?;
        // A message of 4 MiB, as long as reflection takes one, all but its last byte; and the same again.
        let message = [&[0, 0, 0x40, 0, 0][..], &vec![0; (4 << 20) - 6]].concat();
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut call = begin(&mut client, REFLECTION).await?;
            call.send(message.clone()).await?;
            open.push(call);
        }
        let mut call = begin(&mut client, CALL).await?;
        call.send(vec![0, 0]).await?;
        assert_eq!(
            whole(&client).await?.0,
            UNAUTHENTICATED,
            "what is whole does not count, and 8 MiB are not too much"
        );
        call.send(vec![0]).await?;
        let (status, message) = call.end().await?;
        assert_eq!(status, RESOURCE_EXHAUSTED, "{message}");
        assert!(message.contains("not%20whole%20yet"), "{message}");
        drop(open);
        Ok(())
    });
}

/// A signed call is read to its end before anybody knows who is calling.
#[test]
fn of_a_signed_call_no_more_is_kept_than_the_largest_message() {
    const LARGEST: usize = 64 << 10;
    run(async || {
        let gateway = Alone::gateway(&[])?;
        let mut client = connect(&gateway, 66).await?;
        let mut signed = HeaderMap::new();
        signed.insert("signature", "call=:AAAA:".parse()?);
        let mut message = [&[0, 0, 1, 0, 0][..], &[0; LARGEST]].concat();
        let mut fits = begin_with(&mut client, CALL, signed.clone()).await?;
        fits.send(message.clone()).await?;
        fits.request.send_data(Bytes::new(), true)?;
        assert_eq!(fits.end().await?.0, INVALID_ARGUMENT, "so many zeros are read, and no message");
        let mut endless = begin_with(&mut client, CALL, signed).await?;
        // As if the largest number of bytes followed.
        message[1..5].fill(0xff);
        message.push(0);
        endless.send(message).await?;
        let answer = tokio::time::timeout(Duration::from_secs(5), endless.end()).await;
        let (status, said) = answer.map_err(|_| "what does not end is read on and on")??;
        assert_eq!(status, OUT_OF_RANGE, "{said}");
        Ok(())
    });
}

#[test]
fn an_answer_that_nobody_reads_is_still_a_call() {
    run(async || {
        let gateway = Alone::gateway(&["--max-calls-per-address=2"])?;
        let mut reads_nothing =
            connect_with(h2::client::Builder::new().initial_window_size(0), &gateway, 66).await?;
        let other = connect(&gateway, 66).await?;
        let request = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..ServerReflectionRequest::default()
        };
        let message = request.encode_to_vec();
        let message = [&[0, 0, 0, 0, u8::try_from(message.len())?][..], &message].concat();
        let mut unread = Vec::new();
        for _ in 0..2 {
            let mut call = begin(&mut reads_nothing, REFLECTION).await?;
            call.request.send_data(message.clone().into(), true)?;
            unread.push(call.answer.await?);
        }
        assert_eq!(whole(&other).await?.0, RESOURCE_EXHAUSTED);
        drop((unread, reads_nothing));
        comes_to(&other, UNAUTHENTICATED, "").await
    });
}
