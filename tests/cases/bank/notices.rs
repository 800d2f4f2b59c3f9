//! What the bank says unasked: which messages it pushes, in which order, and how long it goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Router, serve};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::program::{Program, element, order, verdict};

/// Takes notices as the channel does, and keeps them; answers as it was told, and 200 after that.
#[derive(Clone, Default)]
struct Receiver {
    heard: Arc<Mutex<Vec<(Instant, String)>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    /// Starts, and tells aurora of it.
    async fn start(bank: &Program, answers: &[u16]) -> Self {
        let receiver = Self::default();
        receiver.answers.lock().unwrap().extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/banks/aurora/pacs.002", listener.local_addr().unwrap());
        let app =
            Router::new().route("/banks/aurora/pacs.002", post(Self::hear)).with_state(receiver.clone());
        tokio::spawn(async move { serve(listener, app).await.unwrap() });
        let told = bank.client.put(bank.url("aurora/notice-url")).body(url).send().await.unwrap();
        assert_eq!(told.status(), StatusCode::NO_CONTENT);
        receiver
    }

    async fn hear(State(receiver): State<Self>, headers: HeaderMap, notice: String) -> StatusCode {
        assert_eq!(headers["content-type"], "application/xml; charset=utf-8");
        receiver.heard.lock().unwrap().push((Instant::now(), notice));
        let answer = receiver.answers.lock().unwrap().pop_front().unwrap_or(200);
        StatusCode::from_u16(answer).unwrap()
    }

    /// The first `count` notices, which must come soon and be valid.
    async fn notices(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.heard.lock().unwrap().len() < count {
            assert!(Instant::now() < deadline, "heard only {:?}", self.heard.lock().unwrap());
            sleep(Duration::from_millis(5)).await;
        }
        let heard: Vec<String> =
            self.heard.lock().unwrap().iter().map(|(_, notice)| notice.clone()).collect();
        harness::xsd::validate("pacs.002.001.10", &heard).unwrap_or_else(|problems| panic!("{problems}"));
        heard
    }
}

/// Aurora's counts of how its notices were answered, once none is open.
async fn settled(bank: &Program) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let notices = bank.get("aurora/counters").await["notices"].clone();
        if notices["open"] == 0 {
            return notices;
        }
        assert!(Instant::now() < deadline, "{notices}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_late_answer_is_pushed_until_it_is_taken() {
    let mut bank = Program::start();
    let receiver = Receiver::start(&bank, &[503, 503]).await;
    bank.script(json!([{ "behaviour": "silent_executed", "notices": [{ "after_ms": 200 }] }])).await;
    let order = order(1);
    let sent = Instant::now();
    let silent = bank.request("aurora", order.payment_xml()).timeout(Duration::from_millis(100));
    assert!(silent.send().await.unwrap_err().is_timeout());
    let notices = receiver.notices(3).await;
    for notice in &notices {
        assert_eq!((verdict(notice).as_str(), notice), ("ACSC", &notices[0]));
        assert_eq!(element(notice, "OrgnlUETR"), Some(&*order.uetr));
        assert!(notice.contains("<IntrBkSttlmAmt Ccy=\"EUR\">12.34<"), "{notice}");
    }
    assert_eq!(
        settled(&bank).await,
        json!({ "answers": { "200": 1, "503": 2 }, "unreachable": 0, "open": 0 })
    );
    let heard = receiver.heard.lock().unwrap().clone();
    assert!(heard[0].0 - sent >= Duration::from_millis(200));
    assert!(heard[2].0 - heard[1].0 >= Duration::from_millis(200), "the second pause is twice the first");
    assert_eq!(bank.ask(&order).await, "ACSC");
    let lines = bank.lines();
    let said: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "notice_sent").collect();
    assert_eq!(
        json!([said[0]["uetr"], said[0]["status"], said[0]["minor_units"]]),
        json!([order.uetr, "ACSC", 1234])
    );
    let taken: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "notice_answered").collect();
    assert_eq!(
        json!([taken.len(), taken[0]["http_status"], taken[0]["answer_id"]]),
        json!([1, 200, said[0]["answer_id"]])
    );
}

#[tokio::test]
async fn a_notice_can_come_before_the_answer_and_in_copies() {
    let bank = Program::start();
    let receiver = Receiver::start(&bank, &[503]).await;
    bank.script(json!([{ "notices": [{ "before_answer": true, "copies": 40 }] }])).await;
    let answer = bank.request("aurora", order(1).payment_xml()).send().await.unwrap();
    let heard = receiver.heard.lock().unwrap().len();
    assert_eq!(heard, 41, "all copies, one of them again, before the answer");
    assert_eq!(verdict(&answer.text().await.unwrap()), "ACSC");
    let notices = receiver.notices(41).await;
    assert!(notices.iter().all(|notice| *notice == notices[0]));
    assert_eq!(settled(&bank).await["answers"], json!({ "200": 40, "503": 1 }));
}

#[tokio::test]
async fn notices_can_contradict_each_other_and_the_payment() {
    let mut bank = Program::start();
    let receiver = Receiver::start(&bank, &[200, 200, 422, 404, 422, 422]).await;
    let (other, order) = (order(1), order(2));
    assert_eq!(bank.pay(&other).await, "ACSC");
    bank.script(json!([{ "notices": [
        { "status": "ACSC" },
        { "status": "RJCT", "code": "AC04" },
        { "wrong": "payment" },
        { "wrong": "uetr" },
        { "wrong": "amount" },
        { "wrong": "currency" },
        { "status": "PDNG" },
    ] }]))
    .await;
    assert_eq!(bank.pay(&order).await, "ACSC");
    let notices = receiver.notices(7).await;
    let verdicts: Vec<String> = notices.iter().map(|notice| verdict(notice)).collect();
    assert_eq!(verdicts, ["ACSC", "RJCT AC04", "ACSC", "ACSC", "ACSC", "ACSC", "PDNG"]);
    let named = |index: usize| {
        (element(&notices[index], "OrgnlMsgId").unwrap(), element(&notices[index], "OrgnlUETR").unwrap())
    };
    assert_eq!(named(1), ("MSG-2", &*order.uetr));
    assert!(![order.uetr.as_str(), &other.uetr].contains(&named(2).1) && named(2).0 != "MSG-2");
    assert_eq!(named(3), ("MSG-2", &*other.uetr));
    assert!(notices[4].contains("Ccy=\"EUR\">12.35<"), "{}", notices[4]);
    assert!(notices[5].contains("Ccy=\"CHF\">12.34<"), "{}", notices[5]);
    assert_eq!(settled(&bank).await["answers"], json!({ "200": 3, "404": 1, "422": 3 }), "a 4xx is the end");
    assert_eq!((bank.ask(&order).await.as_str(), bank.times_credited(&order).await), ("ACSC", 1));
}

#[tokio::test]
async fn a_notice_waits_for_whoever_is_not_there() {
    let bank = Program::start();
    bank.script(json!([{ "notices": [{}] }])).await;
    let answer = bank.request("aurora", order(1).payment_xml()).send().await.unwrap();
    assert_eq!(verdict(&answer.text().await.unwrap()), "ACSC");
    assert_eq!(bank.get("aurora/counters").await["notices"]["open"], 1, "there is no address yet");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let put = |body: String| bank.client.put(bank.url("aurora/notice-url")).body(body).send();
    assert_eq!(put(format!("http://{nobody}/")).await.unwrap().status(), StatusCode::NO_CONTENT);
    let deadline = Instant::now() + Duration::from_secs(5);
    while bank.get("aurora/counters").await["notices"]["unreachable"] == 0 {
        assert!(Instant::now() < deadline, "the bank does not even try");
        sleep(Duration::from_millis(10)).await;
    }
    let receiver = Receiver::start(&bank, &[]).await;
    assert_eq!(verdict(&receiver.notices(1).await[0]), "ACSC");
    assert_eq!(put("ftp://nowhere".to_owned()).await.unwrap().status(), StatusCode::BAD_REQUEST);
    let bad = json!([{ "notices": [{ "code": "AC04" }] }]);
    let refused = Client::new().put(bank.url("aurora/script")).json(&bad).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}
