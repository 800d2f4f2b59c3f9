//! What is wrong below gRPC: requests of HTTP/2 that no client of gRPC makes, and bodies that are not framed as it frames them.

use h2::client;
use harness::{
    BenchError,
    http2::{self, kind},
    system::Service,
};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::codegen::{
    Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri},
};

use crate::bench::{Bench, Given, leaving_nothing};

const CREATE: &str = "/rialto.payments.v1.PaymentService/CreatePayment";

/// A request that must come to nothing.
struct Row {
    number: u16,
    name: &'static str,
    method: Method,
    path: String,
    /// Besides `te`, the media type and the credential, or instead of them.
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What must come of it: `415` of HTTP, `grpc 3`, or `reset`.
    comes_to: &'static str,
}

/// A message as gRPC frames it.
fn framed(flag: u8, length: usize, message: &[u8]) -> Vec<u8> {
    [&[flag], u32::try_from(length).unwrap().to_be_bytes().as_slice(), message].concat()
}

fn rows(given: &Given) -> Vec<Row> {
    let message = given.good().encode_to_vec();
    let good = framed(0, message.len(), &message);
    let row = |number, name, headers: &[(&'static str, &str)], body: Vec<u8>, comes_to| Row {
        number,
        name,
        method: Method::POST,
        path: CREATE.to_owned(),
        headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        body,
        comes_to,
    };
    let mut rows = vec![
        row(17, "two lengths", &[("content-length", "5"), ("content-length", "500")], good.clone(), "reset"),
        row(17, "a length that is too small", &[("content-length", "5")], good.clone(), "reset"),
        row(17, "a length that is too large", &[("content-length", "60000")], good.clone(), "reset"),
        row(17, "a length that is no number", &[("content-length", "+5")], good.clone(), "reset"),
        row(139, "JSON", &[("content-type", "application/json")], good.clone(), "415"),
        row(139, "no media type", &[("content-type", "")], good.clone(), "415"),
        row(139, "gRPC for browsers", &[("content-type", "application/grpc-web")], good.clone(), "415"),
        row(23, "nothing at all", &[], Vec::new(), "grpc 3"),
        row(23, "half a prefix", &[], vec![0, 0, 0], "grpc 3"),
        row(23, "a prefix alone", &[], framed(0, 100, &[]), "grpc 3"),
        row(23, "less than the prefix says", &[], framed(0, message.len() + 1, &message), "grpc 3"),
        row(23, "a message and noise", &[], [good.as_slice(), b"noise"].concat(), "grpc 3"),
        row(22, "a prefix of 4 GiB", &[], framed(0, u32::MAX.try_into().unwrap(), &message), "grpc 11"),
        row(19, "compressed without a word", &[], framed(1, message.len(), &message), "grpc 3"),
        row(19, "a flag that there is not", &[], framed(7, message.len(), &message), "grpc 3"),
        row(
            35,
            "two credentials in one",
            &[("authorization", &format!("Bearer {0},Bearer {0}", given.key))],
            good.clone(),
            "grpc 16",
        ),
        row(16, "headers of 16 KiB", &[("x-long", &"x".repeat(16 << 10))], good.clone(), "431"),
    ];
    let long = format!("/{}", "x".repeat(16 << 10));
    rows.push(Row { path: long, ..row(32, "a path of 16 KiB", &[], good.clone(), "431") });
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        rows.push(Row { method, ..row(0, "another method", &[], good.clone(), "405") });
    }
    rows
}

/// What an HTTP/2 library would not let one send: pieces of headers in the place of another piece, and in how they are refused.
fn raw_rows(given: &Given) -> Vec<(u16, &'static str, Vec<u8>)> {
    let secret = format!("Bearer {}", given.key);
    let call = http2::call(CREATE, &[("authorization", &secret)]);
    let with = |more: &[u8]| [call.as_slice(), more].concat();
    let path = http2::header(":path", "/rialto.payments.v1.PaymentService/GetPayment");
    vec![
        (16, "an upper-case name", with(&http2::header("X-Tenant", "a"))),
        (16, "a name with a space", with(&http2::header("a b", "a"))),
        (16, "a name with a colon", with(&http2::header("a:b", "a"))),
        (16, "a NUL in a value", with(&http2::header("a", "a\0b"))),
        (16, "a line feed in a value", with(&http2::header("a", "a\nauthorization: Bearer x"))),
        (16, "a carriage return in a value", with(&http2::header("a", "a\rb"))),
        (16, "a second path", [&path, call.as_slice()].concat()),
        (16, "a second path, at the end", with(&path)),
        (16, "a second method", [&http2::header(":method", "POST"), call.as_slice()].concat()),
        (16, "a second scheme", [&http2::header(":scheme", "https"), call.as_slice()].concat()),
        (16, "a second authority", [&http2::header(":authority", "other"), call.as_slice()].concat()),
        (
            16,
            "a pseudo-header that there is not",
            [&http2::header(":status", "200"), call.as_slice()].concat(),
        ),
        (16, "an empty path", http2::call("", &[("authorization", &secret)])),
        (16, "a connection header", with(&http2::header("connection", "close"))),
        (16, "a transfer encoding", with(&http2::header("transfer-encoding", "chunked"))),
        (16, "te that is not trailers", with(&http2::header("te", "gzip"))),
        (16, "an index that there is not", with(&[0xff, 0xff, 0x7f])),
        (16, "a length beyond the block", with(&[0x00, 0x7e])),
        (16, "a bad code of Huffman", with(&[0x00, 0x01, b'a', 0x84, 0xff, 0xff, 0xff, 0xff])),
        (16, "a table of 1 GiB", [&[0x3f, 0xe1, 0xff, 0xff, 0xff, 0x03][..], &call].concat()),
    ]
}

/// How a gateway answers a call with such headers and a good message: `reset` if it is refused as HTTP/2 should, else what the call
/// came to.
async fn sent_raw(bench: &Bench, given: &Given, headers: &[u8]) -> Result<String, BenchError> {
    let mut stream = bench.system.connect(Service::Gateway).await?;
    let message = given.good().encode_to_vec();
    let frames = [
        http2::PREFACE.to_vec(),
        http2::frame(kind::SETTINGS, 0, 0, &[]),
        http2::frame(kind::HEADERS, http2::END_HEADERS, 1, headers),
        http2::frame(kind::DATA, http2::END_STREAM, 1, &framed(0, message.len(), &message)),
    ];
    stream.write_all(&frames.concat()).await?;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Ok("reset".to_owned());
        }
        let [a, b, c, kind, _, stream_id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]).try_into()?];
        stream.read_exact(&mut payload).await?;
        match (kind, u32::from_be_bytes(stream_id)) {
            (kind::RST_STREAM | kind::GOAWAY, _) => return Ok("reset".to_owned()),
            (kind::HEADERS, 1) => return Ok(format!("answered with {} bytes of headers", payload.len())),
            _ => {}
        }
    }
}

#[test]
fn headers_that_are_none_come_to_nothing() {
    leaving_nothing(async |bench, given| {
        let mut problems = Vec::new();
        let good = http2::call(CREATE, &[("authorization", "Bearer nobody's")]);
        let answered = sent_raw(bench, given, &good).await?;
        if !answered.starts_with("answered") {
            problems.push(format!("what has nothing wrong: {answered}"));
        }
        for (number, name, headers) in raw_rows(given) {
            let found = sent_raw(bench, given, &headers).await?;
            if found != "reset" {
                problems.push(format!("row {number}, {name}: {found}"));
            }
        }
        Ok(problems)
    });
}

#[test]
fn what_is_no_call_comes_to_nothing() {
    leaving_nothing(async |bench, given| {
        let mut problems = Vec::new();
        for row in rows(given) {
            let found = sent(bench, given, &row).await?;
            if found != row.comes_to {
                problems.push(format!(
                    "row {}, {} {}: {found}, not {}",
                    row.number, row.method, row.name, row.comes_to
                ));
            }
        }
        Ok(problems)
    });
}

/// What came of it.
async fn sent(bench: &Bench, given: &Given, row: &Row) -> Result<String, BenchError> {
    let stream = bench.system.connect(Service::Gateway).await?;
    let (sender, connection) = client::handshake(stream).await?;
    let driven = tokio::spawn(connection);
    let mut request = Request::builder().method(row.method.clone()).uri(uri(&row.path)?).body(())?;
    let headers = request.headers_mut();
    headers.insert("te", HeaderValue::from_static("trailers"));
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("authorization", format!("Bearer {}", given.key).parse()?);
    for (name, _) in &row.headers {
        headers.remove(*name);
    }
    for (name, value) in row.headers.iter().filter(|(_, value)| !value.is_empty()) {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    let mut sender = sender.ready().await?;
    let (response, mut body) = sender.send_request(request, row.body.is_empty())?;
    if !row.body.is_empty() {
        // Who resets the stream meanwhile does not want the body.
        drop(body.send_data(Bytes::from(row.body.clone()), true));
    }
    let answer = match response.await {
        Ok(response) => response,
        Err(error) if error.is_reset() || error.is_go_away() => return Ok("reset".to_owned()),
        Err(error) => return Ok(error.to_string()),
    };
    let (head, mut stream) = answer.into_parts();
    while let Some(Ok(_)) = stream.data().await {}
    let trailers = stream.trailers().await.ok().flatten().unwrap_or_default();
    driven.abort();
    let of = |headers: &HeaderMap| {
        headers.get("grpc-status").and_then(|code| code.to_str().ok().map(str::to_owned))
    };
    let code = of(&head.headers).or_else(|| of(&trailers));
    Ok(match code {
        Some(code) if head.status.is_success() => format!("grpc {code}"),
        _ => head.status.as_u16().to_string(),
    })
}

fn uri(path: &str) -> Result<Uri, BenchError> {
    Ok(Uri::builder().scheme("https").authority("localhost").path_and_query(path).build()?)
}
