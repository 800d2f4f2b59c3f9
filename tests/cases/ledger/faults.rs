//! Faults while the book writes: a command that the database refuses, connections that break, answers that get lost.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use common::order::{BankKey, PayeeAccount};
use harness::frames::{Conversation, Frames, Mark, Way};
use platform::{
    domain::{
        deposit::DepositState,
        ledger::{Command, Outcome, Pay},
        payment::State,
    },
    flow::book::{Book, NotWritten},
    store::Store,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    bench::{
        WAITING, World, accepted, all, book_on, command, payment, submission, try_write, unlocked, write,
    },
    databases::{connect, number, wait_until},
};

/// Holds Alice's account, so that a writer waits and what is written meanwhile becomes one batch.
async fn hold_alice(world: &World) -> PgConnection {
    let mut connection = connect(&world.options).await;
    sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
    let lock = sqlx::query("SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE").bind(world.alice.uuid());
    lock.execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn a_command_that_the_database_refuses_harms_only_itself() {
    let world = World::new().await;
    // Money that has moved although its payment has not ended: only damage makes such a one, and it must not spread.
    let damaged = submission(write(&world.book(1), command(world.pay_bank("damaged", 1))).await).payment.id;
    let text = format!(
        "SET session_replication_role = replica;
         INSERT INTO transfers (id, debit_account, credit_account, amount, created_at, is_deposit, credit_is_house)
           SELECT id, payer_account, credit_account, amount, now(), false, true FROM payments WHERE id = '{}'",
        damaged.uuid()
    );
    crate::databases::sql(&world.options, &text).await;
    let with_nul = |what: &str| {
        let mut pay = world.pay_bank(what, 1);
        match what {
            "bank" => {
                let bank = BankKey::Id("a\0b".to_owned());
                pay.order.payee.account = PayeeAccount::Number("123".to_owned(), bank);
            }
            _ => pay.order.request_id = "a\0b".to_owned(),
        }
        command(pay)
    };
    for (what, poison) in [
        ("bank", with_nul("bank")),
        ("request id", with_nul("request id")),
        ("damaged", world.conclude(damaged, 1, accepted())),
    ] {
        let book = world.book(1);
        let holder = hold_alice(&world).await;
        let first = tokio::spawn({
            let (book, pay) = (book.clone(), command(world.pay_bank(&format!("{what} first"), 1)));
            async move { write(&book, pay).await }
        });
        wait_until(&world.options, WAITING, |waiting| waiting == 1).await;
        let poisoned = async {
            let good =
                |number: i32| try_write(&book, command(world.pay_bank(&format!("{what} {number}"), 1)));
            let (before, poison, after) =
                tokio::join!(all((0..10).map(good)), try_write(&book, poison), all((10..20).map(good)));
            assert!(poison.is_err(), "{what}: {poison:?}");
            for outcome in before.into_iter().chain(after) {
                assert_eq!(payment(outcome.expect(what)).state, State::Submitted, "{what}");
            }
        };
        let release = async { holder.close().await.unwrap() };
        tokio::join!(poisoned, release);
        let first = first.await.unwrap();
        assert!(matches!(first, Outcome::Submitted(_)), "{what}: {first:?}");
        assert_eq!(
            payment(write(&book, command(world.pay_bank(&format!("{what} later"), 1))).await).state,
            State::Submitted
        );
    }
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 1 + 3 * 22);
}

#[tokio::test]
async fn a_race_that_is_lost_after_an_outage_is_no_defect() {
    let world = World::new().await;
    let book = world.book(1);
    // Out of disk space three times, then another writer is faster once.
    let text = "CREATE SEQUENCE tries;
        CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        DECLARE try bigint := nextval('tries'); BEGIN
            IF try <= 3 THEN RAISE 'no space' USING ERRCODE = 'disk_full';
            ELSIF try = 4 THEN RAISE 'faster' USING ERRCODE = 'unique_violation'; END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER trouble BEFORE INSERT ON payments EXECUTE FUNCTION trouble()";
    crate::databases::sql(&world.options, text).await;
    let outcome = try_write(&book, command(world.pay_bank("unlucky", 1))).await;
    assert_eq!(payment(outcome.unwrap()).state, State::Submitted);
    assert_eq!(number(&world.options, "SELECT last_value FROM tries").await, 5);
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_command_that_makes_a_writer_panic_does_not_stop_the_book() {
    let world = World::new().await;
    let book = world.book(1);
    let mut pay = world.pay_bank("for ever", 1);
    if let Ok(bank) = &mut pay.bank {
        bank.valid_for = Duration::MAX;
    }
    for round in 0..3 {
        assert_eq!(try_write(&book, command(pay.clone())).await, Err(NotWritten::Unavailable));
        let good = write(&book, command(world.pay_bank(&round.to_string(), 1))).await;
        assert_eq!(payment(good).state, State::Submitted);
    }
    world.assert_balanced().await;
}

#[tokio::test]
async fn when_too_many_wait_nothing_is_begun() {
    let world = World::new().await;
    let book = world.book(1);
    let holder = hold_alice(&world).await;
    let outcomes = async {
        let asked = all((0..5_000).map(|number| {
            let request = number.to_string();
            try_write(&book, command(world.pay_on_us(&request, world.bob, 1)))
        }));
        tokio::join!(asked, async { holder.close().await.unwrap() }).0
    };
    let outcomes = outcomes.await;
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(NotWritten::Overloaded)).count();
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(refused >= 5_000 - 4_096 - 64, "{refused}");
    assert_eq!(refused + made, 5_000);
    assert_eq!(usize::try_from(number(&world.options, "SELECT count(*) FROM payments").await).unwrap(), made);
    world.assert_balanced().await;
}

/// Asks until there is an outcome, each time under a new number, as a client's repeat would.
async fn ask_until_there_is_an_outcome(world: &World, book: &Book, pay: Pay) -> Outcome {
    loop {
        let pay = Pay { id: common::id::PaymentId::new(&world.clock), ..pay.clone() };
        match try_write(book, command(pay)).await {
            Ok(outcome) => return outcome,
            Err(NotWritten::Unavailable) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_cost_no_payment_and_make_none_twice() {
    let world = World::new().await;
    let books = [world.book(2), world.book(1)];
    let killed = AtomicU32::new(0);
    let client = async |client: usize| {
        let mut count = 0;
        while killed.load(Ordering::Relaxed) < 25 {
            let book = &books[(client + count) % 2];
            let request = format!("{client} {count}");
            let pay = match count % 2 {
                0 => world.pay_bank(&request, 1),
                _ => world.pay_on_us(&request, world.bob, 1),
            };
            let made = payment(ask_until_there_is_an_outcome(&world, book, pay).await);
            if made.state == State::Submitted {
                let conclude = world.conclude(made.id, 1, accepted());
                while let Err(why) = try_write(book, conclude.clone()).await {
                    assert_eq!(why, NotWritten::Unavailable);
                }
            }
            count += 1;
        }
        count
    };
    let killer = async {
        let mut random = StdRng::seed_from_u64(7);
        let mut connection = connect(&world.options).await;
        while killed.load(Ordering::Relaxed) < 25 {
            tokio::time::sleep(Duration::from_micros(random.random_range(50_000..200_000))).await;
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'rialto-platform' AND state <> 'idle' \
                ORDER BY random() LIMIT 1) AS busy";
            let count: i64 = sqlx::query_scalar(kill).fetch_one(&mut connection).await.unwrap();
            killed.fetch_add(u32::try_from(count).unwrap(), Ordering::Relaxed);
        }
    };
    let ((), counts) = tokio::join!(killer, all((0..8).map(client)));
    let count = i64::try_from(counts.into_iter().sum::<usize>()).unwrap();
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, count);
    let unpaid =
        "SELECT count(*) FROM payments WHERE state <> 'SUCCEEDED' AND reason_code <> 'INSUFFICIENT_FUNDS'";
    assert_eq!(number(&world.options, unpaid).await, 0);
    world.assert_balanced().await;
}

/// A line to the database that breaks whenever a commit's answer is on its way and `cut` says so.
async fn line_that_loses_commits(to: &PgConnectOptions, cut: Arc<AtomicU32>) -> PgConnectOptions {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, server) = (listener.local_addr().unwrap().port(), (to.get_host().to_owned(), to.get_port()));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, cut) = (TcpStream::connect(server.clone()).await.unwrap(), Arc::clone(&cut));
            tokio::spawn(carry(client, server, cut));
        }
    });
    to.clone().port(port)
}

async fn carry(client: TcpStream, server: TcpStream, cut: Arc<AtomicU32>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let conversation = Conversation::default();
    let there = async {
        let (mut frames, mut buffer) = (Frames::new(Way::Forward, &conversation), [0; 65_536]);
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            frames.take(&buffer[..count]);
            if to_server.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let (mut frames, mut buffer) = (Frames::new(Way::Backward, &conversation), [0; 65_536]);
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            let committed = frames.take(&buffer[..count]).iter().any(|piece| piece.mark == Mark::Committed);
            let cuts = cut.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            match cuts {
                Ok(_) if committed => return,
                Ok(_) => drop(cut.fetch_add(1, Ordering::Relaxed)),
                Err(_) => {}
            }
            if to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_and_not_done_again() {
    let world = World::new().await;
    let cuts = Arc::new(AtomicU32::new(0));
    let store = unlocked(&line_that_loses_commits(&world.options, Arc::clone(&cuts)).await, 2).await;
    let book = book_on(&store, 1);
    let lose_one = |command: Command| {
        cuts.store(1, Ordering::Relaxed);
        write(&book, command)
    };
    let pay = world.pay_bank("bank", 10);
    // What is then to be sent is left to recovery, which asks before it sends.
    let Outcome::Payment(made) = lose_one(command(pay.clone())).await else { panic!("not left to recovery") };
    assert_eq!((made.id, made.state, cuts.load(Ordering::Relaxed)), (pay.id, State::Submitted, 0));
    world.assert_balanced().await;
    let ended = payment(lose_one(world.conclude(made.id, 1, accepted())).await);
    assert_eq!((ended.state, ended.sequence, cuts.load(Ordering::Relaxed)), (State::Succeeded, 2, 0));
    world.assert_balanced().await;
    let on_us = payment(lose_one(command(world.pay_on_us("on us", world.bob, 20))).await);
    assert_eq!((on_us.state, cuts.load(Ordering::Relaxed)), (State::Succeeded, 0));
    let refused = payment(lose_one(command(world.pay_on_us("refused", world.bob, 1_000_000))).await);
    assert_eq!((refused.state, cuts.load(Ordering::Relaxed)), (State::Failed, 0));
    let Outcome::Deposit(proposed, false) = lose_one(world.deposit("alice", "deposit", world.alice, 5)).await
    else {
        panic!("not proposed")
    };
    let Outcome::Deposit(booked, false) = lose_one(world.approve(&proposed, "bea")).await else {
        panic!("not booked")
    };
    assert_eq!((booked.state(), cuts.load(Ordering::Relaxed)), (DepositState::Booked, 0));
    assert_eq!(world.alice().await, (10_000 - 10 - 20 + 5, 0));
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 3);
    world.assert_balanced().await;
    // When it is lost again and again the caller hears that it is not known, and a repeat finds the payment.
    cuts.store(0, Ordering::Relaxed);
    let many = all((0..100).map(|number| {
        cuts.fetch_add(u32::from(number % 7 == 0), Ordering::Relaxed);
        ask_until_there_is_an_outcome(&world, &book, world.pay_bank(&format!("many {number}"), 1))
    }))
    .await;
    let ids: BTreeSet<_> = many.into_iter().map(|outcome| payment(outcome).id).collect();
    assert_eq!(ids.len(), 100);
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable_and_comes_back() {
    let world = World::new().await;
    let gone = world.options.clone().port(1);
    let book = book_on(&Store::new(gone, 1), 1);
    let answer = try_write(&book, command(world.pay_bank("gone", 1))).await;
    assert_eq!(answer, Err(NotWritten::Unavailable));
    let database = world.options.get_database().unwrap();
    let book = world.book(1);
    write(&book, command(world.pay_bank("before", 1))).await;
    let close = |open: bool| format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {open}");
    let server = crate::databases::server().await.options("postgres");
    crate::databases::sql(&server, &close(false)).await;
    let kill =
        format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}'");
    number(&server, &kill).await;
    assert_eq!(try_write(&book, command(world.pay_bank("during", 1))).await, Err(NotWritten::Unavailable));
    crate::databases::sql(&server, &close(true)).await;
    assert_eq!(payment(write(&book, command(world.pay_bank("during", 1))).await).state, State::Submitted);
    world.assert_balanced().await;
}
