//! A platform that archives what is over: callers, operators and banks notice nothing of it.

use std::time::Duration;

use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    system::{BANKS, Service, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::{
    operations::ListAlarmsRequest,
    payments::{
        GetPaymentRequest, ListPaymentsRequest, PaymentState, RefundPaymentRequest, get_payment_request,
    },
};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::{
    bench::{finish, funded, program, run, setup, shop},
    notices::put,
};

/// Waits until as many payments as that are where they can be worked on.
async fn here(system: &System, wanted: i64) -> Result<(), BenchError> {
    wait::until(&format!("{wanted} payments are not archived"), Duration::from_secs(20), || async {
        let mut connection = PgConnection::connect_with(&system.database()).await.ok()?;
        let count = "SELECT count(*) FROM payments";
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.ok()?;
        (count == wanted).then_some(())
    })
    .await
}

async fn alarms(client: &Client) -> Result<Vec<String>, BenchError> {
    let request = client.request(ListAlarmsRequest::default(), None);
    let alarms = client.operations.clone().list_alarms(request).await?.into_inner().alarms;
    Ok(alarms.into_iter().map(|alarm| alarm.kind).collect())
}

#[test]
fn who_asks_for_archived_payments_hears_what_they_were() {
    run(async || {
        let mut setup = setup("archive")?;
        setup.notice_listen = Some("127.0.0.1:0".to_owned());
        setup.flags.push((Service::Platform, "--archive-after=1s".to_owned()));
        let system = System::start(setup).await?;
        put(&system, "notice-url", system.notice_url("aurora")?).await?;
        // One is refused, and long afterwards said to have been paid.
        let script = json!([{
            "account": BANKS[0].account(9),
            "behaviour": { "reject": { "code": "AC04" } },
            "notices": [{ "after_ms": 6_000, "status": "ACSC" }],
        }]);
        put(&system, "script", script.to_string()).await?;
        let client = shop(&system);
        let payer = funded(&client, "archive").await?;
        let ask = |number: u32| {
            let payee = payee_by_iban("Grace", &BANKS[0].account(number));
            order(&format!("archived-{number}"), &payer, payee, 1_000, "EUR")
        };
        let mut made = Vec::new();
        for number in [1, 2, 9] {
            made.push(client.pay(ask(number), None).await?.payment);
        }
        let states: Vec<_> = made.iter().map(|payment| payment.state()).collect();
        assert_eq!(states, [PaymentState::Succeeded, PaymentState::Succeeded, PaymentState::Failed]);
        here(&system, 0).await?;

        for (number, payment) in [1, 2, 9].into_iter().zip(&made) {
            assert_eq!(client.payment(&payment.id).await?, *payment);
            let key = Some(get_payment_request::Key::RequestId(payment.request_id.clone()));
            let request = client.request(GetPaymentRequest { key }, None);
            let by_request = client.payments.clone().get_payment(request).await?.into_inner().payment;
            assert_eq!(by_request.as_ref(), Some(payment));
            let again = client.pay(ask(number), None).await?;
            assert!(again.replayed);
            assert_eq!(again.payment, *payment);
        }
        let mut other = ask(1);
        other.remittance_information = "other".to_owned();
        let reused = client.pay(other, None).await.unwrap_err();
        assert_eq!(reused.code(), tonic::Code::FailedPrecondition, "{reused}");
        let (mut listed, mut token) = (Vec::new(), String::new());
        loop {
            let page = ListPaymentsRequest { page_size: 2, page_token: token, ..Default::default() };
            let page = client.payments.clone().list_payments(client.request(page, None)).await?.into_inner();
            listed.extend(page.payments);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        listed.reverse();
        assert_eq!(listed, made);

        let refund = RefundPaymentRequest {
            request_id: "archived-refund".to_owned(),
            payment: made[0].id.clone(),
            ..Default::default()
        };
        let refund = client.request(refund, Some(Duration::from_secs(10)));
        let refund = client.payments.clone().refund_payment(refund).await?.into_inner().refund.unwrap();
        assert_eq!(refund.state(), PaymentState::Succeeded, "{refund:?}");
        // The late success comes back for people, with what takes it back; the refund and its payment leave again.
        wait::until("the late success is noticed", Duration::from_secs(20), || async {
            alarms(&client).await.ok().filter(|alarms| *alarms == ["LATE_SUCCESS"])
        })
        .await?;
        here(&system, 2).await?;
        assert_eq!(client.payment(&made[2].id).await?, made[2]);
        let balance = TrialBalance::take(&system.database()).await?;
        assert!(balance.is_ok(), "{balance}");
        assert_eq!(balance.archived, 3, "{balance}");

        let mut archive = program("platform");
        archive.args(["archive", "--after=1s", "--json"]).env("RIALTO_DATABASE_URL", system.database_url());
        let archived = finish(archive)?;
        assert_eq!(archived.code, Some(0), "{}", archived.err);
        assert!(archived.out.starts_with(r#"{"left_to_another":"#), "{}", archived.out);
        Ok(())
    });
}
