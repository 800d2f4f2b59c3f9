//! Banks that do what no bank may do: each behaviour against the real program.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::sleep;

use crate::program::{Program, element, order, stamp, verdict};
use crate::sample::Order;

/// An order that was accepted so long ago that it has `left_ms` of its validity left.
fn nearly_late(number: u64, left_ms: i64) -> Order {
    let accepted_at = OffsetDateTime::now_utc() - time::Duration::milliseconds(60_000 - left_ms);
    Order { accepted_at: stamp(accepted_at), ..Order::new(number) }
}

/// How many of aurora's lines of that kind are about the order.
fn times(bank: &Program, kind: &str, order: &Order) -> usize {
    bank.lines().iter().filter(|line| line["kind"] == kind && line["uetr"] == order.uetr).count()
}

#[tokio::test]
async fn a_held_payment_is_unknown_until_it_is_looked_at_and_then_refused_if_it_is_too_late() {
    let mut bank = Program::start();
    bank.script(json!([
        { "minor_units_ending": 1, "behaviour": { "hold": { "ms": 1500 } } },
        { "minor_units_ending": 2, "behaviour": { "hold": { "ms": 1500, "ignores_validity": true } } },
        { "on": "return_request", "behaviour": { "hold": { "ms": 300 } } },
    ]))
    .await;
    let with = |amount: &str, order: Order| Order { amount: amount.to_owned(), ..order };
    let cases = [
        (with("1.01", order(1)), "ACSC"),
        (with("1.01", nearly_late(2, 1_000)), "RJCT TM01"),
        (with("1.02", nearly_late(3, 1_000)), "ACSC"),
    ];
    for (order, _) in &cases {
        let given_up = bank.request("aurora", order.payment_xml()).timeout(Duration::from_millis(50));
        assert!(given_up.send().await.unwrap_err().is_timeout());
    }
    for (order, _) in &cases {
        assert_eq!(bank.ask(order).await, "RJCT AG09");
    }
    sleep(Duration::from_millis(1_700)).await;
    for (order, end) in &cases {
        assert_eq!(bank.ask(order).await, *end, "{order:?}");
    }
    let executed = |order: &Order| {
        let lines = bank.lines();
        let line = lines.iter().find(|line| line["kind"] == "executed" && line["uetr"] == order.uetr);
        line.unwrap()["time"].as_str().unwrap().to_owned()
    };
    assert!(executed(&cases[2].0) > end_of_validity(&cases[2].0), "it is on record that this was too late");
    let held = bank.ask_back(&cases[0].0, "RTN-1", "1.00");
    assert_eq!(held.await, "RTRD", "who waits is answered");
    bank.validate_messages();
}

fn end_of_validity(order: &Order) -> String {
    let accepted_at =
        OffsetDateTime::parse(&order.accepted_at, &time::format_description::well_known::Rfc3339).unwrap();
    stamp(accepted_at + time::Duration::milliseconds(60_000))
}

#[tokio::test]
async fn a_bank_can_execute_twice_and_for_less() {
    let mut bank = Program::start();
    bank.script(json!([
        { "minor_units_ending": 1, "behaviour": "twice" },
        { "minor_units_ending": 2, "behaviour": { "deduct": { "minor_units": 30 } } },
        { "minor_units_ending": 3, "behaviour": { "deduct": { "minor_units": 30, "told": true } } },
    ]))
    .await;
    let with = |number, amount: &str| Order { amount: amount.to_owned(), ..order(number) };
    let twice = with(1, "1.01");
    assert_eq!((bank.pay(&twice).await.as_str(), bank.pay(&twice).await.as_str()), ("ACSC", "ACSC"));
    assert_eq!((times(&bank, "executed", &twice), bank.times_credited(&twice).await), (2, 2));
    for (order, told) in [(with(2, "1.02"), "1.02"), (with(3, "1.03"), "0.73")] {
        for message in [order.payment_xml(), order.enquiry_xml()] {
            let report = bank.post(message).await;
            assert!(report.contains(&format!("Ccy=\"EUR\">{told}<")), "{report}");
        }
    }
    assert_eq!(bank.sum_of("executed"), 2 * 101 + 72 + 73);
    assert_eq!(bank.ask_back(&with(2, "1.02"), "RTN-1", "0.73").await, "RJCR AM04", "0.72 came");
    bank.validate_messages();
}

#[tokio::test]
async fn a_bank_that_restored_an_old_backup_executes_what_it_forgot() {
    let mut bank = Program::start();
    let (old, new) = (order(1), order(2));
    assert_eq!(bank.pay(&old).await, "ACSC");
    sleep(Duration::from_millis(600)).await;
    assert_eq!(bank.pay(&new).await, "ACSC");
    bank.script(json!([{ "on": "enquiry", "times": 1, "behaviour": { "forget": { "last_ms": 300 } } }]))
        .await;
    assert_eq!(bank.ask(&new).await, "RJCT AG09");
    assert_eq!(bank.ask(&old).await, "ACSC");
    let mut bank = bank.crash_and_restart();
    assert_eq!(bank.ask(&new).await, "RJCT AG09", "and forgotten it stays");
    assert_eq!(bank.pay(&new).await, "ACSC");
    assert_eq!((times(&bank, "executed", &new), bank.times_credited(&new).await), (2, 1));
    assert_eq!(times(&bank, "executed", &old), 1);
}

#[tokio::test]
async fn a_bank_can_say_what_is_not_so() {
    let mut bank = Program::start();
    bank.script(json!([
        { "minor_units_ending": 1, "behaviour": { "say": { "answers": [{ "status": "ACSC" }], "executed": false } } },
        { "minor_units_ending": 2, "behaviour": { "say": { "answers": [{ "status": "RJCT", "code": "AC04" }] } } },
        { "minor_units_ending": 3, "behaviour": "other_payment" },
        { "on": "enquiry", "minor_units_ending": 4,
          "behaviour": { "say": { "answers": [{ "status": "ACSC" }, { "status": "RJCT", "code": "AC04" }] } } },
        { "on": "enquiry", "minor_units_ending": 5, "behaviour": "other_payment" },
    ]))
    .await;
    let with = |number, amount: &str| Order { amount: amount.to_owned(), ..order(number) };
    let (never, always) = (with(1, "1.01"), with(2, "1.02"));
    assert_eq!((bank.pay(&never).await.as_str(), times(&bank, "executed", &never)), ("ACSC", 0));
    assert_eq!((bank.pay(&always).await.as_str(), times(&bank, "executed", &always)), ("RJCT AC04", 1));
    let mixed_up = bank.post(with(3, "1.03").payment_xml()).await;
    assert_eq!(
        (element(&mixed_up, "OrgnlUETR"), element(&mixed_up, "OrgnlMsgId")),
        (Some(&*always.uetr), Some("MSG-2"))
    );
    assert!(mixed_up.contains(">1.02<") && verdict(&mixed_up) == "ACSC", "{mixed_up}");
    let flips = with(4, "1.04");
    assert_eq!(bank.pay(&flips).await, "ACSC");
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(bank.ask(&flips).await);
    }
    assert_eq!(heard, ["ACSC", "RJCT AC04", "ACSC", "RJCT AC04"]);
    let other = with(5, "1.05");
    assert_eq!(bank.pay(&other).await, "ACSC");
    let report = bank.post(other.enquiry_xml()).await;
    assert_eq!(element(&report, "OrgnlUETR"), Some(&*flips.uetr));
    bank.validate_messages();
}

#[tokio::test]
async fn answers_can_be_endless_or_slow() {
    let bank = Program::start();
    bank.script(json!([
        { "minor_units_ending": 1, "behaviour": { "drip": { "ms_per_byte": 1 } } },
        { "minor_units_ending": 2, "behaviour": { "drip": { "ms_per_byte": 50, "head": true } } },
        { "minor_units_ending": 3, "behaviour": { "drip": {} } },
        { "minor_units_ending": 4, "behaviour": "endless_headers" },
        { "minor_units_ending": 5, "behaviour": { "huge_body": { "mib": 3 } } },
        { "minor_units_ending": 6, "behaviour": { "huge_body": { "mib": 3, "length_told": true } } },
        { "minor_units_ending": 7, "behaviour": { "http_error": { "status": 429, "retry_after_s": 7 } } },
    ]))
    .await;
    let send = |number: u64| {
        let order = Order { amount: format!("1.{number:02}"), ..order(number) };
        let patience = Duration::from_secs(if matches!(number, 2 | 3) { 1 } else { 5 });
        // A connection of its own: the bank breaks off what it answers so, and the next must not find that one.
        let request = bank.request("aurora", order.payment_xml()).header("connection", "close");
        request.timeout(patience).send()
    };
    let sent = Instant::now();
    let report = send(1).await.unwrap().text().await.unwrap();
    assert!(verdict(&report) == "ACSC" && sent.elapsed() > Duration::from_millis(600), "{report}");
    let error = send(2).await.unwrap_err();
    assert!(error.is_timeout(), "the head alone takes longer: {error:?}");
    assert!(send(3).await.unwrap().text().await.unwrap_err().is_timeout());
    let error = send(4).await.unwrap_err();
    assert!(!error.is_timeout(), "the client gives up on the headers long before its deadline: {error:?}");
    for number in [5, 6] {
        let response = send(number).await.unwrap();
        assert_eq!(response.content_length(), (number == 6).then_some(3 << 20));
        let body = response.text().await.unwrap();
        assert_eq!((body.len(), verdict(&body).as_str()), (3 << 20, "ACSC"));
    }
    let busy = send(7).await.unwrap();
    assert_eq!(
        (busy.status(), &busy.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"7".parse().unwrap())
    );
    let executed = bank.lines().iter().filter(|line| line["kind"] == "executed").count();
    assert_eq!(executed, 6, "all but the one that was told to come back");
    let flowing = bank.request("aurora", order(8).payment_xml()).send().await.unwrap();
    assert_eq!(verdict(&flowing.text().await.unwrap()), "ACSC", "whoever is polite is served");
}

#[tokio::test]
async fn a_gray_bank_is_slow_and_fails_the_same_in_every_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let bank = Program::start();
        bank.script(json!([
            { "on": "any", "share": 10, "seed": 3, "behaviour": { "http_error": { "status": 500 } } },
            { "on": "any", "behaviour": { "delay": { "ms": 30 } } },
        ]))
        .await;
        let mut statuses = Vec::new();
        for number in 0..60 {
            let sent = Instant::now();
            let message =
                if number % 2 == 0 { order(number).payment_xml() } else { order(number).enquiry_xml() };
            let status = bank.request("aurora", message).send().await.unwrap().status();
            assert!(status == 500 || sent.elapsed() >= Duration::from_millis(30), "{number}");
            statuses.push(status);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    let failed = runs[0].iter().filter(|status| **status == 500).count();
    assert!((1..=15).contains(&failed), "{failed} of 60");
}

#[tokio::test]
async fn a_bank_goes_down_and_comes_back_on_the_same_port() {
    let bank = Program::start();
    let own = bank.own_address("boreal");
    let list = format!("http://{own}/");
    let script = async |rules: Value| {
        let put = bank.client.put(bank.url("boreal/script")).json(&rules).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::NO_CONTENT);
    };
    assert_eq!(bank.client.get(&list).send().await.unwrap().status(), StatusCode::OK);
    let silent = json!([{ "on": "any", "behaviour": "silent" }]);
    script(silent).await;
    let elsewhere = order(1).payment_xml();
    let cut = tokio::spawn(bank.request_to(&format!("http://{own}/boreal"), elsewhere.clone()).send());
    sleep(Duration::from_millis(100)).await;
    let given = Instant::now();
    script(json!([{ "on": "any", "from_ms": 500, "until_ms": 2500, "behaviour": "down" }])).await;
    assert_eq!(bank.client.get(&list).send().await.unwrap().status(), StatusCode::OK, "not down yet");
    let error = cut.await.unwrap().unwrap_err();
    assert!(!error.is_timeout() && given.elapsed() < Duration::from_secs(2), "{error:?}");
    let refused = tokio::net::TcpStream::connect(&own).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let shared = bank.request("boreal", elsewhere.clone()).send().await.unwrap_err();
    assert!(!shared.is_timeout(), "at the shared address it hangs up: {shared:?}");
    assert_eq!(bank.get("aurora/books").await, json!([]), "the other banks are there");
    while tokio::net::TcpStream::connect(&own).await.is_err() {
        assert!(given.elapsed() < Duration::from_secs(5), "the bank does not come back");
        sleep(Duration::from_millis(5)).await;
    }
    assert!(given.elapsed() >= Duration::from_millis(2_500), "{:?}", given.elapsed());
    let back = bank.request_to(&format!("http://{own}/boreal"), elsewhere).send().await.unwrap();
    assert_eq!(
        verdict(&back.text().await.unwrap()),
        "RJCT RC04",
        "it is another bank's payment, but it is read"
    );
}

#[tokio::test]
async fn a_hung_bank_lets_callers_connect_and_answers_nothing_until_it_is_over() {
    let bank = Program::start();
    let own = bank.own_address("boreal");
    let url = format!("http://{own}/boreal");
    let rules = json!([{ "on": "any", "until_ms": 1500, "behaviour": "hang" }]);
    assert!(bank.client.get(format!("http://{own}/")).send().await.unwrap().status().is_success());
    let given = Instant::now();
    let put = bank.client.put(bank.url("boreal/script")).json(&rules).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::NO_CONTENT);
    assert!(tokio::net::TcpStream::connect(&own).await.is_ok());
    let late = bank.request_to(&url, order(1).enquiry_xml()).timeout(Duration::from_millis(200)).send().await;
    assert!(late.unwrap_err().is_timeout());
    assert_eq!(bank.get("boreal/counters").await["pacs028_received"], 0, "nothing was read");
    let patient = bank.request_to(&url, order(1).enquiry_xml()).send().await.unwrap();
    assert!(given.elapsed() >= Duration::from_millis(1_500), "{:?}", given.elapsed());
    assert_eq!(verdict(&patient.text().await.unwrap()), "RJCT AG09");
}
