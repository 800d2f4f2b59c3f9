//! Authorizations on a real ledger: captured, cancelled and expired, also all at once.

use std::time::Duration;

use common::id::PaymentId;
use platform::{
    domain::{
        ledger::{Command, Declined, Expire, Outcome, Witness, decide},
        payment::{State, Work},
    },
    store::{
        known::KnownAccounts,
        load::{self, Guards, View},
        save::{self, Traces},
    },
};

use crate::{
    bench::{World, all, command, eur, payment, rejected, submission, write},
    databases::number,
    life::{done, payment_row},
};

/// Two writers decide on the same state of a payment, without locks: the statement of the second must notice.
#[tokio::test]
async fn what_was_decided_on_a_step_that_is_over_is_not_written() {
    let world = World::new().await;
    let authorized = world.authorize("authorized", true).await;
    let capture = |name: &str| world.capture(name, authorized.id, Some(30));
    let (first, second) = ([capture("a")], [capture("b"), capture("c")]);
    let mut connection = world.store.connect().await.unwrap();
    let mut decided = Vec::new();
    for commands in [first.as_slice(), second.as_slice()] {
        let mut known = KnownAccounts::default();
        let keys = world.store.keys();
        let loaded = load::snapshot(keys, &mut connection, commands, View::Read, &mut known).await.unwrap();
        decided.push(decide(loaded.snapshot, commands, world.clock.now()).1);
    }
    let (guards, keys, traces) = (Guards::default(), world.store.keys().current(), Traces::new());
    save::at_once(&mut connection, &decided[0], &guards, &keys, &traces).await.unwrap();
    let late = save::at_once(&mut connection, &decided[1], &guards, &keys, &traces).await.unwrap_err();
    assert!(late.is_lost_race() && late.to_string().contains("changed_payments"), "{late}");
    assert_eq!(
        number(&world.options, "SELECT captured FROM payments WHERE kind = 'AUTHORIZATION'").await,
        30
    );
    world.assert_balanced().await;
}

#[tokio::test]
async fn captures_never_exceed_what_was_authorized() {
    let world = World::new().await;
    for on_us in [false, true] {
        let authorized = world.authorize(&format!("authorized-{on_us}"), on_us).await;
        let books = [world.book(1), world.book(1)];
        let captures = (0..64).map(|nth| {
            let capture = world.capture(&format!("c-{on_us}-{nth}"), authorized.id, Some(30));
            write(&books[nth % 2], capture)
        });
        let outcomes = all(captures).await;
        assert_eq!(done(&outcomes), 3, "three times 30 of 100");
        let refused = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Declined(Declined::CaptureExceedsAuthorized(10))));
        assert!(refused.count() >= 60);
        world.assert_balanced().await;
        let last =
            payment(write(&books[0], world.capture(&format!("last-{on_us}"), authorized.id, None)).await);
        assert_eq!(last.amount, eur(10));
        world.assert_balanced().await;
        let then = world.state(authorized.id).await;
        assert_eq!(then, if on_us { State::Succeeded } else { State::Authorized });
        // The request id of the last capture is used up, for another authorization as well.
        let other = world.authorize(&format!("other-{on_us}"), false).await;
        let reused = write(&books[0], world.capture(&last.request_id, other.id, None)).await;
        assert_eq!(payment_of_replay(reused), last.id);
    }
}

fn payment_of_replay(outcome: Outcome) -> PaymentId {
    match outcome {
        Outcome::Replayed(payment) => payment.id,
        other => panic!("not replayed: {other:?}"),
    }
}

#[tokio::test]
async fn a_capture_that_fails_gives_its_part_back() {
    let world = World::new().await;
    let book = world.book(1);
    let authorized = world.authorize("authorized", false).await;
    let made = submission(write(&book, world.capture("c1", authorized.id, Some(60))).await);
    let suspense = world.suspense().await;
    let lease = Witness::Lease(made.lease.token);
    write(&book, world.said(&made.payment, lease, rejected(), suspense)).await;
    let sums = payment_row(&world, authorized.id).await.authorization.unwrap();
    assert_eq!((sums.held, sums.capturing, sums.captured), (100, 0, 0));
    world.assert_balanced().await;
    // Cancelled while a capture is under way: the rest is released now, the capture's part when it has failed.
    let made = submission(write(&book, world.capture("c2", authorized.id, Some(60))).await);
    write(&book, world.cancel(&authorized)).await;
    assert_eq!(world.alice().await, (9_940, 60));
    assert_eq!(world.state(authorized.id).await, State::Authorized);
    let lease = Witness::Lease(made.lease.token);
    write(&book, world.said(&made.payment, lease, rejected(), suspense)).await;
    assert_eq!(world.alice().await, (10_000, 0));
    assert_eq!(world.state(authorized.id).await, State::Cancelled);
    world.assert_balanced().await;
}

#[tokio::test]
async fn of_capture_cancel_and_expiry_at_once_one_has_each_minor_unit() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1), world.book(1)];
    for round in 0..20 {
        let authorized = world.authorize(&format!("authorized-{round}"), round % 2 == 0).await;
        let expired = "UPDATE dispatches SET due_at = now() WHERE work = 'EXPIRE'";
        crate::databases::sql(&world.options, expired).await;
        let due = world.store.claim_due(None, Work::Expire, 10, Duration::from_secs(60)).await.unwrap();
        let expire = due
            .iter()
            .filter(|due| due.payment.id == authorized.id)
            .map(|due| Command::Expire(Box::new(Expire { payment: authorized.id, token: due.lease.token })));
        let commands =
            [world.capture(&format!("c-{round}"), authorized.id, Some(70)), world.cancel(&authorized)];
        let commands: Vec<_> = commands.into_iter().chain(expire).collect();
        assert_eq!(commands.len(), 3);
        all(commands.into_iter().zip(&books).map(|(command, book)| write(book, command))).await;
        world.assert_balanced().await;
    }
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments WHERE state = 'EXPIRED'").await, 0);
}

#[tokio::test]
async fn an_authorization_ends_by_itself_and_not_before_its_time() {
    let world = World::new().await;
    let mut pay = world.pay_bank("authorized", 100);
    let soon = world.clock.now() + Duration::from_millis(60_300);
    pay.order.capture = common::order::Capture::Manual(Some(soon));
    let authorized = payment(write(&world.book(1), command(pay)).await);
    let mut early = world.pay_bank("early", 100);
    early.order.capture = common::order::Capture::Manual(Some(world.clock.now() + Duration::from_secs(59)));
    let refused = write(&world.book(1), command(early)).await;
    assert_eq!(refused, Outcome::Declined(Declined::ExpireTimeOutOfRange));
    // A platform whose clock is a minute ahead of the one that took the authorization.
    let clock = common::clock::Clock::manual(world.clock.now());
    let config = platform::flow::book::BookConfig { max_waiting: 16, max_batch: 16, writers: 1 };
    let book = platform::flow::book::Book::open(&world.store, &clock, config).0;
    let expire = |token| Command::Expire(Box::new(Expire { payment: authorized.id, token }));
    assert_eq!(write(&book, expire(9)).await, Outcome::Declined(Declined::LeaseLost));
    assert_eq!(payment(write(&book, expire(1)).await).state, State::Authorized, "too early");
    clock.advance(Duration::from_secs(61));
    let late = write(&book, world.capture("c", authorized.id, None)).await;
    assert!(matches!(late, Outcome::Declined(Declined::NotPermitted(..))), "{late:?}");
    assert_eq!(payment(write(&book, expire(1)).await).state, State::Expired);
    assert_eq!(world.alice().await, (10_000, 0));
    world.assert_balanced().await;
}
