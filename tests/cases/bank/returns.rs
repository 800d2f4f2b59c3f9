//! Return requests: what the bank gives back, what it refuses, and that it does neither twice.

use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use tokio::time::sleep;

use crate::program::{Program, element, order, stamp, verdict};

#[tokio::test]
async fn what_was_credited_is_given_back_once() {
    let mut bank = Program::start();
    let paid = order(1);
    assert_eq!(bank.ask_about_return(&paid, "RTN-1").await, "RJCT AG09");
    assert_eq!(bank.pay(&paid).await, "ACSC");
    let request = paid.return_xml("RTN-1", "2.34", &stamp(OffsetDateTime::now_utc()));
    let answer = bank.post(request.clone()).await;
    assert_eq!(verdict(&answer), "RTRD");
    for (name, value) in [
        ("RtrId", "RTN-1"),
        ("NbOfTxs", "1"),
        ("OrgnlMsgId", "MSG-1"),
        ("OrgnlMsgNmId", "pacs.008.001.08"),
        ("OrgnlEndToEndId", "E2E &amp; MSG-1"),
        ("OrgnlTxId", "MSG-1"),
        ("OrgnlUETR", &paid.uetr),
        ("Cd", "FOCR"),
    ] {
        assert_eq!(element(&answer, name), Some(value), "{answer}");
    }
    assert!(answer.contains("<OrgnlIntrBkSttlmAmt Ccy=\"EUR\">12.34<"), "{answer}");
    assert!(answer.contains("<RtrdIntrBkSttlmAmt Ccy=\"EUR\">2.34<"), "{answer}");
    assert_eq!(verdict(&bank.post(request).await), "RTRD");
    assert_eq!(bank.ask_about_return(&paid, "RTN-1").await, "RTRD");
    assert_eq!(bank.ask_back(&paid, "RTN-1", "2.35").await, "RJCR ARDT", "other content");
    assert_eq!(bank.sum_of("returned"), 234);
    let counters = bank.get("aurora/counters").await;
    assert_eq!(
        json!([counters["camt056_received"], counters["repeated"], counters["returned"]]),
        json!([3, 2, 1])
    );
    bank.validate_messages();
}

#[tokio::test]
async fn never_more_than_was_credited_whoever_asks_at_once() {
    let mut bank = Program::start();
    let paid = order(1);
    assert_eq!(bank.pay(&paid).await, "ACSC");
    let now = stamp(OffsetDateTime::now_utc());
    let request =
        |number: u32| bank.request("aurora", paid.return_xml(&format!("RTN-{number}"), "5.00", &now));
    let sent: Vec<_> = (0..32).map(|number| tokio::spawn(request(number).send())).collect();
    let mut verdicts = Vec::new();
    for answer in sent {
        verdicts.push(verdict(&answer.await.unwrap().unwrap().text().await.unwrap()));
    }
    assert_eq!(verdicts.iter().filter(|verdict| *verdict == "RTRD").count(), 2, "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|verdict| *verdict == "RJCR AM04").count(), 30, "{verdicts:?}");
    assert_eq!(bank.ask_back(&paid, "RTN-40", "2.35").await, "RJCR AM04");
    assert_eq!(bank.ask_back(&paid, "RTN-41", "2.34").await, "RTRD");
    assert_eq!(bank.ask_back(&paid, "RTN-42", "0.01").await, "RJCR ARDT");
    assert_eq!((bank.sum_of("executed"), bank.sum_of("returned")), (1_234, 1_234));
    bank.validate_messages();
}

#[tokio::test]
async fn what_the_bank_does_not_owe_it_refuses() {
    let mut bank = Program::start();
    let (paid, other) = (order(1), order(2));
    assert_eq!(bank.ask_back(&paid, "RTN-0", "1.00").await, "RJCR NOOR");
    assert_eq!(bank.pay(&paid).await, "ACSC");
    assert_eq!(bank.pay(&other).await, "ACSC");
    assert_eq!(bank.ask_back(&paid, "RTN-0", "1.00").await, "RJCR ARDT", "the id stands for another request");
    let late = OffsetDateTime::now_utc() - time::Duration::milliseconds(60_500);
    let late = paid.return_xml("RTN-1", "1.00", &stamp(late));
    let answer = bank.post(late.clone()).await;
    assert_eq!((verdict(&answer).as_str(), element(&answer, "CxlStsId")), ("RJCR NOAS", Some("RTN-1")));
    assert_eq!(verdict(&bank.post(late).await), "RJCR NOAS", "and never after");
    assert_eq!(bank.ask_about_return(&paid, "RTN-1").await, "RJCR NOAS");
    let now = stamp(OffsetDateTime::now_utc());
    let mixed = paid.return_xml("RTN-2", "1.00", &now).replace(&paid.uetr, &other.uetr);
    assert_eq!(verdict(&bank.post(mixed).await), "RJCR NARR");
    let elsewhere = paid.return_xml("RTN-3", "1.00", &now).replace("AURODEFF", "BOREFRPP");
    assert_eq!(verdict(&bank.post(elsewhere).await), "RJCR AGNT");
    assert_eq!((bank.sum_of("returned"), bank.sum_of("return_refused")), (0, 400));
    bank.validate_messages();
}

#[tokio::test]
async fn a_return_survives_a_crash_and_an_undecided_one_is_decided_after_it() {
    let mut bank = Program::start();
    let paid = order(1);
    assert_eq!(bank.pay(&paid).await, "ACSC");
    bank.script(json!([{ "on": "return_request", "minor_units_ending": 2,
                         "behaviour": { "undecided": { "ms": 1500 } } }]))
        .await;
    let request = paid.return_xml("RTN-1", "1.01", &stamp(OffsetDateTime::now_utc()));
    assert_eq!(verdict(&bank.post(request.clone()).await), "RTRD");
    assert_eq!(bank.ask_back(&paid, "RTN-2", "1.02").await, "PDCR");
    let mut bank = bank.crash_and_restart();
    assert_eq!(bank.ask_about_return(&paid, "RTN-2").await, "PDCR");
    assert_eq!(verdict(&bank.post(request).await), "RTRD");
    sleep(Duration::from_millis(1_700)).await;
    assert_eq!(bank.ask_about_return(&paid, "RTN-2").await, "RTRD");
    assert_eq!(
        (bank.sum_of("returned"), bank.get("aurora/returns").await[1]["minor_units"].as_u64()),
        (203, Some(102))
    );
}

#[tokio::test]
async fn return_requests_can_be_refused_put_off_or_left_unanswered() {
    let mut bank = Program::start();
    let paid = order(1);
    assert_eq!(bank.pay(&paid).await, "ACSC");
    let rule = |ending: u32, behaviour: serde_json::Value| json!({ "on": "return_request", "account": paid.iban, "minor_units_ending": ending, "behaviour": behaviour });
    bank.script(json!([
        rule(1, json!({ "reject": { "code": "CUST", "text": "the customer & his lawyer" } })),
        rule(2, json!({ "undecided": { "ms": 300 } })),
        rule(3, json!({ "undecided": { "ms": 300, "rejection": { "code": "LEGL" } } })),
        rule(4, json!("silent")),
        rule(5, json!("silent_executed")),
        rule(6, json!("pending")),
        rule(7, json!({ "delay": { "ms": 300 } })),
        json!({ "on": "return_enquiry", "minor_units_ending": 5, "times": 1, "behaviour": "not_found" }),
    ]))
    .await;
    assert_eq!(bank.ask_back(&paid, "RTN-1", "1.01").await, "RJCR CUST");
    assert_eq!(bank.ask_about_return(&paid, "RTN-1").await, "RJCR CUST");
    for (id, amount, end) in [("RTN-2", "1.02", "RTRD"), ("RTN-3", "1.03", "RJCR LEGL")] {
        assert_eq!(bank.ask_back(&paid, id, amount).await, "PDCR");
        assert_eq!(bank.ask_about_return(&paid, id).await, "PDCR");
        sleep(Duration::from_millis(450)).await;
        assert_eq!(bank.ask_about_return(&paid, id).await, end);
    }
    let now = stamp(OffsetDateTime::now_utc());
    for (id, amount, truth) in [("RTN-4", "1.04", "RJCT AG09"), ("RTN-5", "1.05", "RTRD")] {
        let request = bank.request("aurora", paid.return_xml(id, amount, &now));
        assert!(request.timeout(Duration::from_millis(200)).send().await.unwrap_err().is_timeout());
        if id == "RTN-5" {
            assert_eq!(bank.ask_about_return(&paid, id).await, "RJCT AG09", "a lie, once");
        }
        assert_eq!(bank.ask_about_return(&paid, id).await, truth);
    }
    assert_eq!(bank.ask_back(&paid, "RTN-6", "1.06").await, "PDCR");
    assert_eq!(bank.ask_about_return(&paid, "RTN-6").await, "RTRD");
    let slow = tokio::spawn(bank.request("aurora", paid.return_xml("RTN-7", "1.07", &now)).send());
    sleep(Duration::from_millis(100)).await;
    assert_eq!(bank.ask_about_return(&paid, "RTN-7").await, "PDCR");
    assert_eq!(verdict(&slow.await.unwrap().unwrap().text().await.unwrap()), "RTRD");
    assert_eq!(bank.sum_of("returned"), 102 + 105 + 106 + 107);
    bank.validate_messages();
}

#[tokio::test]
async fn an_enquiry_about_a_return_names_the_request_and_its_message() {
    let mut bank = Program::start();
    let report = bank.post(order(1).return_enquiry_xml("RTN-1")).await;
    for (name, value) in [
        ("OrgnlMsgId", "RTN-1"),
        ("OrgnlMsgNmId", "camt.056.001.08"),
        ("OrgnlTxId", "RTN-1"),
        ("TxSts", "RJCT"),
    ] {
        assert_eq!(element(&report, name), Some(value), "{report}");
    }
    let order = order(1);
    let now = stamp(OffsetDateTime::now_utc());
    harness::xsd::validate("camt.056.001.08", &[order.return_xml("RTN-1", "1.00", &now)]).unwrap();
    harness::xsd::validate("pacs.028.001.03", &[order.return_enquiry_xml("RTN-1")]).unwrap();
    bank.validate_messages();
}
