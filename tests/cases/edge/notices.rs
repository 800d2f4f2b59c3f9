//! What a bank says unasked, from its push to the buyer: on record before the bank hears that it was taken, once.

use std::time::Duration;

use harness::{
    BenchError,
    client::{order, payee_by_iban},
    system::{BANKS, Service, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::{operations::ListAlarmsRequest, payments::PaymentState};
use serde_json::{Value, json};

use crate::bench::{funded, run, setup, shop};

pub async fn put(system: &System, path: &str, body: String) -> Result<(), BenchError> {
    let url = format!("http://{}/aurora/{path}", system.address(Service::Bank));
    let kind = if body.starts_with('[') { "application/json" } else { "text/plain" };
    let request = reqwest::Client::new().put(url).header("content-type", kind).body(body);
    request.send().await?.error_for_status()?;
    Ok(())
}

/// How aurora's notices were answered, once none is open.
pub async fn answered(system: &System) -> Result<Value, BenchError> {
    let url = format!("http://{}/aurora/counters", system.address(Service::Bank));
    wait::until("every notice is answered", Duration::from_secs(20), || async {
        let body = reqwest::get(&url).await.ok()?.text().await.ok()?;
        let counters: Value = serde_json::from_str(&body).ok()?;
        let notices = counters["notices"].clone();
        (notices["open"] == 0).then_some(notices)
    })
    .await
}

#[test]
fn a_late_answer_ends_the_payment_once_whatever_follows() {
    run(async || {
        let mut setup = setup("notices")?;
        setup.notice_listen = Some("127.0.0.1:0".to_owned());
        // No enquiry comes in time: what ends the payment is the bank's own word.
        setup.times.enquire_after_ms = 60_000;
        setup.times.valid_for_ms = 70_000;
        let system = System::start(setup).await?;
        put(&system, "notice-url", system.notice_url("aurora")?).await?;
        let script = json!([{
            "behaviour": "silent_executed",
            "notices": [
                { "after_ms": 200, "copies": 3 },
                { "status": "RJCT", "code": "AC04" },
                { "wrong": "amount" },
            ],
        }]);
        put(&system, "script", script.to_string()).await?;
        let client = shop(&system);
        let payer = funded(&client, "notices").await?;
        let order = order("late", &payer, payee_by_iban("Grace", &BANKS[0].account(1)), 1_000, "EUR");
        let paid = client.pay(order, Some(Duration::from_secs(10))).await?.payment;
        assert_eq!(paid.state(), PaymentState::Succeeded, "in the same call: {paid:?}");
        let notices = answered(&system).await?;
        assert_eq!(notices["answers"], json!({ "200": 4, "422": 1 }), "{notices}");
        assert_eq!(client.payment(&paid.id).await?, paid, "nothing changes it any more");
        let request = client.request(ListAlarmsRequest::default(), None);
        let alarms = client.operations.clone().list_alarms(request).await?.into_inner().alarms;
        let kinds: Vec<_> = alarms.iter().map(|alarm| alarm.kind.as_str()).collect();
        assert_eq!(kinds, ["NOTICE_MISMATCH", "CONTRADICTION"]);

        // Meridian takes aurora's place: its own certificate is good, and not aurora's.
        let meridian = system.certificates().as_bank("meridian")?;
        let url = system.notice_url("aurora")?;
        let spoken = meridian.post(url).header("content-type", "application/xml").body("<x/>").send().await?;
        assert_eq!(spoken.status(), 403);
        // Lines gather for a moment before they are written.
        wait::until("the alarm is logged", Duration::from_secs(5), || async {
            let log = std::fs::read_to_string(system.folder().join("channel.log")).ok()?;
            log.contains("ALARM: somebody else spoke for a bank").then_some(())
        })
        .await?;
        let balance = TrialBalance::take(&system.database()).await?;
        assert!(balance.is_ok(), "{balance}");
        Ok(())
    });
}
