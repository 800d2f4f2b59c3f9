//! Webhooks: a participant's receivers are told what happens, signed, in order, and of nobody else's business; whatever a receiver does.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use harness::{
    BenchError,
    client::{Client, order, payee_on_ledger},
    receiver::{Answer, Received, Receiver},
    system::BANKS,
};
use proto::{
    payments::PaymentState,
    webhooks::{
        CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, ListWebhookDeliveriesRequest,
        ListWebhookEndpointsRequest, ReplayWebhookEventsRequest, RotateWebhookSecretRequest,
        UpdateWebhookEndpointRequest, WebhookDelivery, WebhookDeliveryState, WebhookEndpoint,
    },
};
use serde_json::Value;
use standardwebhooks::Webhook;
use tonic::{Code, Status};

use crate::{
    bench::{Done, Refused, account_of, refused, run, unique},
    watch::somebody,
};

/// Makes an endpoint; returns its secret as well.
pub async fn create(
    client: &Client,
    url: &str,
    states: &[PaymentState],
) -> Result<(WebhookEndpoint, String), Status> {
    let message = CreateWebhookEndpointRequest {
        request_id: unique("webhook"),
        url: url.to_owned(),
        states: states.iter().map(|state| (*state).into()).collect(),
    };
    let made = client.webhooks.clone().create_webhook_endpoint(client.request(message, None)).await?;
    let made = made.into_inner();
    Ok((made.webhook_endpoint.unwrap_or_default(), made.secret))
}

async fn deliveries(client: &Client, endpoint: &str) -> Result<Vec<WebhookDelivery>, Status> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let message =
            ListWebhookDeliveriesRequest { webhook_endpoint: endpoint.to_owned(), page_size: 2, page_token };
        let page = client.webhooks.clone().list_webhook_deliveries(client.request(message, None)).await?;
        let page = page.into_inner();
        all.extend(page.webhook_deliveries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn listed(client: &Client, endpoint: &str) -> Result<WebhookEndpoint, BenchError> {
    let message = ListWebhookEndpointsRequest::default();
    let page = client.webhooks.clone().list_webhook_endpoints(client.request(message, None)).await?;
    let found = page.into_inner().webhook_endpoints.into_iter().find(|one| one.id == endpoint);
    found.ok_or_else(|| "not listed".into())
}

/// Waits until the newest delivery to an endpoint is as it should be.
async fn until(
    client: &Client,
    endpoint: &str,
    is_so: impl Fn(&WebhookDelivery) -> bool,
) -> Result<WebhookDelivery, BenchError> {
    for _ in 0..3_000 {
        if let Some(newest) = deliveries(client, endpoint).await?.first().filter(|newest| is_so(newest)) {
            return Ok(newest.clone());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("waited in vain: {:?}", deliveries(client, endpoint).await?).into())
}

/// Verified by the specification's own library, and by the public key.
fn verify(received: &Received, secret: &str, public_key: &str) -> Result<(), BenchError> {
    Webhook::new(secret)?.verify(&received.body, &received.headers)?;
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let signed = [format!("{id}.{timestamp}.").as_bytes(), &received.body].concat();
    let key = STANDARD.decode(public_key.strip_prefix("whpk_").ok_or("no public key")?)?;
    let signatures = received.header("webhook-signature").split(' ');
    let is_good = signatures
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1a,")?).ok())
        .any(|signature| UnparsedPublicKey::new(&ED25519, &key).verify(&signed, &signature).is_ok());
    if is_good { Ok(()) } else { Err("no signature of the public key".into()) }
}

fn steps(received: &[Received]) -> BTreeMap<String, Vec<(String, i64)>> {
    let mut steps: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for one in received {
        let content = one.json();
        let payment = &content["data"]["payment"];
        let step = (content["type"].as_str().unwrap().to_owned(), payment["sequence"].as_i64().unwrap());
        steps.entry(payment["id"].as_str().unwrap().to_owned()).or_default().push(step);
    }
    steps
}

fn step(kind: &str, sequence: i64) -> (String, i64) {
    (format!("payment.{kind}"), sequence)
}

#[test]
fn both_sides_are_told_in_order_and_signed() {
    run(async |bench| {
        let (_, shop, account) = somebody(bench).await?;
        let (_, other, others_account) = somebody(bench).await?;
        let (receiver, of_other) = (Receiver::start().await?, Receiver::start().await?);
        let (endpoint, secret) = create(&shop, &receiver.url("hooks"), &[]).await?;
        let (others, others_secret) = create(&other, &of_other.url(""), &[PaymentState::Succeeded]).await?;
        let paid = bench.pay(&shop, &account, &BANKS[0].account(1), 10).await?.payment;
        let rejected = bench.pay(&shop, &account, &account_of("rejects"), 10).await?.payment;
        let to_other = payee_on_ledger("Somebody else", &others_account);
        let on_us = shop.pay(order(&unique("webhook"), &account, to_other, 7, "EUR"), None).await?.payment;

        let received = receiver.wait_for(5).await?;
        for one in &received {
            verify(one, &secret, &endpoint.public_key)?;
            assert_eq!((one.path.as_str(), one.header("content-type")), ("/hooks", "application/json"));
            assert_eq!(one.header("webhook-id"), one.json()["data"]["id"].as_str().unwrap());
            assert_eq!(one.json()["data"]["side"], "PAYER");
        }
        let told = steps(&received);
        assert_eq!(told[&paid.id], [step("submitted", 1), step("succeeded", 2)]);
        assert_eq!(told[&rejected.id], [step("submitted", 1), step("failed", 2)]);
        assert_eq!(told[&on_us.id], [step("succeeded", 1)]);

        // The payee's participant hears that the money is there, and nothing that is the payer's business.
        let others_received = of_other.wait_for(1).await?;
        verify(&others_received[0], &others_secret, &others.public_key)?;
        assert!(
            Webhook::new(&secret)?.verify(&others_received[0].body, &others_received[0].headers).is_err()
        );
        let content = others_received[0].json();
        let payment = &content["data"]["payment"];
        assert_eq!(
            (&content["type"], &content["data"]["side"]),
            (&"payment.succeeded".into(), &"PAYEE".into())
        );
        assert_eq!(payment["id"], Value::from(on_us.id.clone()));
        assert_eq!(payment["amount"]["minor_units"], 7);
        for hidden in ["request_id", "payer_account", "metadata"] {
            assert_eq!(payment[hidden], Value::Null, "{hidden}");
        }
        assert_eq!(payment["payee"]["ledger_account"], Value::from(others_account));
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!((receiver.received().len(), of_other.received().len()), (5, 1), "each once");
        let states: Vec<_> =
            deliveries(&shop, &endpoint.id).await?.iter().map(WebhookDelivery::state).collect();
        assert_eq!(states, [WebhookDeliveryState::Delivered; 5]);
        Ok(())
    });
}

#[test]
fn what_was_not_taken_comes_again_as_it_was() {
    run(async |bench| {
        let (_, shop, account) = somebody(bench).await?;
        let (receiver, elsewhere) = (Receiver::start().await?, Receiver::start().await?);
        let (endpoint, secret) = create(&shop, &receiver.url("hooks"), &[]).await?;
        receiver.answers([Answer::Status(500), Answer::Header(302, "location", elsewhere.url("secret"))]);
        let paid = bench.pay(&shop, &account, &BANKS[0].account(1), 10).await?.payment;
        let first = receiver.wait_for(1).await?.remove(0);
        let failed = until(&shop, &endpoint.id, |newest| newest.event != first.header("webhook-id")).await?;
        assert_eq!(failed.state(), WebhookDeliveryState::Waiting, "the second step waits for the first");
        let received = receiver.wait_for(2).await?;
        let second = &received[1];
        verify(second, &secret, &endpoint.public_key)?;
        assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(second.body, first.body);
        assert!(second.at - first.at >= Duration::from_millis(4_900), "{:?}", second.at - first.at);
        // Nobody follows a redirect; the next attempt would be minutes later.
        let all = async || deliveries(&shop, &endpoint.id).await;
        for _ in 0..200 {
            if all().await?.last().is_some_and(|first| first.attempts == 2) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let first_step = all().await?.pop().unwrap_or_default();
        assert_eq!((first_step.status, first_step.outcome.as_str(), first_step.attempts), (302, "STATUS", 2));
        assert!(elsewhere.received().is_empty());
        assert_eq!(listed(&shop, &endpoint.id).await?.failures, 2);
        // Time passes.
        let mut database = bench.database().await?;
        let id = uuid::Uuid::parse_str(endpoint.id.trim_start_matches("we_"))?;
        for sql in [
            "UPDATE webhook_deliveries SET due_at = now() WHERE endpoint_id = $1 AND state = 'DUE'",
            "UPDATE webhook_endpoints SET resumes_at = now() WHERE id = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut database).await?;
        }
        let received = receiver.wait_for(4).await?;
        assert_eq!(steps(&received[2..])[&paid.id], [step("submitted", 1), step("succeeded", 2)]);
        until(&shop, &endpoint.id, |newest| newest.state() == WebhookDeliveryState::Delivered).await?;
        assert_eq!(listed(&shop, &endpoint.id).await?.failures, 0);
        Ok(())
    });
}

#[test]
fn receivers_that_behave_badly_are_cut_off_and_delay_nobody() {
    run(async |bench| {
        let (_, shop, account) = somebody(bench).await?;
        let (bad, good) = (Receiver::start().await?, Receiver::start().await?);
        let only = [PaymentState::Succeeded];
        bad.answers([Answer::Never]);
        let (silent, _) = create(&shop, &bad.url("silent"), &only).await?;
        create(&shop, &good.url("good"), &only).await?;
        let paid = bench.pay(&shop, &account, &BANKS[0].account(1), 10).await?.payment;
        let (posted, came) = (bad.wait_for(1).await?.remove(0), good.wait_for(1).await?.remove(0));
        assert!(came.at.duration_since(posted.at) < Duration::from_secs(5));
        let timed_out = until(&shop, &silent.id, |newest| newest.attempts == 1).await?;
        assert_eq!((timed_out.outcome.as_str(), timed_out.status), ("TIMED_OUT", 0));
        assert!(posted.at.elapsed() < Duration::from_secs(18), "{:?}", posted.at.elapsed());
        assert_eq!(timed_out.payment, paid.id);

        // An answer that never ends, one with too large a head, one that asks for a rest, and one that wants no more.
        let pay = async || bench.pay(&shop, &account, &BANKS[0].account(1), 1).await;
        for (answer, outcome, status) in [
            (Answer::Endless, "DELIVERED", 200),
            (Answer::Headers(10_000), "BAD_ANSWER", 0),
            (Answer::Header(429, "retry-after", "100".to_owned()), "STATUS", 429),
            (Answer::Status(410), "STATUS", 410),
        ] {
            let receiver = Receiver::start().await?;
            receiver.answers([answer.clone()]);
            let (endpoint, _) = create(&shop, &receiver.url("bad"), &only).await?;
            pay().await?;
            let newest = until(&shop, &endpoint.id, |newest| newest.attempts == 1).await?;
            assert_eq!((newest.outcome.as_str(), newest.status), (outcome, status), "{answer:?}");
            let now = listed(&shop, &endpoint.id).await?;
            let is_gone = status == 410;
            assert_eq!(now.disable_time.is_some(), is_gone, "{answer:?}");
            assert_eq!(now.disable_reason, if is_gone { "GONE" } else { "" });
            if status == 429 {
                let (ended, due) = (newest.attempt_time.unwrap(), newest.due_time.unwrap());
                assert!((100..=101).contains(&(due.seconds - ended.seconds)), "{newest:?}");
            }
            delete(&shop, &endpoint.id).await?;
        }
        let closed = Receiver::start().await?.url("closed");
        let (endpoint, _) = create(&shop, &closed, &only).await?;
        pay().await?;
        let newest = until(&shop, &endpoint.id, |newest| newest.attempts == 1).await?;
        assert_eq!(newest.outcome, "NOT_CONNECTED");
        // The good one has heard of all.
        good.wait_for(6).await?;
        Ok(())
    });
}

async fn delete(client: &Client, endpoint: &str) -> Result<(), Status> {
    let message = DeleteWebhookEndpointRequest { webhook_endpoint: endpoint.to_owned() };
    client.webhooks.clone().delete_webhook_endpoint(client.request(message, None)).await.map(drop)
}

#[test]
fn secrets_are_shown_once_and_replaced_with_an_overlap() {
    run(async |bench| {
        let (_, shop, account) = somebody(bench).await?;
        let receiver = Receiver::start().await?;
        let message = CreateWebhookEndpointRequest {
            request_id: unique("webhook"),
            url: receiver.url("hooks"),
            states: vec![PaymentState::Succeeded.into()],
        };
        let make = async |message: &CreateWebhookEndpointRequest| {
            let made =
                shop.webhooks.clone().create_webhook_endpoint(shop.request(message.clone(), None)).await?;
            Ok::<_, Status>(made.into_inner())
        };
        let made = make(&message).await?;
        let again = make(&message).await?;
        let endpoint = made.webhook_endpoint.clone().unwrap_or_default();
        assert_eq!((again.webhook_endpoint, again.secret.as_str()), (made.webhook_endpoint, ""));
        let old = made.secret;
        let rotate = async |overlap_s: i64| {
            let overlap = Some(prost_types::Duration { seconds: overlap_s, nanos: 0 });
            let (request_id, webhook_endpoint) = (unique("rotation"), endpoint.id.clone());
            let message = RotateWebhookSecretRequest { request_id, webhook_endpoint, overlap };
            let done =
                shop.webhooks.clone().rotate_webhook_secret(shop.request(message.clone(), None)).await?;
            let again = shop.webhooks.clone().rotate_webhook_secret(shop.request(message, None)).await?;
            assert_eq!(again.into_inner().secret, "");
            Ok::<_, Status>(done.into_inner())
        };
        let pay = async |count| {
            bench.pay(&shop, &account, &BANKS[0].account(1), 1).await?;
            Ok::<_, BenchError>(receiver.wait_for(count).await?.remove(count - 1))
        };
        let rotated = rotate(3_600).await?;
        let key = rotated.webhook_endpoint.unwrap_or_default().public_key;
        assert!(key != endpoint.public_key && rotated.secret != old);
        let both = pay(1).await?;
        verify(&both, &old, &endpoint.public_key)?;
        verify(&both, &rotated.secret, &key)?;
        let last = rotate(0).await?;
        let one = pay(2).await?;
        verify(&one, &last.secret, &last.webhook_endpoint.unwrap_or_default().public_key)?;
        assert!(verify(&one, &rotated.secret, &key).is_err());
        // Nowhere in the database in the clear.
        let mut database = bench.database().await?;
        let raw: Vec<u8> = STANDARD.decode(last.secret.trim_start_matches("whsec_"))?;
        let in_the_clear: bool = sqlx::query_scalar(
            "SELECT bool_or(position($1 in confidential) > 0 OR position(convert_to('/hooks', 'UTF8') in confidential) > 0) \
             FROM webhook_endpoints",
        )
        .bind(raw)
        .fetch_one(&mut database)
        .await?;
        assert!(!in_the_clear);
        Ok(())
    });
}

#[test]
fn endpoints_are_changed_replayed_and_ended() {
    run(async |bench| {
        let (_, shop, account) = somebody(bench).await?;
        let receiver = Receiver::start().await?;
        let (endpoint, _) = create(&shop, &receiver.url("hooks"), &[PaymentState::Succeeded]).await?;
        let pay = async || bench.pay(&shop, &account, &BANKS[0].account(1), 1).await;
        let change = async |change: UpdateWebhookEndpointRequest| {
            let message = UpdateWebhookEndpointRequest { webhook_endpoint: endpoint.id.clone(), ..change };
            let done = shop.webhooks.clone().update_webhook_endpoint(shop.request(message, None)).await?;
            Ok::<_, Status>(done.into_inner().webhook_endpoint.unwrap_or_default())
        };
        let replay = async || -> Done {
            let webhook_endpoint = endpoint.id.clone();
            let message =
                ReplayWebhookEventsRequest { webhook_endpoint, ..ReplayWebhookEventsRequest::default() };
            shop.webhooks.clone().replay_webhook_events(shop.request(message, None)).await?;
            Ok(())
        };
        pay().await?;
        let first = receiver.wait_for(1).await?.remove(0);
        let disabled =
            change(UpdateWebhookEndpointRequest { disabled: Some(true), ..Default::default() }).await?;
        assert_eq!(disabled.disable_reason, "OPERATOR");
        pay().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(receiver.received().len(), 1);
        let url = receiver.url("moved");
        let enabled =
            change(UpdateWebhookEndpointRequest { disabled: Some(false), url, ..Default::default() }).await?;
        assert_eq!((enabled.disable_time, enabled.states), (None, endpoint.states.clone()));
        replay().await?;
        let received = receiver.wait_for(3).await?;
        // Two payments do not wait for each other.
        let (again, new): (Vec<_>, Vec<_>) =
            received[1..].iter().partition(|one| one.header("webhook-id") == first.header("webhook-id"));
        assert_eq!((again.len(), new.len()), (1, 1));
        assert_eq!((&again[0].body, again[0].path.as_str()), (&first.body, "/moved"));
        delete(&shop, &endpoint.id).await?;
        pay().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(receiver.received().len(), 3);
        let gone = refused(delete(&shop, &endpoint.id).await)?;
        assert_eq!(gone, Refused::new(Code::NotFound, "NOT_FOUND"));
        // Its URL is free again.
        create(&shop, &receiver.url("moved"), &[]).await?;
        Ok(())
    });
}
