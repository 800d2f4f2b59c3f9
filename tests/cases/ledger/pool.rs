//! A cancelled `begin()` must not swallow what others commit later through the same connection (sqlx 0.8.4 to 0.9.0).

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::id::AccountId;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::Connection;
use uuid::Uuid;

use crate::bench::{World, connect, try_open};

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
        // Finer than the runtime's timer.
        let moment = Instant::now() + Duration::from_micros(random.random_range(0..1_000));
        while Instant::now() < moment {
            tokio::task::yield_now().await;
        }
        beginning.abort();
        cancelled += u32::from(beginning.await.is_err());
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
