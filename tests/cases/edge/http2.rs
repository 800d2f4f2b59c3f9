//! Banks over HTTP/2, where many payments share a connection: none is lost with it, and a bank that takes one at a time gets
//! no more.

use std::time::Duration;

use harness::{
    client::{order, payee_by_iban},
    system::{BANKS, Service, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::payments::PaymentState;

use crate::bench::{Done, SLOW, funded, run, setup, shop};

/// An account at the first bank whose payments are executed, with the connection then closed.
const CUTS: u32 = 7;
/// Longer than any payment takes to end by itself.
const IN_THE_END: Duration = Duration::from_secs(40);

/// Pays the accounts, all at once but for a pause before the last; all must succeed in the end, and be in the bank's books.
async fn all_succeed(purpose: &str, accounts: &[u32], flag: Option<&str>) -> Done {
    let mut setup = setup(purpose)?.over_http2();
    setup.script += &format!("[[aurora]]\naccount = \"{}\"\nbehaviour = \"cut\"\n", BANKS[0].account(CUTS));
    setup.flags.extend(flag.map(|flag| (Service::Bank, flag.to_owned())));
    let system = System::start(setup).await?;
    let client = shop(&system);
    let payer = funded(&client, purpose).await?;
    let mut calls = Vec::new();
    for (number, account) in accounts.iter().enumerate() {
        let payee = payee_by_iban("Grace", &BANKS[0].account(*account));
        let request = order(&format!("{purpose}-{number}"), &payer, payee, 10, "EUR");
        let (client, is_last) = (client.clone(), number + 1 == accounts.len());
        calls.push(tokio::spawn(async move {
            // So that the others are under way by then.
            tokio::time::sleep(Duration::from_millis(if is_last { 700 } else { 0 })).await;
            client.pay(request, Some(Duration::from_secs(10))).await
        }));
    }
    for call in calls {
        let payment = call.await??.payment;
        let ended = wait::final_payment(&client, &payment.id, IN_THE_END).await?;
        assert_eq!(ended.state(), PaymentState::Succeeded, "{ended:?}");
    }
    let found = TrialBalance::take(&system.database()).await?;
    assert!(found.is_ok(), "{found}");
    assert_eq!(system.compare_with_banks().await?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_connection_that_is_cut_loses_none_of_the_payments_on_it() {
    run(async || {
        let accounts = [&[SLOW; 8][..], &[CUTS]].concat();
        all_succeed("cut", &accounts, None).await
    });
}

#[test]
fn a_bank_that_takes_one_payment_at_a_time_gets_them_all() {
    run(async || all_succeed("one-stream", &[1; 40], Some("--max-streams=1")).await);
}
