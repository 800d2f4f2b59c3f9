//! Two platforms on one database: the same request at once, the last money at once, everything at once.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use common::order::{BankKey, PayeeAccount};
use platform::{
    domain::{
        ledger::{Command, Declined, Outcome, Ruling},
        payment::State,
    },
    trial_balance::TrialBalance,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    bench::{
        WAITING, World, accepted, all, command, inconclusive, is_over, open, payment, rejected, submission,
        write,
    },
    databases::{connect, number, wait_until},
};
use sqlx::Connection;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_id_sent_64_times_is_one_payment() {
    let world = World::new().await;
    let books = [world.book(2), world.book(2)];
    for round in 0..5 {
        let request = format!("same {round}");
        // Half of the rounds with two contents: one of them wins.
        let amounts = if round % 2 == 0 { [10, 10] } else { [10, 20] };
        let outcomes = all((0..64).map(|number| {
            let pay = world.pay_bank(&request, amounts[number / 2 % 2]);
            write(&books[number % 2], command(pay))
        }))
        .await;
        let (reused, made): (Vec<_>, Vec<_>) = outcomes
            .into_iter()
            .partition(|outcome| *outcome == Outcome::Declined(Declined::RequestIdReused));
        assert_eq!(reused.len(), if round % 2 == 0 { 0 } else { 32 });
        assert_eq!(made.iter().filter(|outcome| matches!(outcome, Outcome::Submitted(_))).count(), 1);
        let ids: BTreeSet<_> = made.into_iter().map(|outcome| payment(outcome).id).collect();
        assert_eq!(ids.len(), 1);
        assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, round + 1);
    }
    let deposits = all((0..64).map(|number| {
        write(&books[number % 2], world.deposit("alice", &format!("d{}", number / 2 % 16), world.alice, 1))
    }))
    .await;
    assert_eq!(deposits.iter().filter(|outcome| matches!(outcome, Outcome::Deposit(_, false))).count(), 16);
    let booked = number(&world.options, "SELECT count(*) FROM transfers WHERE is_deposit").await;
    assert_eq!(booked, 2, "only what the world began with");
    world.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_payments_of_1_from_100_exactly_100_pass() {
    let world = World::new().await;
    let books = [world.book(2), world.book(2)];
    let poor = open(&world.store, "carol", "Carol", None).await;
    world.book_deposit(&books[0], "carol", "hundred", poor, 100).await;
    let outcomes = all((0..1_000).map(|number| {
        let to = match number % 3 {
            0 => PayeeAccount::Ledger(world.bob),
            _ => PayeeAccount::Number("9".to_owned(), BankKey::Id("aurora".to_owned())),
        };
        write(&books[number % 2], command(world.pay(("carol", poor), &number.to_string(), to, 1)))
    }))
    .await;
    let passed = outcomes.into_iter().map(payment).filter(|payment| payment.state != State::Failed).count();
    assert_eq!(passed, 100);
    assert_eq!(world.balances("carol", poor).await.available(), 0);
    world.assert_balanced().await;
}

/// Two hear of the same payment's end at once, and not the same: the first to write it decides.
#[tokio::test]
async fn of_two_conclusions_at_once_one_is_final_and_the_other_hears_it() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1)];
    let made = submission(write(&books[0], command(world.pay_bank("r", 10))).await);
    let mut holder = connect(&world.options).await;
    let lock = "BEGIN; LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut holder).await.unwrap();
    let concluding = all([(0, accepted()), (1, rejected())].map(|(book, evidence)| {
        write(&books[book], world.conclude(made.payment.id, made.lease.token, evidence))
    }));
    let releasing = async {
        // Both have begun, and wait: one for the accounts, one for the payment.
        wait_until(&world.options, WAITING, |waiting| waiting == 2).await;
        holder.close().await.unwrap();
    };
    let (concluded, ()) = tokio::join!(concluding, releasing);
    let concluded: Vec<_> = concluded.into_iter().map(payment).collect();
    assert!(is_over(concluded[0].state));
    assert_eq!(concluded[0], concluded[1]);
    world.assert_balanced().await;
}

/// A request is repeated while its first is under way elsewhere, and takes all that there is.
#[tokio::test]
async fn a_repeat_at_once_hears_of_the_refund_or_capture_that_the_first_made() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1)];
    let paid = submission(write(&books[0], command(world.pay_bank("paid", 100))).await);
    write(&books[0], world.conclude(paid.payment.id, paid.lease.token, accepted())).await;
    let authorized = world.authorize("authorized", false).await;
    let requests: [(&str, &dyn Fn() -> Command); 2] = [
        ("refund", &|| world.refund("alice", "refund", paid.payment.id, Some(100))),
        ("capture", &|| world.capture("capture", authorized.id, Some(100))),
    ];
    for (what, request) in requests {
        let mut holder = connect(&world.options).await;
        let lock = "BEGIN; LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE";
        sqlx::raw_sql(lock).execute(&mut holder).await.unwrap();
        let asking = all([0, 1].map(|book| write(&books[book], request())));
        let releasing = async {
            // Both have begun, and wait: one for the accounts, one for the payment.
            wait_until(&world.options, WAITING, |waiting| waiting == 2).await;
            holder.close().await.unwrap();
        };
        let (outcomes, ()) = tokio::join!(asking, releasing);
        let made: BTreeSet<_> = outcomes.into_iter().map(|outcome| payment(outcome).id).collect();
        assert_eq!(made.len(), 1, "{what}");
    }
    world.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once_on_four_hot_accounts_stays_balanced_in_every_snapshot() {
    let world = World::new().await;
    let books = [world.book(2), world.book(3)];
    let carol = open(&world.store, "carol", "Carol", None).await;
    let dave = open(&world.store, "dave", "Dave", None).await;
    let accounts = [("alice", world.alice), ("bob", world.bob), ("carol", carol), ("dave", dave)];
    let (until, over, done) =
        (Instant::now() + Duration::from_secs(4), AtomicBool::new(false), AtomicU32::new(0));
    let client = async |seed: u64| {
        let mut random = StdRng::seed_from_u64(seed);
        while Instant::now() < until {
            let book = &books[random.random_range(0..2)];
            let payer = accounts[random.random_range(0..4)];
            let amount = random.random_range(1..400);
            // Few ids, so that some are asked for again, at once and later.
            let request = format!("{}", random.random_range(0..4_000));
            done.fetch_add(1, Ordering::Relaxed);
            match random.random_range(0..4) {
                0 => {
                    let proposed = write(book, world.deposit(payer.0, &request, payer.1, amount)).await;
                    if let Outcome::Deposit(proposed, _) = proposed {
                        let by = ["ada", "bea", "cleo"][random.random_range(0..3)];
                        let reject = Ruling::Reject { by: by.to_owned(), reason: "no such line".to_owned() };
                        let decided = match random.random_range(0..4) {
                            0 => world.decide(&proposed, reject),
                            _ => world.approve(&proposed, by),
                        };
                        drop(write(book, decided).await);
                    }
                }
                1 => {
                    let to = PayeeAccount::Ledger(accounts[random.random_range(0..4)].1);
                    drop(write(book, command(world.pay(payer, &request, to, amount))).await);
                }
                _ => {
                    let to = PayeeAccount::Number("9".to_owned(), BankKey::Id("aurora".to_owned()));
                    let mut pay = world.pay(payer, &request, to, amount);
                    if let Ok(bank) = &mut pay.bank {
                        bank.lease = Duration::from_millis(random.random_range(0..40));
                    }
                    if let Outcome::Submitted(made) = write(book, command(pay)).await {
                        let evidence = match random.random_range(0..3) {
                            0 => accepted(),
                            1 => rejected(),
                            _ => inconclusive(Duration::from_millis(random.random_range(0..40))),
                        };
                        // Somebody may have taken it over already.
                        write(book, world.conclude(made.payment.id, made.lease.token, evidence)).await;
                    }
                }
            }
        }
    };
    let recovery = async {
        while !over.load(Ordering::Relaxed) {
            for claimed in world.claim_due(16, Duration::from_millis(100)).await.unwrap() {
                write(&books[0], world.conclude(claimed.payment.id, claimed.lease.token, accepted())).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let snapshots = async {
        let mut count = 0;
        while !over.load(Ordering::Relaxed) {
            let balance = TrialBalance::take(&world.options).await.unwrap();
            assert!(balance.is_ok(), "{balance}");
            count += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        count
    };
    let clients = async {
        all((0..48).map(client)).await;
        over.store(true, Ordering::Relaxed);
    };
    let ((), (), count) = tokio::join!(clients, recovery, snapshots);
    assert!(count >= 5, "only {count} snapshots");
    assert!(done.load(Ordering::Relaxed) > 500, "only {done:?} commands");
    let database = world.options.get_database().unwrap();
    let deadlocks = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'");
    assert_eq!(number(&world.options, &deadlocks).await, 0, "deadlocks");
    world.assert_balanced().await;
}
