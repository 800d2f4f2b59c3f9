//! What banks say late, and what people find out, on a real ledger.

use std::time::Duration;

use common::id::AlarmId;
use platform::domain::{
    ledger::{Command, Declined, Finding, Outcome, Resolve, Submit, TransferIds, Witness},
    payment::{Evidence, State, Work},
};

use crate::{
    bench::{World, accepted, command, inconclusive, payment, rejected, submission, write},
    life::payment_row,
};

#[tokio::test]
async fn a_late_success_is_booked_once_and_taken_back() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    write(&book, world.conclude(paid.payment.id, paid.lease.token, rejected())).await;
    let failed = payment_row(&world, paid.payment.id).await;
    for _ in 0..3 {
        let after = payment(write(&book, world.said(&failed, Witness::Bank, accepted(), suspense)).await);
        assert_eq!(after, failed, "history is not rewritten");
    }
    let balances = world.balances("rialto-house", suspense).await;
    assert_eq!(balances.posted(), -100);
    world.assert_balanced().await;
    let alarms = world.store.alarms("alice", None, 10).await.unwrap();
    assert_eq!(alarms.iter().map(|alarm| alarm.kind.name()).collect::<Vec<_>>(), ["LATE_SUCCESS"]);
    let due = world.store.claim_due(Some("aurora"), Work::Send, 10, Duration::from_secs(60)).await.unwrap();
    let [back] = due.as_slice() else { panic!("one return: {due:?}") };
    let submit = Command::Submit(Box::new(Submit {
        payment: back.payment.id,
        original: back.payment.original,
        token: back.lease.token,
        valid_for: Duration::from_secs(20),
        lease: Duration::from_secs(20),
    }));
    let sent = submission(write(&book, submit).await);
    assert_eq!(sent.original.as_ref().unwrap().message_id, paid.attempt.message_id(failed.id));
    let lease = Witness::Lease(sent.lease.token);
    write(&book, world.said(&sent.payment, lease, accepted(), suspense)).await;
    assert_eq!(world.balances("rialto-house", suspense).await.posted(), 0);
    assert_eq!(world.alice().await, (10_000, 0));
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
    let alarms = world.store.alarms("alice", None, 10).await.unwrap();
    assert_eq!(alarms.iter().map(|alarm| alarm.kind.name()).collect::<Vec<_>>(), ["CONTRADICTION"]);
    world.assert_balanced().await;
}

#[tokio::test]
async fn it_takes_two_operators_to_end_what_no_machine_can_know() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    let contradictory = Evidence::Contradictory { reason: "X".to_owned(), detail: "x".to_owned() };
    let lease = Witness::Lease(paid.lease.token);
    write(&book, world.said(&paid.payment, lease, contradictory, suspense)).await;
    assert_eq!(world.alice().await, (9_900, 100), "the hold stays");
    let resolve = |actor: &str, succeeded, reference: &str| {
        Command::Resolve(Box::new(Resolve {
            participant: "alice".to_owned(),
            actor: actor.to_owned(),
            payment: paid.payment.id,
            original: None,
            finding: Finding { succeeded, evidence_reference: reference.to_owned() },
            transfers: TransferIds::new(&world.clock),
            alarm: AlarmId::new(&world.clock),
        }))
    };
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
    world.assert_balanced().await;
}
