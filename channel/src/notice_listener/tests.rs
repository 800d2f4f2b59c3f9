//! What a bank hears that says something unasked, with the whole channel running and a platform connected or not.

use std::{net::SocketAddr, time::Instant};

use common::trace::TraceParent;
use proto::channel::NoticeReceipt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::sleep,
};

use super::*;
use crate::{
    bank::MAX_UNASKED,
    instruction_service::tests::{Exchange, start},
    rails::iso20022::notice::tests::credited,
};

mod instructions;
mod signed;
mod tls;

const XML: &str = "application/xml; charset=utf-8";

/// What a bank hears: the status, and when to come back, if it is told.
type Heard = (u16, Option<String>, String);

fn post(
    address: SocketAddr,
    path: &str,
    media_type: &str,
    body: impl Into<reqwest::Body>,
) -> JoinHandle<Heard> {
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(format!("http://{address}{path}"))
        .header("content-type", media_type)
        .body(body);
    tokio::spawn(async move {
        let response = request.send().await.expect("an answer");
        let retry_after =
            response.headers().get(RETRY_AFTER).map(|value| value.to_str().expect("text").to_owned());
        (response.status().as_u16(), retry_after, response.text().await.expect("a body"))
    })
}

fn notify(address: SocketAddr) -> JoinHandle<Heard> {
    post(address, "/banks/slow/pacs.002", XML, credited())
}

async fn status(heard: JoinHandle<Heard>) -> u16 {
    heard.await.expect("heard").0
}

fn receipt(notice: &Notice, result: NoticeResult) -> NoticeReceipt {
    let notice_id = notice.notice_id;
    NoticeReceipt { notice_id, result: result.into(), detail: "because".to_owned(), verdict: None }
}

/// Writes bytes to the listener and reads until it closes the connection.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(bytes).await.expect("written");
    let mut read = Vec::new();
    // A connection that is reset is closed as well.
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut read)).await.expect("closed in time");
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test]
async fn a_bank_hears_that_its_notice_was_taken_only_after_the_receipt() {
    let running = start("notices", &[], 10).await;
    let mut platform = Exchange::open(&running).await;
    let heard = notify(running.notices);
    let notice = platform.notice().await;
    assert_eq!((&*notice.bank_id, &*notice.message_id), ("slow", "MSG-1"));
    assert!(TraceParent::parse(&notice.traceparent).is_some());
    sleep(Duration::from_millis(200)).await;
    assert!(!heard.is_finished(), "nobody has it on record yet");
    platform.receive(receipt(&notice, NoticeResult::Taken)).await;
    assert_eq!(heard.await.expect("heard"), (200, None, String::new()));

    let heard = notify(running.notices);
    let notice = platform.notice().await;
    platform.receive(receipt(&notice, NoticeResult::Refused)).await;
    assert_eq!(heard.await.expect("heard"), (422, None, "because".to_owned()));

    let heard = notify(running.notices);
    let notice = platform.notice().await;
    platform.receive(receipt(&notice, NoticeResult::Unspecified)).await;
    let (status, retry_after, _) = heard.await.expect("heard");
    assert_eq!((status, retry_after.as_deref()), (503, Some("1")));
}

#[tokio::test]
async fn a_bank_is_told_to_come_back_when_no_platform_can_say() {
    let running = start("nobody", &[], 10).await;
    let (status, retry_after, _) = notify(running.notices).await.expect("heard");
    assert_eq!((status, retry_after.as_deref()), (503, Some("1")));

    let mut platform = Exchange::open(&running).await;
    let heard = notify(running.notices);
    platform.notice().await;
    drop(platform);
    let start = Instant::now();
    assert_eq!(self::status(heard).await, 503);
    assert!(start.elapsed() < Duration::from_secs(2), "the platform is gone: {:?}", start.elapsed());
}

#[tokio::test]
async fn what_is_no_notice_reaches_no_platform() {
    let running = start("no-notice", &[], 10).await;
    let mut platform = Exchange::open(&running).await;
    let heard = notify(running.notices);
    let before = platform.notice().await;
    platform.receive(receipt(&before, NoticeResult::Taken)).await;
    assert_eq!(status(heard).await, 200);
    let good = "/banks/slow/pacs.002";
    let too_long = credited().replace("<TxSts>", &format!("<!--{}--><TxSts>", "x".repeat(gate::MAX_BYTES)));
    let contradicting = credited().replace("<OrgnlTxId>MSG-1", "<OrgnlTxId>MSG-2");
    for (path, media_type, body, expected) in [
        (good, "text/html", credited(), 400),
        (good, "", credited(), 400),
        (good, "application/xml; charset=latin1", credited(), 400),
        (good, XML, String::new(), 400),
        (good, XML, "<html/>".to_owned(), 400),
        (good, XML, format!("<!DOCTYPE d>{}", credited()), 400),
        (good, XML, credited().replace("OrgnlMsgId", "OrgnlCtrlSum"), 400),
        (good, XML, too_long, 400),
        (good, XML, contradicting, 422),
        ("/banks/nowhere/pacs.002", XML, credited(), 404),
        ("/banks//pacs.002", XML, credited(), 404),
        ("/banks/slow/pacs.004", XML, credited(), 404),
        ("/", XML, credited(), 404),
    ] {
        let (status, retry_after, _) =
            post(running.notices, path, media_type, body.clone()).await.expect("heard");
        assert_eq!((status, retry_after), (expected, None), "{path} {media_type} {body:.60}");
    }
    for method in ["GET", "PUT", "DELETE", "HEAD", "PATCH"] {
        let head =
            format!("{method} {good} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let answer = raw(running.notices, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
    }
    let chunked = format!(
        "POST {good} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/xml\r\ntransfer-encoding: chunked\r\n\r\n{}",
        format!("8000\r\n{}\r\n", "x".repeat(0x8000)).repeat(3)
    );
    let answer = raw(running.notices, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "an endless body: {answer}");

    let heard = notify(running.notices);
    let notice = platform.notice().await;
    assert_eq!(notice.notice_id, before.notice_id.wrapping_add(1), "the next that got through");
    platform.receive(receipt(&notice, NoticeResult::Taken)).await;
    assert_eq!(status(heard).await, 200);
}

#[tokio::test]
async fn nobody_holds_a_connection_without_sending_a_notice() {
    let running = start("slow-bank", &[], 10).await;
    let address = running.notices;
    let post = "POST /banks/slow/pacs.002 HTTP/1.1\r\nhost: x\r\ncontent-type: text/xml\r\n";
    let idle = format!("{post}content-length: 0\r\n\r\n");
    let body = format!("{post}content-length: 1000\r\n\r\n<Document");
    let timed = async |bytes: String| {
        let start = Instant::now();
        let answer = raw(address, bytes.as_bytes()).await;
        assert!((4_500..8_000).contains(&start.elapsed().as_millis()), "{:?} {answer}", start.elapsed());
        answer
    };
    let (silent, half, idle, body) =
        tokio::join!(timed(String::new()), timed(post.to_owned()), timed(idle), timed(body));
    assert!(!silent.contains(" 200 ") && !half.contains(" 200 "), "{silent} {half}");
    assert!(idle.starts_with("HTTP/1.1 400 "), "answered, and then idle: {idle}");
    assert!(body.starts_with("HTTP/1.1 503 ") && body.contains("retry-after: 1"), "{body}");
    assert!(raw(address, &[b'x'; 100_000]).await.starts_with("HTTP/1.1 4"), "no HTTP");
    let long = format!("{post}x: {}\r\n\r\n", "x".repeat(100_000));
    assert!(raw(address, long.as_bytes()).await.starts_with("HTTP/1.1 431 "), "a head without end");
}

#[tokio::test]
async fn a_bank_that_says_too_much_is_told_to_come_back_and_too_many_connections_are_closed() {
    let running = start("many", &[], 10).await;
    let mut platform = Exchange::open(&running).await;
    let waiting: Vec<_> = (0..MAX_UNASKED).map(|_| notify(running.notices)).collect();
    let mut notices = Vec::new();
    while notices.len() < MAX_UNASKED {
        notices.extend(platform.next().await.expect("an answer").notices);
    }
    assert_eq!(status(notify(running.notices)).await, 503);
    let heard = post(running.notices, "/banks/fast/pacs.002", XML, credited());
    let of_another = timeout(Duration::from_secs(5), platform.notice()).await;
    let of_another = of_another.expect("other banks have places of their own");
    assert_eq!(of_another.bank_id, "fast");
    platform.receive(receipt(&of_another, NoticeResult::Taken)).await;
    assert_eq!(status(heard).await, 200);

    let mut idle = Vec::new();
    while idle.len() < MAX_CONNECTIONS_PER_ADDRESS - MAX_UNASKED {
        idle.push(TcpStream::connect(running.notices).await.expect("connected"));
    }
    sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    assert_eq!(raw(running.notices, b"").await, "", "not even an answer");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let elsewhere = tokio::net::TcpSocket::new_v4().expect("a socket");
    elsewhere.bind("127.0.0.2:0".parse().expect("an address")).expect("bound");
    let mut elsewhere = elsewhere.connect(running.notices).await.expect("connected");
    elsewhere.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("written");
    let mut heard = String::new();
    elsewhere.read_to_string(&mut heard).await.expect("answered");
    assert!(heard.starts_with("HTTP/1.1 404 "), "another address has places of its own: {heard}");

    for notice in &notices {
        platform.receive(receipt(notice, NoticeResult::Taken)).await;
    }
    for heard in waiting {
        assert_eq!(status(heard).await, 200);
    }
    drop(idle);
    sleep(Duration::from_millis(200)).await;
    let heard = notify(running.notices);
    let notice = platform.notice().await;
    platform.receive(receipt(&notice, NoticeResult::Taken)).await;
    assert_eq!(status(heard).await, 200, "all is as it was");
}

#[tokio::test]
async fn a_drain_waits_for_the_receipts_of_notices_under_way() {
    let running = start("notice-drain", &[], 10).await;
    let mut platform = Exchange::open(&running).await;
    let mut idle = TcpStream::connect(running.notices).await.expect("connected");
    let heard = notify(running.notices);
    let notice = platform.notice().await;
    running.lifecycle.drain();
    sleep(Duration::from_millis(200)).await;
    assert!(!heard.is_finished());
    assert!(TcpStream::connect(running.notices).await.is_err(), "no new connection");
    let mut end = [0];
    let closed = timeout(Duration::from_secs(1), idle.read(&mut end)).await.expect("closed at once");
    assert_eq!(closed.expect("closed"), 0, "an idle one is closed");
    platform.receive(receipt(&notice, NoticeResult::Taken)).await;
    assert_eq!(status(heard).await, 200);
    assert!(platform.next().await.is_some_and(|said| said.is_leaving), "the platform is told");
    assert!(platform.next().await.is_none(), "the stream ends after that");
    drop(platform);
    let server = running.end();
    timeout(Duration::from_secs(5), server).await.expect("in time").expect("stopped");
}
