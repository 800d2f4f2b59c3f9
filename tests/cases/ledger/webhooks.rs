//! The queue of webhooks: what enters it, whose turn it is, and what comes of it, whoever delivers.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use common::id::{ActId, PaymentId, WebhookEndpointId};
use platform::{
    domain::{
        payment::State,
        webhook::{Attempt, Outcome},
    },
    encryption::contents::OfWebhook,
    flow::{book::Book, publish, webhooks},
    store::{
        acts::By,
        webhooks::{Change, Endpoint, NewEndpoint, Written, queue::ReplayBegun, turns::ToDeliver},
    },
    webhook,
};
use sqlx::Connection;

use crate::{
    bench::{WAITING, World, accepted, all, command, inconclusive, payment, rejected, submission, write},
    constraints::sqlstate,
    databases::{connect, number, sql, wait_until},
};

const LEASE: Duration = Duration::from_secs(60);

pub fn by<'a>(world: &World, participant: &'a str) -> By<'a> {
    By { act: ActId::new(&world.clock), participant, credential: "ada", at: world.clock.now() }
}

pub async fn endpoint(world: &World, participant: &str, url: &str, states: &[State]) -> Endpoint {
    let contents = OfWebhook { url: url.to_owned(), keys: webhook::new_keys(), previous_keys: None };
    let new = NewEndpoint {
        id: WebhookEndpointId::new(&world.clock),
        request_id: url.to_owned(),
        fingerprint: [7; 16],
        contents,
        states: states.to_vec(),
    };
    match world.store.make_webhook_endpoint(&new, &by(world, participant)).await.unwrap() {
        Written::Now(endpoint) => endpoint,
        other => panic!("{other:?}"),
    }
}

/// Has everything that happened queued.
pub async fn queue(world: &World) {
    publish::place(&world.store).await.unwrap();
    webhooks::round(&world.store).await.unwrap();
}

pub async fn claim(world: &World, limit: i64) -> Vec<ToDeliver> {
    world.store.claim_webhooks(limit, LEASE).await.unwrap()
}

fn steps(taken: &[ToDeliver]) -> Vec<(PaymentId, i32)> {
    taken.iter().map(|one| (PaymentId::from_uuid(one.payment), one.sequence)).collect()
}

pub fn delivered() -> Attempt {
    Attempt { status: Some(200), outcome: Outcome::Delivered, retry_after: Duration::ZERO }
}

pub fn failed(status: u16) -> Attempt {
    Attempt { status: Some(status), outcome: Outcome::Status, retry_after: Duration::ZERO }
}

pub async fn report(world: &World, one: &ToDeliver, attempt: &Attempt) -> bool {
    world.store.report_webhook(&one.turn, attempt, 0).await.unwrap()
}

/// Lets all time pass that anything waits for.
pub async fn later(world: &World) {
    let passed = "UPDATE webhook_deliveries SET due_at = now() - interval '1 second', leased_until = CASE WHEN leased_until IS NULL \
           THEN NULL ELSE now() - interval '1 second' END WHERE state = 'DUE';
         UPDATE webhook_endpoints SET resumes_at = now() - interval '1 second' WHERE deleted_at IS NULL";
    sql(&world.options, passed).await;
}

#[tokio::test]
async fn who_had_what_become_of_an_endpoint_is_on_record() {
    let world = World::new().await;
    let made = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    for _ in 0..2 {
        let keys = webhook::new_keys().unwrap();
        let rotated =
            world.store.rotate_webhook_keys(made.id, "once", keys, None, &by(&world, "alice")).await;
        assert!(matches!(rotated.unwrap(), Written::Now(_) | Written::Before(_)));
    }
    let off = Change { url: None, states: Some(vec![State::Failed]), disabled: Some(true) };
    let nobody = world.store.change_webhook_endpoint(made.id, &off, &by(&world, "bob")).await.unwrap();
    assert!(matches!(nobody, Written::NotFound));
    world.store.change_webhook_endpoint(made.id, &off, &by(&world, "alice")).await.unwrap();
    for begun in [ReplayBegun::Yes, ReplayBegun::Another] {
        assert_eq!(world.store.begin_replay(made.id, 0, 1, &by(&world, "alice")).await.unwrap(), begun);
    }
    for was_there in [true, false] {
        let deleted = world.store.delete_webhook_endpoint(made.id, &by(&world, "alice")).await.unwrap();
        assert_eq!(deleted, was_there);
    }
    let mut connection = connect(&world.options).await;
    let acts =
        "SELECT act, states::text, is_disabled, by_participant, by_credential FROM webhook_acts ORDER BY id";
    let acts: Vec<(String, String, bool, String, String)> =
        sqlx::query_as(acts).fetch_all(&mut connection).await.unwrap();
    let acts: Vec<_> =
        acts.iter().map(|(act, states, off, who, by)| (&**act, &**states, *off, &**who, &**by)).collect();
    assert_eq!(
        acts,
        [
            ("CREATE", "{}", false, "alice", "ada"),
            ("ROTATE", "{}", false, "alice", "ada"),
            ("UPDATE", "{FAILED}", true, "alice", "ada"),
            ("REPLAY", "{FAILED}", true, "alice", "ada"),
            ("DELETE", "{FAILED}", true, "alice", "ada"),
        ]
    );
}

/// A payment to a bank, of two steps.
async fn pay(world: &World, book: &Book, name: &str) -> PaymentId {
    let made = submission(write(book, command(world.pay_bank(name, 1))).await);
    write(book, world.conclude_known(&made, accepted())).await;
    made.payment.id
}

#[tokio::test]
async fn both_sides_are_told_of_what_concerns_them_and_of_nothing_before() {
    let world = World::new().await;
    let book = world.book(1);
    write(&book, command(world.pay_on_us("before", world.bob, 1))).await;
    publish::place(&world.store).await.unwrap();
    let alice = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    let ends = endpoint(&world, "alice", "https://alice.example/ends", &[State::Succeeded]).await;
    let bob = endpoint(&world, "bob", "https://bob.example/", &[]).await;
    let carol = endpoint(&world, "carol", "https://carol.example/", &[]).await;
    let arrived = payment(write(&book, command(world.pay_on_us("arrives", world.bob, 1))).await).id;
    let poor = payment(write(&book, command(world.pay_on_us("too much", world.bob, 1_000_000))).await).id;
    let paid = pay(&world, &book, "to the bank").await;
    queue(&world).await;
    let told = async |endpoint: &Endpoint| -> Vec<_> {
        let deliveries = world.store.webhook_deliveries(endpoint.id, i64::MAX, 100).await.unwrap();
        deliveries.into_iter().rev().map(|delivery| (delivery.payment, delivery.sequence)).collect()
    };
    assert_eq!(told(&alice).await, [(arrived, 1), (poor, 1), (paid, 1), (paid, 2)]);
    assert_eq!(told(&ends).await, [(arrived, 1), (paid, 2)]);
    assert_eq!(told(&bob).await, [(arrived, 1)]);
    assert_eq!(told(&carol).await, []);
    // However often it is looked for, each is queued once.
    webhooks::round(&world.store).await.unwrap();
    let queued = number(&world.options, "SELECT count(*) FROM webhook_deliveries").await;
    assert_eq!(queued, 7);
    world.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_queued_once_while_many_queue_and_endpoints_come() {
    let world = World::new().await;
    let book = world.book(2);
    let first = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    let queuing = all((0..3).map(async |_| {
        for _ in 0..60 {
            queue(&world).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }));
    let paying = all((0..40).map(async |number| pay(&world, &book, &format!("payment {number}")).await));
    let coming = async {
        let mut came = Vec::new();
        for number in 0..10 {
            // What is placed when it is made it does not hear of, and all that is placed later it does.
            let url = format!("https://alice.example/{number}");
            came.push(endpoint(&world, "alice", &url, &[]).await.id);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        came
    };
    let (_, _, came) = tokio::join!(queuing, paying, coming);
    queue(&world).await;
    for id in came.into_iter().chain([first.id]) {
        let missing = format!(
            "SELECT count(*) FROM (SELECT generate_series(hears_behind + 1, (SELECT next_position - 1 FROM events_placed)) AS position
               FROM webhook_endpoints WHERE id = '{0}') AS heard
             FULL JOIN (SELECT position FROM webhook_deliveries WHERE endpoint_id = '{0}') AS queued USING (position)
             WHERE heard IS NULL OR queued IS NULL",
            id.uuid()
        );
        assert_eq!(number(&world.options, &missing).await, 0);
    }
    world.assert_balanced().await;
}

/// Who queues does not see an endpoint that is being made, and must not go past what it is to hear.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_comes_late_misses_nothing() {
    let world = Arc::new(World::new().await);
    let book = world.book(1);
    let mut holder = connect(&world.options).await;
    let mut held = holder.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7)").execute(&mut *held).await.unwrap();
    let wait = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';
        CREATE TRIGGER waits AFTER INSERT ON webhook_endpoints FOR EACH ROW EXECUTE FUNCTION wait()";
    sql(&world.options, wait).await;
    let coming = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { endpoint(&world, "alice", "https://alice.example/", &[]).await })
    };
    wait_until(&world.options, WAITING, |waiting| waiting == 1).await;
    let made = payment(write(&book, command(world.pay_on_us("meanwhile", world.bob, 1))).await).id;
    queue(&world).await;
    held.rollback().await.unwrap();
    let alice = coming.await.unwrap();
    queue(&world).await;
    let told = world.store.webhook_deliveries(alice.id, i64::MAX, 10).await.unwrap();
    assert_eq!(told.iter().map(|one| (one.payment, one.sequence)).collect::<Vec<_>>(), [(made, 1)]);
}

#[tokio::test]
async fn a_step_is_delivered_only_behind_the_one_before() {
    let world = World::new().await;
    let book = world.book(1);
    endpoint(&world, "alice", "https://alice.example/", &[]).await;
    let made = submission(write(&book, command(world.pay_bank("slowly", 1))).await);
    write(&book, world.conclude_known(&made, inconclusive(Duration::ZERO))).await;
    let other = pay(&world, &book, "meanwhile").await;
    queue(&world).await;
    let slow = made.payment.id;
    let taken = claim(&world, 100).await;
    assert_eq!(steps(&taken), [(slow, 1), (other, 1)], "two payments do not wait for each other");
    // A later step comes while the first is on its way.
    for made in world.claim_due(1, LEASE).await.unwrap() {
        write(&book, world.conclude_known(&made, accepted())).await;
    }
    queue(&world).await;
    assert_eq!(steps(&claim(&world, 100).await), []);
    assert!(report(&world, &taken[0], &failed(500)).await);
    later(&world).await;
    let again = claim(&world, 100).await;
    assert_eq!(steps(&again), [(slow, 1)], "one at a time while it fails");
    assert!(report(&world, &again[0], &delivered()).await);
    let next = claim(&world, 100).await;
    let found: BTreeSet<_> = steps(&next).into_iter().collect();
    assert_eq!(found, BTreeSet::from([(slow, 2), (other, 1)]));
    for one in &next {
        assert!(report(&world, one, &delivered()).await);
    }
    // The database holds it as well.
    let mut owner = connect(&world.options).await;
    let both = "UPDATE webhook_deliveries SET state = 'DUE', leased_until = NULL";
    assert_eq!(sqlstate(&mut owner, both).await.as_deref(), Some("23505"));
    let last: BTreeSet<_> = steps(&claim(&world, 100).await).into_iter().collect();
    assert_eq!(last, BTreeSet::from([(slow, 3), (other, 2)]));
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_receiver_that_is_dead_for_three_days_loses_nothing() {
    let world = World::new().await;
    let book = world.book(1);
    let alice = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    let made = pay(&world, &book, "dead").await;
    queue(&world).await;
    let mut waited = 0;
    for attempt in 1..=10 {
        let one = claim(&world, 10).await;
        assert_eq!(steps(&one), [(made, 1)], "attempt {attempt}");
        report(&world, &one[0], &failed(503)).await;
        let wait = "SELECT coalesce(max(extract(epoch FROM due_at - attempted_at)), 0)::bigint FROM webhook_deliveries \
             WHERE state = 'DUE' AND sequence = 1";
        waited += number(&world.options, wait).await;
        later(&world).await;
    }
    assert!(waited > 3 * 86_400, "{waited} s");
    let deliveries = world.store.webhook_deliveries(alice.id, i64::MAX, 10).await.unwrap();
    let states: Vec<_> = deliveries.iter().rev().map(|delivery| delivery.state.name()).collect();
    assert_eq!(states, ["GIVEN_UP", "DUE"], "what is given up lets the next step go");
    // Nor is what was given up lost: it comes when the step that is on its way has ended.
    let last = world.store.last_position().await.unwrap();
    world.store.begin_replay(alice.id, 0, last, &by(&world, "alice")).await.unwrap();
    queue(&world).await;
    later(&world).await;
    let mut told = Vec::new();
    while let Some(one) = claim(&world, 1).await.pop() {
        report(&world, &one, &delivered()).await;
        told.extend(steps(&[one]));
    }
    assert_eq!(told, [(made, 2), (made, 1)]);
}

#[tokio::test]
async fn what_is_still_to_be_told_is_not_forgotten() {
    let world = World::new().await;
    let book = world.book(1);
    let alice = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    let made = pay(&world, &book, "old").await;
    let rejected_one = submission(write(&book, command(world.pay_bank("rejected", 1))).await);
    write(&book, world.conclude_known(&rejected_one, rejected())).await;
    publish::place(&world.store).await.unwrap();
    let age = "ALTER TABLE event_log DISABLE TRIGGER event_log_placed_once;
        UPDATE event_log SET placed_at = placed_at - interval '2 days';
        ALTER TABLE event_log ENABLE TRIGGER event_log_placed_once";
    sql(&world.options, age).await;
    let day = Duration::from_secs(86_400);
    assert_eq!(world.store.forget_events(day, 100).await.unwrap(), 0, "nobody has queued them");
    let mut owner = connect(&world.options).await;
    assert_eq!(sqlstate(&mut owner, "DELETE FROM event_log").await.as_deref(), Some("23000"));
    webhooks::round(&world.store).await.unwrap();
    assert!(world.store.forget_events(day, 100).await.unwrap() > 0);
    // What is posted is read from the payment, be it in the archive.
    tokio::time::sleep(Duration::from_millis(5)).await;
    world.archive().await;
    sql(&world.options, "UPDATE webhook_deliveries SET queued_at = now() - interval '2 days'").await;
    assert_eq!(world.store.forget_webhooks(day, 100).await.unwrap(), 0, "nothing of it is delivered");
    assert_eq!(sqlstate(&mut owner, "DELETE FROM webhook_deliveries").await.as_deref(), Some("23000"));
    let taken = claim(&world, 1).await;
    assert_eq!(steps(&taken), [(made, 1)]);
    let stretch = taken.iter().map(|one| (one.turn.position, one.payment, one.sequence)).collect();
    let events = world.store.events(&stretch, None).await.unwrap();
    assert_eq!((events[0].payment.id, events[0].payment.state), (made, State::Submitted));
    report(&world, &taken[0], &delivered()).await;
    assert_eq!(world.store.forget_webhooks(day, 100).await.unwrap(), 1);
    assert!(world.store.delete_webhook_endpoint(alice.id, &by(&world, "alice")).await.unwrap());
    assert!(claim(&world, 100).await.is_empty());
    assert!(world.store.forget_webhooks(day, 100).await.unwrap() > 0);
    assert_eq!(number(&world.options, "SELECT count(*) FROM webhook_deliveries").await, 0);
    owner.close().await.unwrap();
}

#[tokio::test]
async fn replays_begin_where_the_time_says() {
    let world = World::new().await;
    let book = world.book(1);
    for name in ["one", "two", "three"] {
        pay(&world, &book, name).await;
    }
    publish::place(&world.store).await.unwrap();
    let space = "ALTER TABLE event_log DISABLE TRIGGER event_log_placed_once;
        UPDATE event_log SET placed_at = '2026-01-01'::timestamptz + position * interval '1 minute';
        ALTER TABLE event_log ENABLE TRIGGER event_log_placed_once";
    sql(&world.options, space).await;
    let midnight = std::time::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let at = async |minutes: u64, seconds: u64| {
        let time = midnight + Duration::from_secs(minutes * 60 + seconds);
        world.store.position_at(time).await.unwrap()
    };
    assert_eq!(at(0, 0).await, Some(0));
    assert_eq!(at(1, 0).await, Some(0));
    assert_eq!(at(1, 1).await, Some(1));
    assert_eq!(at(3, 30).await, Some(3));
    assert_eq!(at(6, 0).await, Some(5));
    assert_eq!(at(7, 0).await, Some(6));
    assert_eq!(at(70_000, 0).await, Some(6));
    webhooks::round(&world.store).await.unwrap();
    assert_eq!(world.store.forget_events(Duration::from_secs(86_400), 2).await.unwrap(), 2);
    assert_eq!(at(1, 0).await, None, "not kept");
    assert_eq!(at(4, 1).await, Some(4));
}

/// A participant that has a month told again must not keep others from hearing of what happens now.
#[tokio::test]
async fn a_long_replay_holds_up_nothing_new() {
    let world = World::new().await;
    let book = world.book(1);
    let bob = endpoint(&world, "bob", "https://bob.example/", &[]).await;
    let alice = endpoint(&world, "alice", "https://alice.example/", &[]).await;
    let pay = |number: usize| write(&book, command(world.pay_on_us(&format!("old {number}"), world.bob, 1)));
    all((0..1_300).map(pay)).await;
    queue(&world).await;
    let last = world.store.last_position().await.unwrap();
    world.store.begin_replay(alice.id, 0, last, &by(&world, "alice")).await.unwrap();
    webhooks::step(&world.store).await.unwrap();
    let new = payment(write(&book, command(world.pay_on_us("new", world.bob, 1))).await).id;
    publish::place(&world.store).await.unwrap();
    webhooks::step(&world.store).await.unwrap();
    let newest = world.store.webhook_deliveries(bob.id, i64::MAX, 1).await.unwrap();
    assert_eq!(newest[0].payment, new);
    assert!(!world.store.replays().await.unwrap().is_empty(), "the replay goes on meanwhile");
    webhooks::round(&world.store).await.unwrap();
    assert!(world.store.replays().await.unwrap().is_empty());
}
