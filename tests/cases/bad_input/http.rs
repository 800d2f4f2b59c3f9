//! What is wrong below gRPC: requests of HTTP/2 that no client of gRPC makes, and bodies that are not framed as it frames them.

use h2::client;
use harness::{BenchError, system::Service};
use prost::Message;
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
