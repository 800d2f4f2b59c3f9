//! Payments leave for the archive while others work: nothing is waited for, lost or made twice, and who dies has moved nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::id::PaymentId;
use platform::{
    domain::{ledger::Outcome, payment::State},
    store::payments::PaymentFilter,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::{Connection, PgConnection};

use crate::{
    bench::{WAITING, World, accepted, all, command, payment, write},
    databases::{connect, number, wait_until},
};

const MOVE_ALL: &str = "SELECT move_to_archive(now() + interval '1 second', first_id('epoch'), 1000)";

async fn move_all(connection: &mut PgConnection) {
    sqlx::raw_sql(MOVE_ALL).execute(connection).await.unwrap();
}

/// The second platform has looked before the first one's payment came to be, and writes when it has been archived.
#[tokio::test]
async fn a_request_whose_payment_leaves_meanwhile_makes_no_second_one() {
    let world = World::new().await;
    let book = world.book(1);
    let paid = world.paid(&book, "paid").await;
    let again = "INSERT INTO payments SELECT (r).* FROM (
            SELECT jsonb_populate_record(NULL::payments, to_jsonb(p) || jsonb_build_object('id', gen_random_uuid())) AS r
            FROM all_payments p) AS made";
    let mut mover = connect(&world.options).await;
    let mut moving = mover.begin().await.unwrap();
    move_all(&mut moving).await;
    let mut writer = connect(&world.options).await;
    sqlx::raw_sql("SET application_name = 'rialto-platform'").execute(&mut writer).await.unwrap();
    let writing = sqlx::raw_sql(again).execute(&mut writer);
    let releasing = async {
        wait_until(&world.options, WAITING, |waiting| waiting == 1).await;
        moving.commit().await.unwrap();
    };
    let (written, ()) = tokio::join!(writing, releasing);
    let code = |error: sqlx::Error| error.as_database_error().unwrap().code().unwrap().into_owned();
    assert_eq!(written.map(drop).map_err(code), Err("40001".to_owned()));
    // And whoever comes later.
    let written = sqlx::raw_sql(again).execute(&mut writer).await;
    assert_eq!(written.map(drop).map_err(code), Err("40001".to_owned()));
    let replayed = write(&book, command(world.pay_bank("paid", 100))).await;
    assert_eq!(replayed, Outcome::Replayed(Box::new(paid)));
}

#[tokio::test]
async fn a_mover_that_dies_has_moved_nothing_and_one_moves_at_a_time() {
    let world = World::new().await;
    let book = world.book(1);
    let paid = world.paid(&book, "paid").await;
    world.paid(&book, "worked on").await;
    let mut mover = connect(&world.options).await;
    let mut moving = mover.begin().await.unwrap();
    move_all(&mut moving).await;
    let closed_before = world.clock.now() + Duration::from_secs(1);
    assert_eq!(world.store.move_to_archive(closed_before, None, 10).await.unwrap(), None, "one is at it");
    assert_eq!(world.store.payment("alice", paid.id).await.unwrap(), Some(paid.clone()));
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%move_to_archive%' \
               AND state = 'idle in transaction' AND datname = current_database()";
    assert_eq!(number(&world.options, end).await, 1);
    wait_until(&world.options, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", |held| held == 0)
        .await;
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 2);
    assert_eq!(number(&world.options, "SELECT count(*) FROM archived_requests").await, 0);

    // Who works on a payment is not waited for.
    let mut worker = connect(&world.options).await;
    let mut working = worker.begin().await.unwrap();
    let lock = "SELECT id FROM payments WHERE request_id = 'worked on' FOR NO KEY UPDATE";
    sqlx::raw_sql(lock).execute(&mut *working).await.unwrap();
    let moving = tokio::time::timeout(Duration::from_secs(2), world.archive());
    assert_eq!(moving.await.expect("does not wait"), 1);
    working.rollback().await.unwrap();
    assert_eq!(world.archive().await, 1);
    world.assert_balanced().await;
}

/// Repeats and refunds at once, by two platforms, while everything that is over leaves at once: each request is one payment, each
/// list has each once, and the books balance in every snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_everything_moves_each_request_is_one_payment_and_each_list_is_whole() {
    let world = World::new().await;
    const ENOUGH: u64 = 400;
    let books = [world.book(2), world.book(2)];
    let until = Instant::now() + Duration::from_secs(60);
    let over = AtomicBool::new(false);
    let made: Mutex<BTreeMap<String, BTreeSet<PaymentId>>> = Mutex::default();
    let moves = AtomicU64::new(0);
    let client = async |seed: u64| {
        let mut random = StdRng::seed_from_u64(seed);
        while moves.load(Ordering::Relaxed) < ENOUGH && Instant::now() < until {
            let book = &books[random.random_range(0..2)];
            let number = random.random_range(0..300);
            let request = format!("pay {number:03}");
            let pay = match number % 3 {
                0 => world.pay_bank(&request, 3),
                _ => world.pay_on_us(&request, world.bob, 3),
            };
            let outcome = write(book, command(pay)).await;
            if let Outcome::Submitted(made) = &outcome {
                write(book, world.conclude_known(made, accepted())).await;
            }
            let paid = payment(outcome);
            made.lock().unwrap().entry(request).or_default().insert(paid.id);
            if number % 3 == 1 && paid.state == State::Succeeded {
                let request = format!("refund {number:03}");
                let back = write(book, world.refund("bob", &request, paid.id, Some(3))).await;
                made.lock().unwrap().entry(request).or_default().insert(payment(back).id);
            }
        }
    };
    let clients = async {
        all((0..12).map(client)).await;
        over.store(true, Ordering::Relaxed);
    };
    let mover = async {
        while !over.load(Ordering::Relaxed) {
            moves.fetch_add(world.archive().await, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reader = async {
        while !over.load(Ordering::Relaxed) {
            let before: Vec<PaymentId> = made.lock().unwrap().values().flatten().copied().collect();
            let mut listed = Vec::new();
            for participant in ["alice", "bob"] {
                let mut behind = None;
                loop {
                    let page = world.store.payments(participant, &PaymentFilter::default(), behind, 7).await;
                    let page: Vec<PaymentId> = page.unwrap().iter().map(|payment| payment.id).collect();
                    behind = page.last().map(|last| last.uuid());
                    listed.extend(&page);
                    if page.is_empty() {
                        break;
                    }
                }
            }
            let distinct: BTreeSet<&PaymentId> = listed.iter().collect();
            assert_eq!(distinct.len(), listed.len(), "one is listed twice");
            let missing: Vec<_> = before.iter().filter(|id| !distinct.contains(id)).collect();
            assert!(missing.is_empty(), "not listed: {missing:?}");
            world.assert_balanced().await;
        }
    };
    tokio::join!(clients, mover, reader);
    let made = made.into_inner().unwrap();
    let twice: Vec<_> = made.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let moves = moves.into_inner();
    println!("{} requests, {moves} payments moved", made.len());
    assert!(moves >= ENOUGH, "only {moves} moved");
    let kept = "SELECT count(*) - count(DISTINCT request_key) FROM all_payments";
    assert_eq!(number(&world.options, kept).await, 0);
    let database = world.options.get_database().unwrap();
    let deadlocks = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'");
    assert_eq!(number(&world.options, &deadlocks).await, 0, "deadlocks");
    world.assert_balanced().await;
}
