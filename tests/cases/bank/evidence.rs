//! What the bank leaves behind for whoever checks a run: its file and its counters, read without its help.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::program::{Program, order, verdict};
use crate::sample::Order;

#[tokio::test]
async fn the_file_tells_everything_that_happened_in_order() {
    let mut bank = Program::start();
    let (paid, refused) = (order(1), Order { amount: "0.00".to_owned(), ..order(2) });
    assert_eq!(bank.pay(&paid).await, "ACSC");
    assert_eq!(bank.pay(&paid).await, "ACSC");
    assert_eq!(bank.pay(&refused).await, "RJCT AM01");
    assert_eq!(bank.ask(&paid).await, "ACSC");
    assert_eq!(bank.ask_back(&paid, "RTN-1", "2.34").await, "RTRD");
    assert_eq!(bank.ask_back(&paid, "RTN-2", "12.34").await, "RJCR AM04");
    assert_eq!(bank.ask_about_return(&paid, "RTN-1").await, "RTRD");
    let lines = bank.lines();
    let told: Vec<Value> = lines
        .iter()
        .map(|line| {
            let id = line.get("request_id").unwrap_or(&line["message_id"]);
            json!([line["kind"], id, line["minor_units"], line.get("status").unwrap_or(&line["message"])])
        })
        .collect();
    let expected = json!([
        ["received", "MSG-1", 1234, "pacs.008.001.08"],
        ["executed", "MSG-1", 1234, null],
        ["answered", "MSG-1", 1234, "ACSC"],
        ["received", "MSG-1", 1234, "pacs.008.001.08"],
        ["answered", "MSG-1", 1234, "ACSC"],
        ["received", "MSG-2", 0, "pacs.008.001.08"],
        ["refused", "MSG-2", 0, null],
        ["answered", "MSG-2", 0, "RJCT"],
        ["received", "ASK-MSG-1", null, "pacs.028.001.03"],
        ["answered", "MSG-1", 1234, "ACSC"],
        ["received", "RTN-1", 234, "camt.056.001.08"],
        ["returned", "RTN-1", 234, null],
        ["answered", "RTN-1", 234, "pacs.004.001.09"],
        ["received", "RTN-2", 1234, "camt.056.001.08"],
        ["return_refused", "RTN-2", 1234, null],
        ["answered", "RTN-2", null, "RJCR"],
        ["received", "ASK-MSG-1", null, "pacs.028.001.03"],
        ["answered", "RTN-1", 234, "pacs.004.001.09"],
    ]);
    assert_eq!(json!(told), expected);
    for line in &lines {
        let uetr = if line["message_id"] == "MSG-2" { &refused.uetr } else { &paid.uetr };
        assert_eq!(line["uetr"], **uetr, "{line}");
        assert!(
            line["minor_units"].is_null() || line["currency"] == "EUR" && line["amount"].is_string(),
            "{line}"
        );
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && *time >= *paid.accepted_at, "{line}");
    }
}

#[tokio::test]
async fn what_is_told_stands_in_the_file_before_it_is_heard() {
    let mut bank = Program::start();
    for number in 0..50 {
        let order = order(number);
        assert_eq!(bank.pay(&order).await, "ACSC");
        let lines = bank.lines();
        let kinds: Vec<&Value> =
            lines.iter().filter(|line| line["uetr"] == order.uetr).map(|line| &line["kind"]).collect();
        assert_eq!(kinds, ["received", "executed", "answered"]);
    }
}

#[tokio::test]
async fn a_bank_whose_disk_is_full_promises_nothing() {
    let bank = Program::start_with_file_limit(8);
    let mut promised = Vec::new();
    let mut refused = 0;
    for number in 0..60 {
        let order = order(number);
        let response = bank.request("aurora", order.payment_xml()).send().await.unwrap();
        if response.status() == StatusCode::OK {
            assert_eq!(refused, 0, "what broke stays broken");
            promised.push(order);
        } else {
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            refused += 1;
        }
    }
    assert!(promised.len() > 3 && refused > 3, "{} promised, {refused} refused", promised.len());
    let enquiry = bank.request("aurora", promised[0].enquiry_xml()).send().await.unwrap();
    assert_eq!(enquiry.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let mut bank = bank.crash_and_restart();
    for order in &promised {
        assert_eq!((bank.ask(order).await.as_str(), bank.times_credited(order).await), ("ACSC", 1));
    }
}

#[tokio::test]
async fn the_busiest_second_is_counted_for_each_kind() {
    let mut bank = Program::start();
    let paid = order(0);
    let sent = Instant::now();
    assert_eq!(bank.pay(&paid).await, "ACSC");
    for number in 1..20 {
        assert_eq!(bank.pay(&order(number)).await, "ACSC");
    }
    let in_one_second = sent.elapsed() < Duration::from_secs(1);
    sleep(Duration::from_millis(1_050)).await;
    for _ in 0..3 {
        sleep(Duration::from_millis(600)).await;
        assert_eq!(bank.ask(&paid).await, "ACSC");
    }
    let now = crate::program::stamp(time::OffsetDateTime::now_utc());
    assert_eq!(verdict(&bank.post(paid.return_xml("RTN-1", "1.00", &now)).await), "RTRD");
    let most = bank.get("aurora/counters").await["most_per_second"].clone();
    assert_eq!(most["camt056"], 1);
    assert!((1..=2).contains(&most["pacs028"].as_u64().unwrap()), "three, 0.6 s apart: {most}");
    let payments = most["pacs008"].as_u64().unwrap();
    assert!(payments == 20 || !in_one_second && (1..20).contains(&payments), "{most}");
}
