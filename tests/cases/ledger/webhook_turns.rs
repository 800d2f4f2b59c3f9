//! Turns: whose it is to deliver something, fairly, once at a time, and who rests.

use std::{collections::BTreeSet, time::Duration};

use platform::{
    domain::webhook::Attempt,
    store::webhooks::{Change, queue::ReplayBegun, turns::MAX_UNDER_WAY},
};

use crate::{
    bench::{World, all, command, payment, write},
    databases::{number, sql},
    webhooks::{by, claim, delivered, endpoint, failed, later, queue, report},
};

#[tokio::test]
async fn who_slept_through_its_turn_has_no_say() {
    let world = World::new().await;
    let book = world.book(1);
    let alice = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    write(&book, command(world.pay_on_us("one", world.bob, 1))).await;
    queue(&world).await;
    let slept = claim(&world, 10).await.remove(0);
    assert!(claim(&world, 10).await.is_empty(), "it is somebody's turn");
    later(&world).await;
    let turn = claim(&world, 10).await.remove(0);
    assert_eq!((turn.turn.position, turn.turn.token), (slept.turn.position, slept.turn.token + 1));
    assert!(!report(&world, &slept, &delivered()).await);
    let state = async || world.store.webhook_deliveries(alice.id, i64::MAX, 1).await.unwrap().remove(0);
    assert_eq!((state().await.state.name(), state().await.attempts), ("DUE", 0));
    assert!(report(&world, &turn, &delivered()).await);
    assert!(!report(&world, &turn, &failed(500)).await, "it is said once");
    assert_eq!((state().await.state.name(), state().await.attempts), ("DELIVERED", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_two_gateways_turn_at_once() {
    let world = World::new().await;
    let book = world.book(2);
    for number in 0..4 {
        endpoint(&world, "alice", &format!("https://alice.example/{number}"), &[]).await;
    }
    all((0..20).map(|number| write(&book, command(world.pay_on_us(&format!("{number}"), world.bob, 1)))))
        .await;
    queue(&world).await;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let taken: Vec<_> = all((0..4).map(|_| claim(&world, 7))).await.into_iter().flatten().collect();
        for one in &taken {
            assert!(seen.insert((one.turn.endpoint, one.turn.position)), "{one:?} twice");
            assert!(report(&world, one, &delivered()).await);
        }
    }
    assert_eq!(seen.len(), 4 * 20);
}

#[tokio::test]
async fn a_million_for_one_delay_nobody_else_and_one_has_only_a_few_under_way() {
    let world = World::new().await;
    let book = world.book(1);
    let alice = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    let flood = format!(
        "INSERT INTO webhook_deliveries (endpoint_id, position, payment_id, sequence, state, due_at)
         SELECT '{}', -n, lpad(to_hex(n), 32, '0')::uuid, 1, 'DUE', now() - interval '1 hour' FROM generate_series(1, 500000) n;
         INSERT INTO webhook_deliveries (endpoint_id, position, payment_id, sequence, state, due_at)
         SELECT endpoint_id, position - 500000, payment_id, 2, 'WAITING', now() - interval '2 hours' FROM webhook_deliveries;
         ANALYZE webhook_deliveries",
        alice.id.uuid()
    );
    sql(&world.options, &flood).await;
    endpoint(&world, "bob", "https://bob.example/", &[]).await;
    let arrived = payment(write(&book, command(world.pay_on_us("arrives", world.bob, 1))).await).id;
    queue(&world).await;
    // Behind all of Alice's, and yet among the first.
    let began = std::time::Instant::now();
    let taken = claim(&world, 64).await;
    let (bobs, alices): (Vec<_>, Vec<_>) = taken.iter().partition(|one| one.participant == "bob");
    assert_eq!(bobs.iter().map(|one| one.payment).collect::<Vec<_>>(), [arrived.uuid()]);
    assert_eq!(i64::try_from(alices.len()), Ok(MAX_UNDER_WAY));
    assert!(claim(&world, 64).await.is_empty(), "no more under way");
    for one in &taken {
        report(&world, one, &delivered()).await;
    }
    let mut claims = Vec::new();
    for _ in 0..20 {
        let began = std::time::Instant::now();
        let taken = claim(&world, 64).await;
        claims.push(began.elapsed());
        assert_eq!(i64::try_from(taken.len()), Ok(MAX_UNDER_WAY));
        for one in taken {
            report(&world, &one, &delivered()).await;
        }
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "the queue's length costs: {took:?}");
    claims.sort();
    // To read a fifth of the queue takes 50 ms, and not to read it 3.
    assert!(claims[10] < Duration::from_millis(30), "a claim reads the queue: {claims:?}");
    println!("a claim with a million in the queue: {:?}; with its 8 reports: {:?}", claims[10], took / 21);
}

#[tokio::test]
async fn who_fails_rests_and_who_is_gone_is_told_no_more() {
    let world = World::new().await;
    let book = world.book(1);
    let alice = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    all((0..12).map(|number| write(&book, command(world.pay_on_us(&format!("{number}"), world.bob, 1)))))
        .await;
    queue(&world).await;
    let found = async || world.store.webhook_endpoint("alice", alice.id).await.unwrap().unwrap();
    let rests = "SELECT extract(epoch FROM resumes_at - now())::bigint FROM webhook_endpoints";
    let taken = claim(&world, 100).await;
    for one in &taken {
        report(&world, one, &failed(500)).await;
    }
    assert_eq!(found().await.failures, 1, "they failed together");
    assert!((1..=5).contains(&number(&world.options, rests).await));
    assert!(claim(&world, 100).await.is_empty(), "it rests");
    later(&world).await;
    let probe = claim(&world, 100).await;
    assert_eq!(probe.len(), 1);
    let patience = Attempt { retry_after: Duration::from_secs(1_000), ..failed(429) };
    report(&world, &probe[0], &patience).await;
    assert!((900..=1_000).contains(&number(&world.options, rests).await));
    later(&world).await;
    report(&world, &claim(&world, 100).await[0], &delivered()).await;
    assert_eq!(found().await.failures, 0);
    let many = claim(&world, 100).await;
    assert_eq!(i64::try_from(many.len()), Ok(MAX_UNDER_WAY));

    // The receiver is gone: nothing is posted any more, and nothing of what waits is lost.
    report(&world, &many[0], &failed(410)).await;
    assert_eq!(found().await.disabled_because.as_deref(), Some("GONE"));
    later(&world).await;
    assert!(claim(&world, 100).await.is_empty());
    let open = "SELECT count(*) FROM webhook_deliveries WHERE state = 'DUE'";
    assert_eq!(number(&world.options, open).await, 11);
    let unheard = payment(write(&book, command(world.pay_on_us("unheard", world.bob, 1))).await).id;
    queue(&world).await;
    assert_eq!(number(&world.options, open).await, 11);
    let enable = Change { disabled: Some(false), ..Change::default() };
    world.store.change_webhook_endpoint(alice.id, &enable, &by(&world, "alice")).await.unwrap();
    while let Some(one) = claim(&world, 1).await.pop() {
        report(&world, &one, &delivered()).await;
    }
    assert_eq!(number(&world.options, open).await, 0);
    // What it was not told meanwhile, and all else, comes with a replay.
    let last = world.store.last_position().await.unwrap();
    assert_eq!(
        world.store.begin_replay(alice.id, 0, last, &by(&world, "alice")).await.unwrap(),
        ReplayBegun::Yes
    );
    assert_eq!(
        world.store.begin_replay(alice.id, 0, last, &by(&world, "alice")).await.unwrap(),
        ReplayBegun::Another
    );
    queue(&world).await;
    assert!(!found().await.is_replaying);
    assert_eq!(number(&world.options, open).await, 13);
    let waits = format!("{open} AND payment_id = '{}'", unheard.uuid());
    assert_eq!(number(&world.options, &waits).await, 1);
    // Whose participant is disabled hears of nothing until it is not.
    world.store.disable_participant("alice", &by(&world, "house")).await.unwrap();
    assert!(claim(&world, 100).await.is_empty());
    world.store.enable_participant("alice", &by(&world, "house")).await.unwrap();
    assert!(!claim(&world, 100).await.is_empty());
}
