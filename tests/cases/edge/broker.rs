//! A platform that publishes to a real broker over TLS, and is killed while it does.

use std::{collections::BTreeSet, time::Duration};

use async_nats::ConnectOptions;
use harness::{
    certificates::Certificates,
    client::{order, payee_by_iban},
    nats::{self, Nats, Operator, Reader},
    postgres::own_folder,
    system::{BANKS, Service, System},
    wait,
};
use sqlx::{Connection, PgConnection};

use crate::bench::{funded, run, setup, shop};

const STREAM: &str = "RIALTO";
const PAYMENTS: usize = 60;

#[test]
fn a_platform_that_is_killed_while_it_publishes_loses_and_repeats_nothing() {
    run(async || {
        let mut setup = setup("broker")?;
        let certificates = Certificates::make(&setup.folder.join("broker"), [].into_iter())?;
        let operator = Operator::default();
        let settings = operator.settings()? + &nats::tls(&certificates, "public");
        let mut nats = Nats::start(own_folder("nats")?, &settings).await?;
        let credentials = setup.folder.join("rialto.creds");
        std::fs::write(&credentials, operator.credentials()?)?;
        for flag in [
            format!("--broker=tls://{}", nats.address()),
            format!("--broker-ca={}", certificates.ca().display()),
            format!("--broker-credentials-file={}", credentials.display()),
        ] {
            setup.flags.push((Service::Platform, flag));
        }
        let mut system = System::start(setup).await?;
        let client = shop(&system);
        let account = funded(&client, "broker").await?;
        let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(1));
        for number in 0..PAYMENTS {
            let order = order(&format!("broker-{number}"), &account, payee.clone(), 1, "EUR");
            wait::until("a payment", Duration::from_secs(30), async || {
                client.pay(order.clone(), None).await.ok()
            })
            .await?;
            // Three times the platform, and once the broker.
            match number {
                10 | 25 | 40 => system.restart(Service::Platform)?,
                30 => nats.kill()?,
                35 => nats.restart().await?,
                _ => {}
            }
        }
        let mut database = PgConnection::connect_with(&system.database()).await?;
        let steps =
            "SELECT 'evt_' || replace(payment_id::text, '-', '') || '_' || sequence FROM all_payment_events";
        let steps: BTreeSet<String> =
            sqlx::query_scalar(steps).fetch_all(&mut database).await?.into_iter().collect();
        assert!(steps.len() >= 2 * PAYMENTS, "{}", steps.len());
        let options = ConnectOptions::with_credentials(&operator.credentials()?)?;
        let reader =
            Reader::connect(&nats, options.require_tls(true).add_root_certificates(certificates.ca()))
                .await?;
        let stored = reader.wait_for(STREAM, steps.len()).await?;
        let told: BTreeSet<String> =
            stored.iter().filter_map(|one| one.event["id"].as_str()).map(str::to_owned).collect();
        assert_eq!((told, stored.len()), (steps.clone(), steps.len()), "each once");
        for payment in stored.iter().map(|one| &one.event["subject"]).collect::<Vec<_>>() {
            let steps = stored.iter().filter(|one| one.event["subject"] == *payment);
            let steps: Vec<_> =
                steps.filter_map(|one| one.event["data"]["payment"]["sequence"].as_i64()).collect();
            assert!(steps.is_sorted(), "{payment}: {steps:?}");
        }
        // The platform says so itself, as of its last look at the database.
        wait::until("no lag", Duration::from_secs(90), async || {
            let seen = system.metrics(Service::Platform).await.ok()?;
            let is_level = seen.sum("rialto_broker_lag_count", &[]) == 0.0;
            (is_level && seen.sum("rialto_broker_published_total", &[]) > 0.0).then_some(())
        })
        .await
    });
}
