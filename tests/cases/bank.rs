//! The simulated bank as a program: what it answers, what it does when told to misbehave, and what it remembers.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "bank/evidence.rs"]
mod evidence;
#[path = "bank/misbehaviour.rs"]
mod misbehaviour;
#[path = "bank/notices.rs"]
mod notices;
#[path = "../bank/program.rs"]
mod program;
#[path = "bank/returns.rs"]
mod returns;
#[path = "../bank/sample.rs"]
mod sample;
#[path = "bank/tls.rs"]
mod tls;

use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use time::OffsetDateTime;

use program::{BANKS, Program, command, element, order, stamp, verdict};
use sample::Order;

const SECOND_IBAN: &str = "DE62370400440532013001";

#[tokio::test]
async fn payments_are_credited_once_and_enquiries_hear_the_truth() {
    let mut bank = Program::start();
    let first = order(1);
    assert_eq!(bank.ask(&first).await, "RJCT AG09");
    let report = bank.post(first.payment_xml()).await;
    assert_eq!(verdict(&report), "ACSC");
    for (name, value) in [
        ("OrgnlMsgId", "MSG-1"),
        ("OrgnlMsgNmId", "pacs.008.001.08"),
        ("OrgnlInstrId", "MSG-1"),
        ("OrgnlEndToEndId", "E2E &amp; MSG-1"),
        ("OrgnlTxId", "MSG-1"),
        ("OrgnlUETR", &first.uetr),
    ] {
        assert_eq!(element(&report, name), Some(value), "{report}");
    }
    assert!(report.contains("<IntrBkSttlmAmt Ccy=\"EUR\">12.34</IntrBkSttlmAmt>"), "{report}");
    assert_eq!(bank.pay(&first).await, "ACSC");
    assert_eq!(bank.ask(&first).await, "ACSC");
    assert_eq!(bank.times_credited(&first).await, 1);
    let books = bank.get("aurora/books").await;
    let entry = &books[0];
    assert_eq!(
        json!([entry["message_id"], entry["end_to_end_id"], entry["minor_units"], entry["amount"]]),
        json!(["MSG-1", "E2E & MSG-1", 1234, "12.34"])
    );
    assert_eq!(json!([entry["currency"], entry["creditor_account"]]), json!(["EUR", first.iban]));
    let counters = bank.get("aurora/counters").await;
    assert_eq!(
        json!([counters["pacs008_received"], counters["pacs028_received"], counters["credited"]]),
        json!([2, 2, 1])
    );
    bank.validate_messages();
}

#[tokio::test]
async fn the_bank_refuses_what_it_must() {
    let mut bank = Program::start();
    let paid = order(1);
    assert_eq!(bank.pay(&paid).await, "ACSC");
    let other_content = Order { amount: "12.35".to_owned(), ..paid.clone() };
    assert_eq!(bank.pay(&other_content).await, "RJCT DUPL");
    assert_eq!(bank.ask(&paid).await, "ACSC");
    let same_message = Order { message_id: paid.message_id.clone(), ..order(2) };
    assert_eq!(bank.pay(&same_message).await, "RJCT DUPL");
    assert_eq!(bank.ask(&same_message).await, "RJCT DUPL");
    let late = Order {
        accepted_at: stamp(OffsetDateTime::now_utc() - time::Duration::milliseconds(60_500)),
        ..Order::new(3)
    };
    assert_eq!(bank.pay(&late).await, "RJCT TM01");
    assert_eq!(bank.ask(&late).await, "RJCT TM01");
    let zero = Order { amount: "0.00".to_owned(), ..order(4) };
    assert_eq!(bank.pay(&zero).await, "RJCT AM01");
    let stranger = Order { iban: "GB82WEST12345698765432".to_owned(), ..order(5) };
    assert_eq!(bank.pay(&stranger).await, "RJCT AC03");
    let elsewhere = order(6)
        .payment_xml()
        .replace("<CdtrAgt><FinInstnId><BICFI>AURO", "<CdtrAgt><FinInstnId><BICFI>BORE");
    assert_eq!(verdict(&bank.post(elsewhere).await), "RJCT RC04");
    let yen = order(7).payment_xml().replace("\"EUR\">12.34", "\"JPY\">1234");
    assert_eq!(verdict(&bank.post(yen).await), "RJCT AM03");
    let (books, rejections) = (bank.get("aurora/books").await, bank.get("aurora/rejections").await);
    assert_eq!((books.as_array().unwrap().len(), rejections.as_array().unwrap().len()), (1, 6));
    bank.validate_messages();
}

#[tokio::test]
async fn what_cannot_be_read_is_told_in_plain_text() {
    let bank = Program::start();
    let good = order(1).payment_xml();
    for body in [
        String::new(),
        "{}".to_owned(),
        good.replace("<Document", "<!DOCTYPE a><Document"),
        good.replace(">12.34<", ">12,34<"),
        good.replace("<UETR>", "<TxId>MSG-1</TxId><UETR>"),
        good.clone() + &" ".repeat(64 * 1024),
    ] {
        let response = bank.request("aurora", body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
        assert!(!response.text().await.unwrap().is_empty());
    }
    let html = bank.client.post(bank.url("aurora")).header("content-type", "text/html").body(good.clone());
    let both = bank.request("aurora", good.clone()).header("content-type", "text/html");
    for request in [html, both] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    assert_eq!(bank.request("nobody", good).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(bank.get("aurora/books").await, json!([]));
    assert_eq!(bank.get("").await[1]["bic"], "BOREFRPPXXX");
}

#[tokio::test]
async fn the_books_survive_a_crash() {
    let mut bank = Program::start();
    let (paid, refused) = (order(1), Order { amount: "0.00".to_owned(), ..order(2) });
    assert_eq!(bank.pay(&paid).await, "ACSC");
    assert_eq!(bank.pay(&refused).await, "RJCT AM01");
    let before = bank.get("aurora/books").await;
    let mut bank = bank.crash_and_restart();
    assert_eq!(bank.get("aurora/books").await, before);
    assert_eq!(bank.pay(&paid).await, "ACSC");
    assert_eq!(bank.pay(&refused).await, "RJCT AM01");
    assert_eq!(bank.pay(&Order { message_id: paid.message_id.clone(), ..order(3) }).await, "RJCT DUPL");
    assert_eq!(bank.times_credited(&paid).await, 1);
    bank.validate_messages();
}

#[tokio::test]
async fn no_answer_is_no_answer_and_the_enquiry_tells_the_truth() {
    let mut bank = Program::start();
    let mut number = 0;
    for (behaviour, executed) in
        [("silent", false), ("drop_before", false), ("silent_executed", true), ("drop_after", true)]
    {
        number += 1;
        let order = order(number);
        bank.script(json!([{ "behaviour": behaviour, "times": 1 }])).await;
        let sent = Instant::now();
        let request = bank.request("aurora", order.payment_xml()).timeout(Duration::from_millis(400));
        let error = request.send().await.expect_err(behaviour);
        let silent = behaviour.starts_with("silent");
        assert_eq!(error.is_timeout(), silent, "{behaviour}: {error:?}");
        assert!(
            silent || sent.elapsed() < Duration::from_millis(300),
            "{behaviour} took {:?}",
            sent.elapsed()
        );
        let truth = if executed { "ACSC" } else { "RJCT AG09" };
        assert_eq!(bank.ask(&order).await, truth, "{behaviour}");
        assert_eq!(bank.pay(&order).await, "ACSC", "{behaviour}");
        assert_eq!(bank.times_credited(&order).await, 1, "{behaviour}");
    }
    assert_eq!(bank.get("aurora/counters").await["unanswered"], 4);
    bank.validate_messages();
}

#[tokio::test]
async fn a_dropped_connection_carries_not_one_byte() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let bank = Program::start();
    bank.script(json!([{ "behaviour": "drop_after" }])).await;
    let body = order(1).payment_xml();
    let mut stream = tokio::net::TcpStream::connect(&bank.address).await.unwrap();
    let head = format!(
        "POST /aurora HTTP/1.1\r\nhost: bank\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "the bank left the connection open");
    assert_eq!(heard, b"");
    assert_eq!(bank.times_credited(&order(1)).await, 1);
}

#[tokio::test]
async fn answers_can_be_wrong_late_or_undecided() {
    let mut bank = Program::start();
    bank.script(json!([
        { "account": SECOND_IBAN, "behaviour": { "reject": { "code": "AC04", "text": "closed & gone" } } },
        { "minor_units_ending": 1, "behaviour": "garbage" },
        { "minor_units_ending": 2, "behaviour": "pending" },
        { "minor_units_ending": 3, "behaviour": { "http_error": { "status": 503 } } },
        { "minor_units_ending": 4, "behaviour": { "http_error": { "status": 500, "executed": true } } },
        { "minor_units_ending": 5, "behaviour": { "reject": {} } },
    ]))
    .await;
    let with = |number, amount: &str| Order { amount: amount.to_owned(), ..order(number) };
    let closed = Order { iban: SECOND_IBAN.to_owned(), ..order(1) };
    let report = bank.post(closed.payment_xml()).await;
    assert_eq!(
        (verdict(&report).as_str(), element(&report, "AddtlInf")),
        ("RJCT AC04", Some("closed &amp; gone"))
    );
    assert_eq!(bank.ask(&closed).await, "RJCT AC04");
    let response = bank.request("aurora", with(2, "1.01").payment_xml()).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"text/html".parse().unwrap())
    );
    assert_eq!(bank.ask(&with(2, "1.01")).await, "ACSC");
    assert_eq!(bank.pay(&with(3, "1.02")).await, "PDNG");
    assert_eq!(bank.ask(&with(3, "1.02")).await, "ACSC");
    for (number, amount, status, truth) in [(4, "1.03", 503, "RJCT AG09"), (5, "1.04", 500, "ACSC")] {
        let order = with(number, amount);
        let response = bank.request("aurora", order.payment_xml()).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(bank.ask(&order).await, truth);
    }
    assert_eq!(bank.pay(&with(6, "1.05")).await, "RJCT");
    bank.validate_messages();
}

#[tokio::test]
async fn a_delayed_payment_is_pending_until_it_is_answered() {
    let mut bank = Program::start();
    bank.script(json!([{ "behaviour": { "delay": { "ms": 400 } }, "times": 1 }])).await;
    let order = order(1);
    let sent = Instant::now();
    let slow = tokio::spawn(bank.request("aurora", order.payment_xml()).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bank.ask(&order).await, "PDNG");
    assert_eq!(bank.pay(&order).await, "ACSC", "a repeat waits for the same moment");
    assert!(sent.elapsed() >= Duration::from_millis(400));
    let report = slow.await.unwrap().unwrap().text().await.unwrap();
    assert_eq!(verdict(&report), "ACSC");
    assert_eq!(bank.ask(&order).await, "ACSC");
    assert_eq!(bank.times_credited(&order).await, 1);
    bank.validate_messages();
}

#[tokio::test]
async fn enquiries_can_misbehave_as_well() {
    let mut bank = Program::start();
    let order = order(1);
    assert_eq!(bank.pay(&order).await, "ACSC");
    bank.script(json!([
        { "on": "enquiry", "times": 1, "behaviour": "not_found" },
        { "on": "enquiry", "times": 1, "behaviour": "pending" },
        { "on": "enquiry", "times": 1, "behaviour": "silent" },
        { "on": "enquiry", "times": 1, "behaviour": "garbage" },
    ]))
    .await;
    assert_eq!(bank.ask(&order).await, "RJCT AG09");
    assert_eq!(bank.ask(&order).await, "PDNG");
    let silent = bank.request("aurora", order.enquiry_xml()).timeout(Duration::from_millis(200)).send().await;
    assert!(silent.unwrap_err().is_timeout());
    let garbage = bank.request("aurora", order.enquiry_xml()).send().await.unwrap();
    assert_eq!(garbage.headers()["content-type"], "text/html");
    assert_eq!(bank.ask(&order).await, "ACSC");
    let bad = json!([{ "on": "enquiry", "behaviour": "drop_after" }]);
    let refused = bank.client.put(bank.url("aurora/script")).json(&bad).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    bank.validate_messages();
}

#[tokio::test]
async fn many_at_once_are_credited_once_each() {
    let bank = Program::start();
    let (mut sent, mut orders) = (Vec::new(), Vec::new());
    for number in 0..200 {
        let order = order(number);
        for _ in 0..3 {
            sent.push(tokio::spawn(bank.request("aurora", order.payment_xml()).send()));
        }
        orders.push(order);
    }
    for response in sent {
        assert_eq!(verdict(&response.await.unwrap().unwrap().text().await.unwrap()), "ACSC");
    }
    let counters = bank.get("aurora/counters").await;
    assert_eq!(json!([counters["credited"], counters["repeated"]]), json!([200, 400]));
    let bank = bank.crash_and_restart();
    assert_eq!(bank.get("aurora/books").await.as_array().unwrap().len(), 200);
}

#[tokio::test]
async fn the_end_answers_what_is_in_progress_and_waits_for_no_silence() {
    let mut bank = Program::start();
    bank.script(json!([{ "times": 1, "behaviour": "silent" }, { "behaviour": { "delay": { "ms": 500 } } }]))
        .await;
    let silent = tokio::spawn(bank.request("aurora", order(1).payment_xml()).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let slow = tokio::spawn(bank.request("aurora", order(2).payment_xml()).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    let ended = tokio::task::spawn_blocking(move || (bank.terminate(), bank));
    assert_eq!(verdict(&slow.await.unwrap().unwrap().text().await.unwrap()), "ACSC");
    let (code, _bank) = ended.await.unwrap();
    assert_eq!(code, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert!(silent.await.unwrap().is_err());
}

#[test]
fn every_problem_of_the_files_is_told_before_anything_starts() {
    let directory = std::env::temp_dir().join(format!("bank-case-{:032x}", rand::random::<u128>()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("banks.toml"), BANKS.replace("id = \"boreal\"", "idd = \"boreal\"")).unwrap();
    fs::write(directory.join("script.toml"), "[[aurora]]\nbehaviour = \"silly\"\n").unwrap();
    let Output { status, stderr, .. } =
        command(&directory).arg("--script").arg(directory.join("script.toml")).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!status.success());
    for part in [
        "banks.toml: bank 2: id is missing",
        "banks.toml: bank 2: unknown key idd",
        "script.toml: aurora: rule 1",
    ] {
        assert!(stderr.contains(part), "{part} is not in:\n{stderr}");
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_schema_refuses_what_is_not_a_report() {
    let document =
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><Nonsense/></Document>";
    let problems = harness::xsd::validate("pacs.002.001.10", &[document.to_owned()]).unwrap_err();
    assert!(problems.contains("Nonsense"), "{problems}");
    let orders = [order(1), order(2)];
    let payments: Vec<String> = orders.iter().map(Order::payment_xml).collect();
    harness::xsd::validate("pacs.008.001.08", &payments).unwrap_or_else(|problems| panic!("{problems}"));
    let enquiries: Vec<String> = orders.iter().map(Order::enquiry_xml).collect();
    harness::xsd::validate("pacs.028.001.03", &enquiries).unwrap_or_else(|problems| panic!("{problems}"));
}
