//! The answer is there before the caller gives up, and a call that can't be answered in time writes nothing.

use std::time::{Duration, Instant};

use harness::{
    BenchError,
    client::{Client, order, payee_by_number},
    system::{BANKS, Service},
    wait,
};
use proto::payments::{Payment, PaymentState, payee::Bank};
use tonic::Code;

use crate::bench::{Bench, Done, IN_THE_END, account_of, euros, run, unique};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn an_answer_comes_in_time_or_nothing_is_written() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 100_000).await?;
        let slow = account_of("slow for deadlines");
        let mut payments = Vec::new();
        for ms in [1, 5, 20, 50, 80, 99, 150, 200, 300, 500, 650, 700, 750, 900, 1_500, 3_000] {
            let deadline = MILLISECOND * ms;
            let request = euros(&unique("deadline"), &payer, &slow, 1);
            let began = Instant::now();
            let answer = shop.pay(request.clone(), Some(deadline)).await;
            let took = began.elapsed();
            let by_request = harness_read(&shop, &request.request_id).await;
            match answer {
                Ok(answer) => {
                    assert!(ms >= 100, "{ms} ms were enough");
                    assert!(took <= deadline, "{ms} ms: {took:?}");
                    let state = answer.payment.state();
                    let ended = state == PaymentState::Succeeded && ms >= 700;
                    let under_way =
                        matches!(state, PaymentState::Submitted | PaymentState::Unknown) && ms < 1_500;
                    assert!(ended || under_way, "{ms} ms: {state:?}");
                    payments.push(answer.payment.id);
                }
                Err(status) => {
                    assert!(ms < 150, "{ms} ms: {status:?} after {took:?}");
                    assert!(
                        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
                        "{ms} ms: {status:?}"
                    );
                    assert!(ms >= 100 || by_request.is_none(), "{ms} ms: written all the same");
                }
            }
        }
        let mut ended = Vec::new();
        for id in payments {
            ended.push(wait::final_payment(&shop, &id, IN_THE_END).await?);
        }
        bench.check(&ended).await
    });
}

async fn harness_read(client: &Client, request_id: &str) -> Option<Payment> {
    use proto::payments::{GetPaymentRequest, get_payment_request::Key};
    let message = GetPaymentRequest { key: Some(Key::RequestId(request_id.to_owned())) };
    let answer = client.payments.clone().get_payment(client.request(message, None)).await;
    answer.ok().and_then(|answer| answer.into_inner().payment)
}

/// Replaces sakura's rules; whoever calls this holds `bench.sakura`.
pub async fn script(bench: &Bench, rules: serde_json::Value) -> Done {
    let url = format!("http://{}/sakura/script", bench.system.address(Service::Bank));
    reqwest::Client::new().put(url).json(&rules).send().await?.error_for_status()?;
    Ok(())
}

/// A payment of yen to sakura, from `payer`.
pub fn yen(payer: &str, minor_units: i64) -> proto::payments::CreatePaymentRequest {
    let payee = payee_by_number("Hideki Seller", &BANKS[2].account(7), Bank::BankId("sakura".to_owned()));
    order(&unique("yen"), payer, payee, minor_units, "JPY")
}

#[test]
fn a_call_without_a_deadline_ends_within_ten_seconds_and_the_hold_stays_until_the_bank_answers() {
    run(async |bench| {
        let _sakura = bench.sakura.lock().await;
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "JPY", 1_000).await?;
        let silent = serde_json::json!([
            {"behaviour": "silent_executed"}, {"on": "enquiry", "behaviour": "silent"}
        ]);
        script(bench, silent).await?;
        let began = Instant::now();
        let answer = shop.pay(yen(&payer, 400), None).await?.payment;
        let took = began.elapsed();
        assert!(took <= Duration::from_secs(10), "{took:?}");
        assert!(took >= Duration::from_secs(9), "given up after {took:?}");
        assert_eq!((answer.state(), answer.iso_status.as_str()), (PaymentState::Unknown, "PDNG"));
        let reason = answer.reason.clone().unwrap_or_default();
        assert_eq!(reason.code, "ANSWER_TIMED_OUT");
        // Beyond the time in which the bank would take it, nothing is certain either: it has not said "not found".
        let held = async |expected: (i64, i64)| {
            let balance = shop.account(&payer).await?.balance.unwrap_or_default();
            assert_eq!((balance.available_minor_units, balance.held_minor_units), expected);
            Ok::<_, BenchError>(())
        };
        held((600, 400)).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(shop.payment(&answer.id).await?.state(), PaymentState::Unknown);
        held((600, 400)).await?;
        script(bench, serde_json::json!([])).await?;
        let ended = wait::final_payment(&shop, &answer.id, IN_THE_END).await?;
        assert_eq!(ended.state(), PaymentState::Succeeded);
        held((600, 0)).await?;
        bench.check(&[ended]).await
    });
}

#[test]
fn a_call_ends_when_the_enquiry_does() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let began = Instant::now();
        let answer = bench.pay(&shop, &payer, &account_of("silent once, for the enquiry"), 10).await?.payment;
        assert_eq!(answer.state(), PaymentState::Succeeded, "asked, not found, sent again");
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        bench.check(&[answer]).await
    });
}
