//! Two cells behind one gateway: each call goes to the caller's own, and a cell that is gone is missed by its own callers alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    receiver::Receiver,
    system::{BANKS, Service, Setup, System, new_key},
    wait,
};
use proto::{
    payments::{PaymentState, WatchPaymentsRequest},
    webhooks::CreateWebhookEndpointRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::bench::{funded, run, setup, shop};

/// How long what was begun, or told a gateway, may take to be noticed.
const SOON: Duration = Duration::from_secs(20);

/// Two systems as the cells behind the first one's gateway.
async fn cells(purpose: &str) -> Result<[System; 2], BenchError> {
    let mut first = setup(&format!("{purpose}-1"))?;
    first.flags.push((Service::Gateway, "--insecure-webhooks".to_owned()));
    let mut first = System::start(first).await?;
    let shared_certificates = Some(first.certificates().clone());
    let second = Setup { shared_certificates, ..setup(&format!("{purpose}-2"))? };
    let mut second = System::start(second).await?;
    first.serve_too(&mut second).await?;
    Ok([first, second])
}

async fn pay(client: &Client, request: &str, account: &str, cents: i64) -> Result<String, Status> {
    let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(1));
    let answer = client.pay(order(request, account, payee, cents, "EUR"), None).await?;
    assert_eq!(answer.payment.state(), PaymentState::Succeeded);
    assert!(!answer.replayed, "{request} is another payment");
    Ok(answer.payment.id)
}

/// What is said to whoever reads a payment: the code, the reason, and whether they hear when to come back.
async fn said(client: &Client, payment: &str) -> (Code, String, bool) {
    let Err(status) = client.payment(payment).await else { return (Code::Ok, String::new(), false) };
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    (status.code(), reason, details.retry_info().is_some_and(|info| info.retry_delay.is_some()))
}

/// A key on record for the first participant, once the gateway knows it.
async fn key_on_record(system: &System, request: &str, payment: &str) -> Result<Client, BenchError> {
    let house = Client::new(&system.gateway()?, system.house_operator())?;
    let key = house.create_api_key(request, "demo-shop", &["payer-app"]).await?.key;
    let client = Client::new(&system.gateway()?, &key)?;
    wait::until("the key works", SOON, async || client.payment(payment).await.ok()).await?;
    Ok(client)
}

#[test]
fn callers_of_two_cells_are_served_by_one_gateway_each_in_their_own() {
    run(async || {
        let [first, second] = cells("cells").await?;
        assert_eq!(first.address(Service::Gateway), second.address(Service::Gateway));
        let clients = [shop(&first), shop(&second)];
        let mut accounts = Vec::new();
        for client in &clients {
            accounts.push(funded(client, "cells").await?);
        }
        let receiver = Receiver::start().await?;
        let (request_id, url) = ("told".to_owned(), receiver.url("told"));
        let endpoint = CreateWebhookEndpointRequest { request_id, url, states: Vec::new() };
        let webhooks = &clients[1].webhooks;
        webhooks.clone().create_webhook_endpoint(clients[1].request(endpoint, None)).await?;
        let from_now = clients[1].request(WatchPaymentsRequest::default(), None);
        let mut watch = clients[1].payments.clone().watch_payments(from_now).await?.into_inner();

        // The same participant, by its name, and the same request.
        let mut payments = Vec::new();
        for (client, account) in clients.iter().zip(&accounts) {
            payments.push(pay(client, "same", account, 100).await?);
        }
        for (own, other) in [(0, 1), (1, 0)] {
            assert_eq!(said(&clients[own], &payments[own]).await.0, Code::Ok);
            assert_eq!(said(&clients[own], &payments[other]).await.0, Code::NotFound);
            let account = clients[own].account(&accounts[other]).await.map_err(|status| status.code());
            assert_eq!(account.map(drop), Err(Code::NotFound));
        }

        // What is told of a payment comes from its own cell, and nothing of the other's.
        let told = loop {
            let said = tokio::time::timeout(SOON, watch.message()).await??.ok_or("the watch ended")?;
            // It says how far it is before anything happens.
            if let Some(event) = said.event {
                break event.payment.unwrap_or_default().id;
            }
        };
        assert_eq!(told, payments[1]);
        for received in receiver.wait_for(2).await? {
            let text = String::from_utf8_lossy(&received.body).into_owned();
            assert!(text.contains(&payments[1]) && !text.contains(&payments[0]), "{text}");
        }
        for (system, own, other) in [(&first, 0, 1), (&second, 1, 0)] {
            let client = key_on_record(system, "own", &payments[own]).await?;
            assert_eq!(said(&client, &payments[other]).await.0, Code::NotFound, "a key on record");
            assert_eq!(system.compare_with_banks().await?, Vec::<String>::new());
        }
        let gateway = first.metrics(Service::Gateway).await?;
        for to in ["platform", "platform-2"] {
            assert_eq!(gateway.sum("rialto_hop_open", &[("rialto_hop_to", to)]), 1.0, "{to}");
        }
        Ok(())
    });
}

#[test]
fn a_cell_that_is_gone_is_missed_by_its_own_callers_alone() {
    run(async || {
        let [first, mut second] = cells("cell-gone").await?;
        let [of_first, of_second] = [shop(&first), shop(&second)];
        let account = funded(&of_first, "gone").await?;
        let own = pay(&of_first, "before", &account, 1).await?;
        let others = pay(&of_second, "before", &funded(&of_second, "gone").await?, 1).await?;
        let [steady, missing] =
            [key_on_record(&first, "steady", &own).await?, key_on_record(&second, "missing", &others).await?];
        let (unknown, _) = new_key("demo-shop", &["auditor"])?;
        let stranger = Client::new(&first.gateway()?, &unknown)?;
        assert_eq!(said(&stranger, &own).await.0, Code::Unauthenticated);

        let is_over = Arc::new(AtomicBool::new(false));
        let paying = tokio::spawn({
            let (is_over, account) = (Arc::clone(&is_over), account.clone());
            async move {
                let mut paid = 0;
                while !is_over.load(Ordering::Relaxed) {
                    pay(&steady, &format!("steady-{paid}"), &account, 1).await?;
                    paid += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok::<u32, Status>(paid)
            }
        });
        second.process(Service::Platform).signal("KILL")?;
        let becomes = async |client: &Client, reason: &str| {
            let look = async || Some(said(client, &others).await).filter(|(_, said, _)| said == reason);
            let (code, _, comes_back) = wait::until(reason, SOON, look).await?;
            assert_eq!((code, comes_back), (Code::Unavailable, true), "{reason}");
            Ok::<(), BenchError>(())
        };
        becomes(&of_second, "PLATFORM_UNAVAILABLE").await?;
        // What the cell said last counts for a while.
        becomes(&missing, "IDENTITY_UNAVAILABLE").await?;
        becomes(&stranger, "IDENTITY_UNAVAILABLE").await?;
        becomes(&of_second, "PLATFORM_UNAVAILABLE").await?;
        assert_eq!(first.admin(Service::Gateway, "/readyz").await?.0, 200);
        assert_eq!(said(&of_first, &own).await.0, Code::Ok);

        second.restart(Service::Platform)?;
        for client in [&of_second, &missing] {
            wait::until("all is well", SOON, async || client.payment(&others).await.ok()).await?;
        }
        assert_eq!(said(&stranger, &own).await.0, Code::Unauthenticated);
        is_over.store(true, Ordering::Relaxed);
        let paid = paying.await??;
        assert!(paid > 20, "{paid}");
        assert_eq!(first.compare_with_banks().await?, Vec::<String>::new());
        Ok(())
    });
}
