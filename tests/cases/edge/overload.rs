//! More than the platform takes, and a directory that changes: both on a system of their own.

use std::{fs, time::Duration};

use harness::{
    client::{Client, order, payee_by_iban},
    system::{BANKS, Service, System},
    wait,
};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt;

use crate::bench::{SLOW, funded, run, setup, shop, slow_ledger};

/// How long a change may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pays an account so many times at once; returns how many were paid, and how many refused as too much.
async fn pay_at_once(client: &Client, payer: &str, payee: u32, calls: usize) -> (usize, usize) {
    let mut paying = JoinSet::new();
    for number in 0..calls {
        let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(payee));
        let request = order(&format!("much-{number}"), payer, payee, 100, "EUR");
        let client = client.clone();
        paying.spawn(async move { client.pay(request, Some(Duration::from_secs(6))).await });
    }
    let (mut paid, mut refused) = (0, 0);
    for answer in paying.join_all().await {
        match answer {
            Ok(_) => paid += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
                assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
                refused += 1;
            }
        }
    }
    (paid, refused)
}

#[test]
fn what_a_slow_ledger_cannot_write_soon_is_refused_while_it_costs_little() {
    const AT_ONCE: usize = 60;
    // Half of a batch of four are ends of payments, and three batches may wait at any pace.
    const ROOM: usize = 6;
    run(async || {
        let system = System::start(slow_ledger("slow-ledger")?).await?;
        let client = shop(&system);
        let account = funded(&client, "slow-ledger").await?;
        let (paid, refused) = pay_at_once(&client, &account, 1, AT_ONCE).await;
        assert!(paid >= ROOM && refused >= AT_ONCE / 2, "{paid} paid, {refused} refused");
        let repeated = pay_at_once(&client, &account, 1, AT_ONCE).await;
        assert!(repeated.0 >= ROOM, "what was refused can be asked again: {repeated:?}");
        assert_eq!(system.compare_with_banks().await?, Vec::<String>::new());
        Ok(())
    });
}

#[test]
fn what_is_too_much_is_refused_before_anything_is_written() {
    const AT_ONCE: usize = 40;
    run(async || {
        let mut setup = setup("overload")?;
        setup.flags.push((Service::Platform, "--max-under-way=8".to_owned()));
        let system = System::start(setup).await?;
        let client = shop(&system);
        let account = funded(&client, "overload").await?;
        let (paid, refused) = pay_at_once(&client, &account, SLOW, AT_ONCE).await;
        assert!(paid >= 1 && refused >= AT_ONCE / 2, "{paid} paid, {refused} refused");
        let mut database = PgConnection::connect_with(&system.database()).await?;
        let written: i64 =
            sqlx::query_scalar("SELECT count(*) FROM payments").fetch_one(&mut database).await?;
        assert_eq!(usize::try_from(written)?, paid);
        let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(1));
        client.pay(order("after", &account, payee, 100, "EUR"), None).await?;
        Ok(())
    });
}

#[test]
fn a_changed_directory_reaches_the_platform_and_a_bad_one_changes_nothing() {
    run(async || {
        let mut system = System::start(setup("directory")?).await?;
        let client = shop(&system);
        let account = funded(&client, "directory").await?;
        let file = system.folder().join("directory.toml");
        let all = fs::read_to_string(&file)?;
        let reason = async |number: u32| {
            let payee = payee_by_iban("Marie Seller", &BANKS[1].account(1));
            let answer = client.pay(order(&format!("d-{number}"), &account, payee, 100, "EUR"), None).await;
            answer.err().and_then(|status| status.get_details_error_info()).map(|info| info.reason)
        };
        assert_eq!(reason(0).await, None);
        fs::write(&file, format!("{all}\nrubbish"))?;
        system.process(Service::Channel).signal("HUP")?;
        let log = system.folder().join("channel.log");
        let refused = async || fs::read_to_string(&log).ok().filter(|log| log.contains("ERROR"));
        wait::until("the channel refuses the directory", PATIENCE, refused).await?;
        assert_eq!(reason(1).await, None);
        let without = all.split("[[bank]]").filter(|bank| !bank.contains("meridian")).collect::<Vec<_>>();
        fs::write(&file, without.join("[[bank]]"))?;
        system.process(Service::Channel).signal("HUP")?;
        let numbers = std::cell::Cell::new(2);
        let gone = async || {
            let number = numbers.replace(numbers.get() + 1);
            reason(number).await.filter(|reason| reason == "BANK_NOT_IN_DIRECTORY")
        };
        wait::until("the platform hears of the new directory", PATIENCE, gone).await?;
        Ok(())
    });
}
