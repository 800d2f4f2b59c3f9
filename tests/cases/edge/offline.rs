//! Banks that are down: known within seconds, refused or waited for before anything is lost, and taken up again by
//! themselves.

use std::time::{Duration, Instant};

use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    system::{BANKS, BankSetup, Service, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::payments::{Payment, PaymentState};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::bench::{funded, run, setup, shop};

const DOWN: Duration = Duration::from_secs(20);

async fn pay(client: &Client, payer: &str, bank: &BankSetup, request: &str) -> Result<Payment, Status> {
    let order = order(request, payer, payee_by_iban("Grace", &bank.account(1)), 10, "EUR");
    Ok(client.pay(order, Some(Duration::from_secs(5))).await?.payment)
}

fn is_offline(found: &Result<Payment, Status>) -> bool {
    found.as_ref().is_err_and(|status| {
        let reason = status.get_details_error_info().map(|info| info.reason);
        status.code() == Code::Unavailable && reason.as_deref() == Some("BANK_OFFLINE")
    })
}

/// Pays a bank until it is known to be down; returns how long that took.
async fn until_offline(client: &Client, payer: &str) -> Result<Duration, BenchError> {
    let began = Instant::now();
    let mut number = 0;
    wait::until("BANK_OFFLINE", DOWN, || {
        number += 1;
        let request = format!("down-{number}");
        async move { is_offline(&pay(client, payer, &BANKS[0], &request).await).then_some(()) }
    })
    .await?;
    Ok(began.elapsed())
}

#[test]
fn a_bank_that_is_down_is_refused_or_waited_for_and_comes_back() {
    run(async || {
        let mut setup = setup("offline")?;
        setup.queueing = &["meridian"];
        let mut system = System::start(setup).await?;
        let client = shop(&system);
        let payer = funded(&client, "offline").await?;
        system.process(Service::Bank).signal("KILL")?;
        system.process(Service::Bank).wait(Duration::from_secs(5))?;
        let known_after = until_offline(&client, &payer).await?;
        assert!(known_after < Duration::from_secs(10), "{known_after:?}");

        let before = client.account(&payer).await?.balance.unwrap_or_default();
        let began = Instant::now();
        let refused = pay(&client, &payer, &BANKS[0], "refused").await;
        assert!(is_offline(&refused), "{refused:?}");
        assert!(began.elapsed() < Duration::from_millis(500), "at once");
        assert_eq!(client.account(&payer).await?.balance.unwrap_or_default(), before, "nothing is held");

        let mut waiting = Vec::new();
        for number in 0..20 {
            let held = pay(&client, &payer, &BANKS[1], &format!("waits-{number}")).await?;
            assert!(matches!(held.state(), PaymentState::Held | PaymentState::Submitted), "{held:?}");
            waiting.push(held.id);
        }
        system.restart(Service::Bank)?;
        for id in &waiting {
            let paid = wait::final_payment(&client, id, Duration::from_secs(30)).await?;
            assert_eq!(paid.state(), PaymentState::Succeeded, "{paid:?}");
        }
        let again = wait::until("the bank is paid again", DOWN, || async {
            pay(&client, &payer, &BANKS[0], "refused").await.ok()
        });
        assert_eq!(again.await?.state(), PaymentState::Succeeded, "the same request, sent again");
        let balance = TrialBalance::take(&system.database()).await?;
        assert!(balance.is_ok(), "{balance}");
        assert_eq!(system.compare_with_banks().await?, Vec::<String>::new());
        Ok(())
    });
}
