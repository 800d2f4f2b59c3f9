//! Cancelled calls: a cancelled `begin()` must not swallow what others commit later through the same connection (sqlx 0.8.4 to
//! 0.9.0), and none leaves a transaction open or a command half done.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::id::AccountId;
use platform::{
    domain::{
        ledger::Command,
        payment::{State, Work},
    },
    store::StoreError,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::Connection;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    bench::{World, command, payment, try_open, try_write, write},
    databases::{connect, number},
};

/// Cancels a task after at most a millisecond; returns whether it was not done by then.
async fn cancel<T>(task: JoinHandle<T>, random: &mut StdRng) -> bool {
    // Finer than the runtime's timer.
    let moment = Instant::now() + Duration::from_micros(random.random_range(0..1_000));
    while Instant::now() < moment {
        tokio::task::yield_now().await;
    }
    task.abort();
    task.await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_cancelled_begins() {
    let world = World::new().await;
    let over = Arc::new(AtomicBool::new(false));
    let opened = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (store, over, opened) = (world.store.clone(), Arc::clone(&over), Arc::clone(&opened));
            tokio::spawn(async move {
                let mut acknowledged: Vec<AccountId> = Vec::new();
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let account = try_open(&store, "carol", &format!("{writer}-{number}"), None).await.ok();
                    opened.fetch_add(account.iter().count(), Ordering::Relaxed);
                    acknowledged.extend(account);
                }
                acknowledged
            })
        })
        .collect();
    let mut random = StdRng::seed_from_u64(1);
    let mut cancelled = 0;
    while cancelled < 2_000 || opened.load(Ordering::Relaxed) < 100 {
        let pool = world.store.pool().clone();
        let beginning = tokio::spawn(async move { pool.begin().await.map(drop) });
        cancelled += u32::from(cancel(beginning, &mut random).await);
    }
    over.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeSet::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap().into_iter().map(AccountId::uuid));
    }
    world.store.pool().close().await;
    let mut connection = connect(&world.options).await;
    let there: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM accounts").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let lost = acknowledged.difference(&there.into_iter().collect()).count();
    assert_eq!(lost, 0, "of {} acknowledged accounts", acknowledged.len());
}

/// Reads and writes through the pool, in a transaction and without.
fn look(world: &World) -> JoinHandle<Result<(), StoreError>> {
    let (store, clock) = (world.store.clone(), world.clock.clone());
    tokio::spawn(async move {
        store.raise_overdue("aurora", Duration::from_secs(3_600), &clock, 10).await?;
        store.claim_due(Some("aurora"), Work::Expire, 1, Duration::ZERO).await?;
        store.banks_with_due_work().await.map(drop)
    })
}

/// Requires that soon no session of the platform is in a transaction: nothing but a writer may still be at work.
async fn nothing_is_open(world: &World) {
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'rialto-platform' AND state <> 'idle'";
    // Sooner than the server itself ends what stays open.
    let patience = Instant::now() + Duration::from_secs(2);
    while number(&world.options, open).await > 0 {
        assert!(Instant::now() < patience, "a transaction stays open");
    }
}

/// A command of each kind that callers have, under the same request id each time: (what to cancel, its repeat).
async fn commands(world: &World, nth: u32) -> Vec<(Command, Command)> {
    let book = world.book(1);
    let paid = payment(write(&book, command(world.pay_on_us(&format!("paid-{nth}"), world.bob, 4))).await);
    let authorized = world.authorize(&format!("authorized-{nth}"), nth.is_multiple_of(2)).await;
    let to_cancel = world.authorize(&format!("to-cancel-{nth}"), false).await;
    let twice = |make: &dyn Fn() -> Command| (make(), make());
    vec![
        twice(&|| command(world.pay_bank(&format!("pay-{nth}"), 1))),
        twice(&|| world.capture(&format!("capture-{nth}"), authorized.id, Some(100))),
        twice(&|| world.refund("bob", &format!("refund-{nth}"), paid.id, Some(3))),
        twice(&|| world.cancel(&to_cancel)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_cancelled_at_random_microseconds_leave_no_open_transaction() {
    const ROUNDS: u32 = 20;
    let world = World::new().await;
    let book = world.book(2);
    let mut random = StdRng::seed_from_u64(2);
    let mut cancelled = 0;
    for nth in 0..ROUNDS {
        for (first, again) in commands(&world, nth).await {
            let book_of_task = book.clone();
            let writing = tokio::spawn(async move { try_write(&book_of_task, first).await.map(drop) });
            cancelled += u32::from(cancel(writing, &mut random).await);
            for _ in 0..4 {
                cancelled += u32::from(cancel(look(&world), &mut random).await);
            }
            nothing_is_open(&world).await;
            // Whether the first was written or not, the repeat finds or makes it.
            assert_ne!(payment(write(&book, again).await).state, State::Failed);
        }
    }
    assert!(cancelled > 4 * ROUNDS, "only {cancelled} were cancelled");
    let made =
        "SELECT count(*) FROM payments WHERE request_id LIKE ANY(ARRAY['pay-%', 'capture-%', 'refund-%'])";
    assert_eq!(number(&world.options, made).await, i64::from(ROUNDS) * 3);
    assert_eq!(
        number(&world.options, "SELECT count(*) FROM payments WHERE state = 'CANCELLED'").await,
        i64::from(ROUNDS)
    );
    let pool = world.store.pool();
    assert_eq!(u32::try_from(pool.num_idle()).unwrap(), pool.size(), "the pool is idle");
    world.assert_balanced().await;
}
