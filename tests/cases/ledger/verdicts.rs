//! What banks say late, and what people find out, on a real ledger.

use std::{collections::BTreeSet, time::Duration};

use common::id::{AccountId, ActId};
use platform::{
    domain::{
        ledger::{Command, Declined, Finding, Outcome, Resolve, Submit, Witness},
        payment::{Evidence, Payment, State, Submission, Work},
    },
    flow::book::Book,
};

use crate::{
    bench::{World, accepted, command, inconclusive, payment, rejected, submission, write},
    life::payment_row,
};

/// Lets a payment fail, and its bank then say that it was paid; the return is sent, and is given back with the suspense account.
async fn taken_back(world: &World, book: &Book) -> (Submission, AccountId) {
    let suspense = world.suspense().await;
    let paid = submission(write(book, command(world.pay_bank("paid", 100))).await);
    write(book, world.conclude(paid.payment.id, paid.lease.token, rejected())).await;
    let failed = payment_row(world, paid.payment.id).await;
    for _ in 0..3 {
        let after = payment(write(book, world.said(&failed, Witness::Bank, accepted(), suspense)).await);
        assert_eq!(after, failed, "history is not rewritten");
    }
    assert_eq!(world.balances("rialto-house", suspense).await.posted(), -100);
    world.assert_balanced().await;
    assert_eq!(alarms(world).await, ["LATE_SUCCESS"]);
    let due = world.store.claim_due(Some("aurora"), Work::Send, 10, Duration::from_secs(60)).await.unwrap();
    let [back] = due.as_slice() else { panic!("one return: {due:?}") };
    let submit = Command::Submit(Box::new(Submit {
        payment: back.payment.id,
        original: back.payment.original,
        token: back.lease.token,
        valid_for: Duration::from_secs(20),
        lease: Duration::from_secs(20),
    }));
    let sent = submission(write(book, submit).await);
    assert_eq!(sent.original.as_ref().unwrap().message_id, paid.attempt.message_id(failed.id));
    (sent, suspense)
}

async fn alarms(world: &World) -> Vec<&'static str> {
    let alarms = world.store.alarms("alice", None, 10).await.unwrap();
    alarms.iter().map(|(_, alarm)| alarm.kind.name()).collect()
}

pub fn resolve(world: &World, of: &Payment, actor: &str, succeeded: bool, reference: &str) -> Command {
    Command::Resolve(Box::new(Resolve {
        id: ActId::new(&world.clock),
        participant: "alice".to_owned(),
        actor: actor.to_owned(),
        payment: of.id,
        original: of.original,
        finding: Finding { succeeded, evidence_reference: reference.to_owned() },
    }))
}

pub fn contradictory() -> Evidence {
    Evidence::Contradictory { reason: "X".to_owned(), detail: "x".to_owned() }
}

#[tokio::test]
async fn a_late_success_is_booked_once_and_taken_back() {
    let world = World::new().await;
    let book = world.book(1);
    let (sent, suspense) = taken_back(&world, &book).await;
    let lease = Witness::Lease(sent.lease.token);
    write(&book, world.said(&sent.payment, lease, accepted(), suspense)).await;
    assert_eq!(world.balances("rialto-house", suspense).await.posted(), 0);
    assert_eq!(world.alice().await, (10_000, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_return_that_nobody_can_know_is_ended_by_those_whose_payment_it_takes_back() {
    let world = World::new().await;
    let book = world.book(1);
    let (sent, suspense) = taken_back(&world, &book).await;
    let lease = Witness::Lease(sent.lease.token);
    write(&book, world.said(&sent.payment, lease, contradictory(), suspense)).await;
    assert_eq!(alarms(&world).await, ["PAYMENT_PARKED", "LATE_SUCCESS"]);
    let mut stranger = resolve(&world, &sent.payment, "eve", true, "1");
    if let Command::Resolve(resolve) = &mut stranger {
        resolve.participant = "bob".to_owned();
    }
    assert_eq!(write(&book, stranger).await, Outcome::Declined(Declined::PaymentNotFound));
    write(&book, resolve(&world, &sent.payment, "ada", true, "1")).await;
    let ended = write(&book, resolve(&world, &sent.payment, "bob", true, "1")).await;
    assert!(matches!(ended, Outcome::Resolution(back, false) if back.state == State::Succeeded));
    assert_eq!(world.balances("rialto-house", suspense).await.posted(), 0);
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_terminal_state_is_not_overwritten_by_what_the_bank_says_later() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    // The bank's own verdict counts without the lease, and its holder hears it.
    write(&book, world.said(&paid.payment, Witness::Bank, accepted(), suspense)).await;
    let succeeded = payment_row(&world, paid.payment.id).await;
    assert_eq!(succeeded.state, State::Succeeded);
    let lease = Witness::Lease(paid.lease.token);
    for (witness, evidence) in [
        (lease, accepted()),
        (Witness::Bank, rejected()),
        (lease, rejected()),
        (lease, inconclusive(Duration::ZERO)),
    ] {
        let after = payment(write(&book, world.said(&paid.payment, witness, evidence, suspense)).await);
        assert_eq!(after, succeeded);
    }
    assert_eq!(alarms(&world).await, ["CONTRADICTION"]);
    world.assert_balanced().await;
}

#[tokio::test]
async fn the_same_said_before_and_after_the_end_raises_two_alarms() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let authorized = world.authorize("held", false).await;
    // One command, which is written again when nobody heard what became of it.
    let said = world.said(&authorized, Witness::Bank, accepted(), suspense);
    write(&book, said.clone()).await;
    assert_eq!(alarms(&world).await, ["CONTRADICTION"]);
    write(&book, world.cancel(&authorized)).await;
    for _ in 0..2 {
        write(&book, said.clone()).await;
        let raised = BTreeSet::from_iter(alarms(&world).await);
        assert_eq!(raised, BTreeSet::from(["CONTRADICTION", "LATE_SUCCESS"]));
    }
    world.assert_balanced().await;
}

#[tokio::test]
async fn it_takes_two_operators_to_end_what_no_machine_can_know() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    let lease = Witness::Lease(paid.lease.token);
    write(&book, world.said(&paid.payment, lease, contradictory(), suspense)).await;
    assert_eq!(world.alice().await, (9_900, 100), "the hold stays");
    let resolve =
        |actor: &str, succeeded, reference: &str| resolve(&world, &paid.payment, actor, succeeded, reference);
    let awaits = |outcome: Outcome| match outcome {
        Outcome::Resolution(payment, awaits) => (payment.state, awaits),
        other => panic!("{other:?}"),
    };
    assert_eq!(awaits(write(&book, resolve("ada", true, "1")).await), (State::Investigate, true));
    assert_eq!(awaits(write(&book, resolve("ada", false, "2")).await), (State::Investigate, true));
    let differs = write(&book, resolve("bob", true, "1")).await;
    assert_eq!(differs, Outcome::Declined(Declined::ResolutionDiffers));
    assert_eq!(awaits(write(&book, resolve("ada", false, "2")).await), (State::Investigate, true));
    assert_eq!(awaits(write(&book, resolve("bob", false, "2")).await), (State::Failed, false));
    assert_eq!(awaits(write(&book, resolve("bob", false, "2")).await), (State::Failed, false));
    let over = write(&book, resolve("bob", true, "3")).await;
    assert!(matches!(over, Outcome::Declined(Declined::NotPermitted(..))), "{over:?}");
    assert_eq!(world.alice().await, (10_000, 0));
    // What was replaced stays on record, and repeats are none.
    let said = "SELECT by_credential, is_approval, succeeded, evidence_reference FROM resolution_acts ORDER BY created_at";
    let mut connection = crate::databases::connect(&world.options).await;
    let said: Vec<(String, bool, bool, String)> =
        sqlx::query_as(said).fetch_all(&mut connection).await.unwrap();
    let wanted = [("ada", false, true, "1"), ("ada", false, false, "2"), ("bob", true, false, "2")];
    let wanted =
        wanted.map(|(by, approves, succeeded, of)| (by.to_owned(), approves, succeeded, of.to_owned()));
    assert_eq!(said, wanted);
    world.assert_balanced().await;
}
