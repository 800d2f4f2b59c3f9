//! Webhooks over TLS, and a gateway that is killed while it posts one.

use std::{fs, time::Duration};

use harness::{
    BenchError,
    certificates::Authority,
    client::{Client, order, payee_by_iban},
    receiver::{Answer, Receiver},
    system::{BANKS, Service, System},
    wait,
};
use proto::webhooks::{CreateWebhookEndpointRequest, ListWebhookDeliveriesRequest};
use sqlx::{Connection, PgConnection};

use crate::bench::{funded, run, setup, shop};

/// Has a receiver told; returns the endpoint.
async fn tell(client: &Client, receiver: &Receiver, name: &str) -> Result<String, BenchError> {
    let (request_id, url) = (name.to_owned(), receiver.url(name));
    let message = CreateWebhookEndpointRequest { request_id, url, states: Vec::new() };
    let made = client.webhooks.clone().create_webhook_endpoint(client.request(message, None)).await?;
    Ok(made.into_inner().webhook_endpoint.ok_or("no endpoint")?.id)
}

/// What the last attempts for an endpoint came to.
async fn outcomes(client: &Client, endpoint: &str) -> Result<Vec<String>, BenchError> {
    let webhook_endpoint = endpoint.to_owned();
    let message = ListWebhookDeliveriesRequest { webhook_endpoint, page_size: 10, page_token: String::new() };
    let listed = client.webhooks.clone().list_webhook_deliveries(client.request(message, None)).await?;
    Ok(listed.into_inner().webhook_deliveries.into_iter().map(|delivery| delivery.outcome).collect())
}

#[test]
fn receivers_are_trusted_by_their_certificates_and_a_gateway_that_is_killed_loses_nothing() {
    run(async || {
        let mut setup = setup("webhooks")?;
        let (trusted, other) = (Authority::new("receivers")?, Authority::new("others")?);
        fs::create_dir_all(&setup.folder)?;
        let ca = setup.folder.join("receivers.pem");
        fs::write(&ca, trusted.pem())?;
        // As if it were among those that the machine trusts.
        let trust = (Service::Gateway, "SSL_CERT_FILE".to_owned(), ca.display().to_string());
        setup.variables.push(trust);
        setup.flags.push((Service::Gateway, "--insecure-webhooks".to_owned()));
        let mut system = System::start(setup).await?;
        let client = shop(&system);
        let account = funded(&client, "webhooks").await?;
        let known = Receiver::start_over_tls(&trusted).await?;
        let stranger = Receiver::start_over_tls(&other).await?;
        tell(&client, &known, "known").await?;
        let strange = tell(&client, &stranger, "stranger").await?;
        let pay = async |request: &str| {
            let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(1));
            client.pay(order(request, &account, payee, 1, "EUR"), None).await
        };
        pay("over-tls").await?;
        known.wait_for(2).await?;
        wait::until("no trust", Duration::from_secs(30), async || {
            let outcomes = outcomes(&client, &strange).await.ok()?;
            outcomes.iter().any(|outcome| outcome == "NOT_TRUSTED").then_some(())
        })
        .await?;
        assert!(stranger.received().is_empty(), "nothing is said to a stranger");

        known.answers([Answer::Never]);
        pay("unanswered").await?;
        known.wait_for(3).await?;
        system.restart(Service::Gateway)?;
        // Its turn lapses after a minute, which has passed.
        let lapsed = "UPDATE webhook_deliveries SET leased_until = now() - interval '1 s', due_at = now() - interval '1 s' \
             WHERE leased_until IS NOT NULL";
        let mut database = PgConnection::connect_with(&system.database()).await?;
        sqlx::query(lapsed).execute(&mut database).await?;
        let received = known.wait_for(5).await?;
        let ids: Vec<_> = received[2..].iter().map(|one| one.header("webhook-id")).collect();
        let [first, again, next] = ids.as_slice() else { return Err(format!("{ids:?}").into()) };
        assert_eq!(first, again, "the same event, once more");
        assert_eq!(first.strip_suffix('1'), next.strip_suffix('2'), "and then the step behind it");
        Ok(())
    });
}
