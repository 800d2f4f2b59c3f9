//! Payments that wait on a real ledger: for their bank, or because nobody brings them to an end.

use std::time::Duration;

use platform::domain::{
    ledger::{Command, Declined, NoRoute, Outcome, Submit, Witness},
    payment::{Evidence, MAX_FRUITLESS, State, Work},
};

use crate::{
    bench::{World, accepted, all, command, payment, submission, write},
    databases::number,
};

#[tokio::test]
async fn a_payment_that_waits_for_its_bank_is_sent_later_or_cancelled() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let mut held = Vec::new();
    for request in ["one", "two"] {
        let mut pay = world.pay_bank(request, 100);
        pay.bank.as_mut().unwrap().waits = true;
        held.push(payment(write(&book, command(pay)).await));
    }
    assert!(held.iter().all(|held| held.state == State::Held));
    assert!(world.claim_due(10, Duration::ZERO).await.unwrap().is_empty(), "nothing to ask about");
    assert_eq!(payment(write(&book, world.cancel(&held[0])).await).state, State::Cancelled);
    let due = world.store.claim_due(Some("aurora"), Work::Send, 10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(due.len(), 1);
    let submit = |token| {
        Command::Submit(Box::new(Submit {
            payment: held[1].id,
            original: None,
            token,
            valid_for: Duration::from_secs(20),
            lease: Duration::from_secs(20),
        }))
    };
    assert_eq!(write(&book, submit(1)).await, Outcome::Declined(Declined::LeaseLost), "a zombie");
    let sent = submission(write(&book, submit(due[0].lease.token)).await);
    let refused = write(&book, world.cancel(&held[1])).await;
    assert!(matches!(refused, Outcome::Declined(Declined::NotPermitted(..))), "it was sent: {refused:?}");
    // A binding negative, at a bank whose payments wait: each further attempt has a number of its own.
    let mut lease = Witness::Lease(sent.lease.token);
    for number in 2..=4 {
        let never = Evidence::NeverReceived { next_attempt_after: Some(Duration::ZERO) };
        let back = payment(write(&book, world.said(&sent.payment, lease, never, suspense)).await);
        assert_eq!(back.state, State::Held);
        let due = world.store.claim_due(Some("aurora"), Work::Send, 10, Duration::from_secs(60)).await;
        let again = submission(write(&book, submit(due.unwrap()[0].lease.token)).await);
        assert_eq!(again.attempt.number, number);
        lease = Witness::Lease(again.lease.token);
    }
    write(&book, world.said(&sent.payment, lease, accepted(), suspense)).await;
    assert_eq!(world.alice().await, (9_900, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn work_that_never_comes_to_an_end_is_quarantined_and_the_rest_flows() {
    let world = World::new().await;
    let book = world.book(1);
    let mut pay = world.pay_bank("poison", 1);
    pay.bank.as_mut().unwrap().lease = Duration::ZERO;
    let poison = submission(write(&book, command(pay)).await).payment.id;
    for fruitless in 1..=MAX_FRUITLESS + 1 {
        let taken = world.claim_due(10, Duration::ZERO).await.unwrap();
        assert_eq!(taken.iter().map(|taken| taken.lease.fruitless).collect::<Vec<_>>(), [fruitless]);
    }
    assert!(world.claim_due(10, Duration::ZERO).await.unwrap().is_empty(), "left alone for long");
    let mut pay = world.pay_bank("good", 1);
    pay.bank.as_mut().unwrap().lease = Duration::ZERO;
    write(&book, command(pay)).await;
    assert_eq!(world.claim_due(10, Duration::ZERO).await.unwrap().len(), 1);
    assert_eq!(world.state(poison).await, State::Submitted, "the hold stays");
    // Overdue is what came to be in a second that is over.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let overdue = world.store.raise_overdue("aurora", Duration::ZERO, &world.clock, 10).await.unwrap();
    let again = world.store.raise_overdue("aurora", Duration::ZERO, &world.clock, 10).await.unwrap();
    assert_eq!((overdue, again), (2, 0), "once for each");
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_bank_that_is_down_refuses_before_money_is_held() {
    let world = World::new().await;
    let book = world.book(1);
    let mut pay = world.pay_bank("down", 100);
    pay.bank = Err(NoRoute::Offline("aurora".to_owned()));
    let refused = write(&book, command(pay)).await;
    assert_eq!(refused, Outcome::Declined(Declined::NoRoute(NoRoute::Offline("aurora".to_owned()))));
    assert_eq!(world.alice().await, (10_000, 0));
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 0);
}

/// Of a transaction the database sees only a payment's first and last state, so that each step that does not follow from the
/// first has a transaction of its own.
#[tokio::test]
async fn a_payment_that_steps_twice_in_a_batch_does_so_in_two_transactions() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    let lease = Witness::Lease(paid.lease.token);
    let never = Evidence::NeverReceived { next_attempt_after: Some(Duration::ZERO) };
    let batch = [
        command(world.pay_bank("first", 1)),
        world.said(&paid.payment, lease, never, suspense),
        world.cancel(&paid.payment),
        command(world.pay_bank("last", 1)),
    ];
    // Asked in one go, before the book's task comes to run: one batch.
    let outcomes = all(batch.map(|command| write(&book, command))).await;
    let states: Vec<_> = outcomes.into_iter().map(|outcome| payment(outcome).state).collect();
    assert_eq!(states, [State::Submitted, State::Held, State::Cancelled, State::Submitted]);
    assert_eq!(world.alice().await, (9_998, 2));
    world.assert_balanced().await;
}
