//! The conversation with banks that misbehave: small TCP servers that say what no HTTP library would.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::bic::Bic;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use url::Url;

use super::*;
use crate::directory::entry::{HttpVersion, Trust};
use crate::instruction::tests::{credit_transfer, return_enquiry, return_request, status_enquiry};

mod frames;
mod http2;
mod signed;
pub(crate) mod tls;

const REPORT: &str = "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><FIToFIPmtStsRpt>\
    <GrpHdr><MsgId>BANK-1</MsgId><CreDtTm>2026-11-23T10:00:00.000Z</CreDtTm></GrpHdr><TxInfAndSts>\
    <OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR><TxSts>ACSC</TxSts>\
    </TxInfAndSts></FIToFIPmtStsRpt></Document>";

/// An HTTP answer: its first lines, and its body.
pub(crate) fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// What a bank says that has credited the creditor.
pub(crate) fn good_answer() -> String {
    answer("200 OK\r\ncontent-type: application/xml; charset=utf-8", REPORT)
}

/// Reads one request; none if the connection ends first.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
        read.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&read);
        if text.contains("</Document>") {
            return Some(text.into_owned());
        }
    }
}

/// A server that hands each connection to `serve`.
pub(crate) async fn bank<F: Future<Output = ()> + Send>(
    serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> Url {
    bank_on(TcpListener::bind("127.0.0.1:0").await.expect("a port"), serve)
}

/// A server on that port that hands each connection to `serve`.
pub(crate) fn bank_on<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> Url {
    let address = format!("http://{}/bank", listener.local_addr().expect("an address"));
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = Arc::clone(&serve);
            tokio::spawn(async move { serve(stream).await });
        }
    });
    Url::parse(&address).expect("a URL")
}

/// A server that reads one request on each connection, writes `bytes` and closes.
pub(crate) async fn bank_that_says(bytes: impl Into<Vec<u8>>) -> Url {
    let bytes: Arc<[u8]> = bytes.into().into();
    bank(move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            request(&mut stream).await;
            drop(stream.write_all(&bytes).await);
        }
    })
    .await
}

fn way(address: &Url, answer_timeout_ms: u64) -> Iso20022 {
    way_over(HttpVersion::Http1, address, answer_timeout_ms)
}

fn way_over(version: HttpVersion, address: &Url, answer_timeout_ms: u64) -> Iso20022 {
    let bic = |text| Bic::parse(text).expect("a BIC");
    let correspondents = Correspondents { sender: bic("RLTOITV0XXX"), bank: bic("AURODEFF") };
    let answer_timeout = Duration::from_millis(answer_timeout_ms);
    let trust = Trust::default();
    let access = Access { address: address.clone(), http: version, trust };
    Iso20022::new(correspondents, &access, answer_timeout, Clock::system()).expect("a client")
}

fn instruction() -> Instruction {
    Instruction::parse(credit_transfer()).expect("well-formed")
}

/// The verdict in short: its kind, and the reason where it has one.
pub(crate) fn short(verdict: Verdict) -> String {
    match verdict {
        Verdict::Accepted(_) => "accepted".to_owned(),
        Verdict::Rejected(_) => "rejected".to_owned(),
        Verdict::NotFound(_) => "not found".to_owned(),
        Verdict::NotSent(not_sent) => format!("not sent: {}", not_sent.reason),
        Verdict::Unknown(unknown) => format!("unknown: {}", unknown.reason),
    }
}

async fn carried(address: &Url, answer_timeout_ms: u64) -> String {
    short(way(address, answer_timeout_ms).carry(&instruction()).await.verdict)
}

#[tokio::test]
async fn a_good_answer_is_accepted() {
    assert_eq!(carried(&bank_that_says(good_answer()).await, 2_000).await, "accepted");
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: TEXT/XML\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{REPORT}\r\n0\r\n\r\n",
        REPORT.len()
    );
    assert_eq!(carried(&bank_that_says(chunked).await, 2_000).await, "accepted");
}

#[tokio::test]
async fn what_a_bank_says_is_passed_on_unless_it_only_accepts_what_was_sent() {
    let xml = |body: &str| answer("200 OK\r\ncontent-type: application/xml", body);
    let refused = REPORT.replace("ACSC", "RJCT");
    let long = format!("<Document>{}", "x".repeat(2 * MAX_KEPT_BYTES));
    let enquiry = || Instruction::parse(status_enquiry()).expect("well-formed");
    for (instruction, said, passed_on) in [
        (instruction(), REPORT, ""),
        (enquiry(), REPORT, REPORT),
        (instruction(), refused.as_str(), refused.as_str()),
        (instruction(), "<Document>no message", "<Document>no message"),
        (instruction(), long.as_str(), &long[..MAX_KEPT_BYTES]),
    ] {
        let carried = way(&bank_that_says(xml(said)).await, 2_000).carry(&instruction).await;
        assert_eq!(
            String::from_utf8(carried.bank_message).expect("text"),
            passed_on,
            "{:?}",
            carried.verdict
        );
    }
}

#[tokio::test]
async fn not_sent_only_if_no_connection_came_about() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let free = listener.local_addr().expect("an address");
    drop(listener);
    // Banks without TLS see the beginning of a handshake, and not a byte of the request.
    let no_tls =
        bank(|mut stream| async move { drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await) })
            .await;
    let silent = bank(|mut stream| async move { drop(stream.read_to_end(&mut Vec::new()).await) }).await;
    for address in [
        format!("http://{free}/"),
        "http://bank.invalid/".to_owned(),
        no_tls.as_str().replace("http://", "https://"),
        silent.as_str().replace("http://", "https://"),
    ] {
        let address = Url::parse(&address).expect("a URL");
        assert_eq!(carried(&address, 3_000).await, "not sent: BANK_UNREACHABLE", "{address}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_in_time_is_not_sent() {
    // The kernel completes connections up to the backlog; then handshakes are left unanswered.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(1).expect("listening");
    let address = listener.local_addr().expect("an address");
    let mut fillers = Vec::new();
    while let Ok(Ok(filler)) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        fillers.push(filler);
        assert!(fillers.len() < 100, "the backlog never fills");
    }
    let url = Url::parse(&format!("http://{address}/")).expect("a URL");
    assert_eq!(carried(&url, 600).await, "not sent: BANK_UNREACHABLE");
}

#[tokio::test]
async fn whatever_follows_a_connection_is_unknown() {
    let page = answer("200 OK\r\ncontent-type: text/html", "<html>sign in</html>");
    let good = good_answer();
    let half = good.get(..good.len() - 20).expect("half of it");
    for (bytes, verdict) in [
        (String::new(), "unknown: CONNECTION_BROKEN"),
        ("nonsense\r\n\r\n".to_owned(), "unknown: CONNECTION_BROKEN"),
        ("HTTP/1.1 200 OK\r\ncontent-t".to_owned(), "unknown: CONNECTION_BROKEN"),
        (half.to_owned(), "unknown: CONNECTION_BROKEN"),
        (
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\n\r\n{}", &REPORT[..200]),
            "unknown: ANSWER_UNREADABLE",
        ),
        (answer("200 OK\r\ncontent-type: application/xml", ""), "unknown: ANSWER_UNREADABLE"),
        (answer("200 OK", REPORT), "unknown: ANSWER_UNREADABLE"),
        (answer("200 OK\r\ncontent-type: application/json", REPORT), "unknown: ANSWER_UNREADABLE"),
        (answer("200 OK\r\ncontent-type: text/xml; charset=latin1", REPORT), "unknown: ANSWER_UNREADABLE"),
        (page, "unknown: ANSWER_UNREADABLE"),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), "unknown: HTTP_STATUS"),
        (answer("201 Created\r\ncontent-type: text/xml", REPORT), "unknown: HTTP_STATUS"),
        (answer("404 Not Found", ""), "unknown: HTTP_STATUS"),
        (answer("429 Too Many Requests", ""), "unknown: HTTP_STATUS"),
        (answer("500 Oops\r\ncontent-type: text/xml", REPORT), "unknown: HTTP_STATUS"),
        (answer("503 Busy", ""), "unknown: HTTP_STATUS"),
    ] {
        assert_eq!(carried(&bank_that_says(bytes.clone()).await, 2_000).await, verdict, "{bytes:.80}");
    }
    let slammed = bank(|stream| async move { drop(stream) }).await;
    for _ in 0..20 {
        assert_eq!(carried(&slammed, 2_000).await, "unknown: CONNECTION_BROKEN");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let visits = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&visits);
    let elsewhere = bank(move |stream| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move { drop(stream) }
    })
    .await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let address = bank_that_says(answer(&format!("{status}\r\nlocation: {elsewhere}"), "")).await;
        assert_eq!(carried(&address, 2_000).await, "unknown: HTTP_STATUS");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn time_runs_out_for_silence_and_for_drips() {
    let silent = bank(|mut stream| async move {
        request(&mut stream).await;
        sleep(Duration::from_secs(60)).await;
    })
    .await;
    let dripping = bank(|mut stream| async move {
        request(&mut stream).await;
        for byte in good_answer().bytes() {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for address in [silent, dripping] {
        let start = Instant::now();
        assert_eq!(carried(&address, 300).await, "unknown: ANSWER_TIMED_OUT");
        assert!((300..3_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_cap() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let endless = bank(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            request(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: 1073741824\r\n\r\n";
            let mut result = stream.write_all(head.as_bytes()).await;
            while result.is_ok() && count.fetch_add(8192, Ordering::SeqCst) < 1 << 30 {
                result = stream.write_all(&[b' '; 8192]).await;
            }
        }
    })
    .await;
    assert_eq!(carried(&endless, 5_000).await, "unknown: ANSWER_UNREADABLE");
    sleep(Duration::from_millis(100)).await;
    let written = written.load(Ordering::SeqCst);
    assert!(written < 32 << 20, "{written} bytes were taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_bank_closed_while_idle_loses_nothing() {
    let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, opened) = (Arc::clone(&requests), Arc::clone(&connections));
    let closing = bank(move |mut stream| {
        let seen = Arc::clone(&seen);
        opened.fetch_add(1, Ordering::SeqCst);
        async move {
            // Answers as if the connection stayed open, then closes it.
            if request(&mut stream).await.is_some() {
                seen.fetch_add(1, Ordering::SeqCst);
                drop(stream.write_all(good_answer().as_bytes()).await);
            }
        }
    })
    .await;
    let way = way(&closing, 2_000);
    for round in 0..50 {
        assert_eq!(short(way.carry(&instruction()).await.verdict), "accepted", "round {round}");
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(requests.load(Ordering::SeqCst), 50, "every request arrived once");
}

#[tokio::test]
async fn a_connection_that_stays_idle_is_closed() {
    let (sender, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let keeping = bank(move |mut stream| {
        let sender = sender.clone();
        async move {
            while request(&mut stream).await.is_some() {
                drop(stream.write_all(good_answer().as_bytes()).await);
            }
            sender.send(Instant::now()).expect("the test listens");
        }
    })
    .await;
    let way = way(&keeping, 2_000);
    assert_eq!(short(way.carry(&instruction()).await.verdict), "accepted");
    let answered = Instant::now();
    let closed =
        timeout(Duration::from_secs(6), closed.recv()).await.expect("in time").expect("a connection");
    assert!(closed - answered >= Duration::from_secs(4), "{:?}", closed - answered);
    assert_eq!(short(way.carry(&instruction()).await.verdict), "accepted", "on a new one");
}

#[tokio::test]
async fn connections_are_kept_and_requests_are_as_the_profile_says() {
    let connections = Arc::new(AtomicUsize::new(0));
    let opened = Arc::clone(&connections);
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let keeping = bank(move |mut stream| {
        opened.fetch_add(1, Ordering::SeqCst);
        let sender = sender.clone();
        async move {
            while let Some(request) = request(&mut stream).await {
                sender.send(request).expect("the test listens");
                drop(stream.write_all(good_answer().as_bytes()).await);
            }
        }
    })
    .await;
    let way = way(&keeping, 2_000);
    let enquiry = Instruction::parse(status_enquiry()).expect("well-formed");
    for instruction in [&instruction(), &instruction(), &enquiry] {
        assert_eq!(short(way.carry(instruction).await.verdict), "accepted");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let mut next = || received.try_recv().expect("a request");
    let (first, again, enquiry) = (next(), next(), next());
    assert!(first.starts_with("POST /bank HTTP/1.1\r\n"), "{first}");
    assert!(first.contains("\r\ncontent-type: application/xml; charset=utf-8\r\n"), "{first}");
    for part in [
        "pacs.008.001.08",
        "<MsgId>MSG-1</MsgId>",
        "<IntrBkSttlmAmt Ccy=\"EUR\">12.34</IntrBkSttlmAmt><IntrBkSttlmDt>2026-11-23</IntrBkSttlmDt>\
         <AccptncDtTm>2026-11-23T10:00:00.123Z</AccptncDtTm>",
        "<Nm>Bee &amp; Co</Nm>",
        "<BICFI>AURODEFFXXX</BICFI>",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    let body = |request: &str| request.split_once("\r\n\r\n").expect("a body").1.to_owned();
    assert_eq!(body(&first), body(&again), "a re-send is the same");
    assert_eq!(body(&first), way.compose(&instruction()), "and so is what is written for people");
    for part in ["pacs.028.001.03", "<MsgId>ENQ-1</MsgId>", "<OrgnlMsgId>MSG-1</OrgnlMsgId>"] {
        assert!(enquiry.contains(part), "{part} in {enquiry}");
    }
}

#[tokio::test]
async fn a_return_request_and_its_enquiry_are_carried_as_the_profile_says() {
    const RETURN: &str = "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.004.001.09\"><PmtRtr><GrpHdr>\
        <MsgId>BANK-4</MsgId><NbOfTxs>1</NbOfTxs></GrpHdr><TxInf><RtrId>RTN-1</RtrId>\
        <OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR>\
        <RtrdIntrBkSttlmAmt Ccy=\"EUR\">5.00</RtrdIntrBkSttlmAmt></TxInf></PmtRtr></Document>";
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let address = bank(move |mut stream| {
        let sender = sender.clone();
        async move {
            while let Some(request) = request(&mut stream).await {
                sender.send(request).expect("the test listens");
                let given_back = answer("200 OK\r\ncontent-type: application/xml", RETURN);
                drop(stream.write_all(given_back.as_bytes()).await);
            }
        }
    })
    .await;
    let way = way(&address, 2_000);
    for instruction in [return_request(), return_request(), return_enquiry()] {
        let instruction = Instruction::parse(instruction).expect("well-formed");
        assert_eq!(short(way.carry(&instruction).await.verdict), "accepted");
    }
    let mut next =
        || received.try_recv().expect("a request").split_once("\r\n\r\n").expect("a body").1.to_owned();
    let (first, again, enquiry) = (next(), next(), next());
    assert_eq!(first, again, "a re-send is the same");
    for part in [
        "camt.056.001.08",
        "<Assgnmt><Id>RTN-1</Id><Assgnr><Agt><FinInstnId><BICFI>RLTOITV0XXX<",
        "</Assgne><CreDtTm>2026-11-23T10:01:00.000Z</CreDtTm></Assgnmt>",
        "<CxlId>RTN-1</CxlId><OrgnlGrpInf><OrgnlMsgId>MSG-1</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08<",
        "<OrgnlInstrId>MSG-1</OrgnlInstrId><OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId><OrgnlTxId>MSG-1</OrgnlTxId>",
        "<OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR>",
        "<OrgnlIntrBkSttlmAmt Ccy=\"EUR\">5.00</OrgnlIntrBkSttlmAmt><OrgnlIntrBkSttlmDt>2026-11-23<",
        "<CxlRsnInf><Rsn><Cd>CUST</Cd></Rsn><AddtlInf>wrong size</AddtlInf></CxlRsnInf>",
        "<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"EUR\">12.34</IntrBkSttlmAmt></OrgnlTxRef>",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    for part in [
        "pacs.028.001.03",
        "<OrgnlMsgId>RTN-1</OrgnlMsgId><OrgnlMsgNmId>camt.056.001.08</OrgnlMsgNmId>",
        "<OrgnlInstrId>RTN-1</OrgnlInstrId><OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId><OrgnlTxId>RTN-1</OrgnlTxId>",
        "<OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR><AccptncDtTm>2026-11-23T10:01:00.000Z<",
    ] {
        assert!(enquiry.contains(part), "{part} in {enquiry}");
    }
}
