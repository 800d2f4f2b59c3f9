//! The queue of work: leases, tokens, takers who do not get in each other's way.

use std::{collections::BTreeMap, time::Duration};

use platform::domain::{
    ledger::{Declined, Outcome},
    payment::{Payment, State, Submission},
};

use crate::{
    bench::{World, accepted, all, command, inconclusive, payment, rejected, submission, write},
    databases::{number, sql},
};

const LONG: Duration = Duration::from_secs(60);

/// Submits payments whose first lease has run out at once.
async fn submit(world: &World, count: usize) -> Vec<Submission> {
    let book = world.book(1);
    let outcomes = all((0..count).map(|number| {
        let mut pay = world.pay_bank(&format!("r{number}"), 1);
        if let Ok(bank) = &mut pay.bank {
            bank.lease = Duration::ZERO;
        }
        write(&book, command(pay))
    }))
    .await;
    outcomes.into_iter().map(submission).collect()
}

#[tokio::test]
async fn what_is_taken_over_is_all_that_its_instruction_needs() {
    let world = World::new().await;
    let made = submit(&world, 1).await.remove(0);
    let taken = world.claim_due(10, LONG).await.unwrap().remove(0);
    assert_eq!((taken.lease.token, taken.lease.tries), (2, 2));
    let payment = Payment { is_queued: true, ..made.payment.clone() };
    assert_eq!(Submission { lease: made.lease, ..taken }, Submission { payment, ..made });
    assert!(world.claim_due(10, LONG).await.unwrap().is_empty(), "its lease is running");
}

#[tokio::test]
async fn a_refund_that_is_taken_over_names_what_it_gives_back() {
    for end_to_end_id in [None, Some("INVOICE-7".to_owned())] {
        let world = World::new().await;
        let book = world.book(1);
        let mut pay = world.pay_bank("paid", 100);
        pay.order.end_to_end_id.clone_from(&end_to_end_id);
        let paid = submission(write(&book, command(pay)).await).payment;
        write(&book, world.conclude(paid.id, 1, accepted())).await;
        let made = submission(write(&book, world.refund("alice", "refund", paid.id, Some(40))).await);
        assert_eq!(made.original.as_ref().map(|original| &original.end_to_end_id), Some(&paid.end_to_end_id));
        sql(&world.options, "UPDATE first_leases SET ends_at = now()").await;
        let taken = world.claim_due(10, LONG).await.unwrap().remove(0);
        let payment = Payment { is_queued: true, ..made.payment.clone() };
        assert_eq!(Submission { lease: made.lease, ..taken }, Submission { payment, ..made });
    }
}

#[tokio::test]
async fn a_lease_that_runs_is_left_alone_and_tokens_grow() {
    let world = World::new().await;
    let id = submit(&world, 1).await[0].payment.id;
    for token in 2..6 {
        let taken = world.claim_due(10, Duration::ZERO).await.unwrap();
        assert_eq!(
            taken.iter().map(|taken| (taken.payment.id, taken.lease.token)).collect::<Vec<_>>(),
            [(id, token)]
        );
    }
    let book = world.book(1);
    let token = world.claim_due(10, LONG).await.unwrap()[0].lease.token;
    // A pause ends the lease early or late, whatever was left of it.
    write(&book, world.conclude(id, token, inconclusive(LONG))).await;
    assert!(world.claim_due(10, LONG).await.unwrap().is_empty());
    write(&book, world.conclude(id, token, inconclusive(Duration::ZERO))).await;
    assert_eq!(world.claim_due(10, LONG).await.unwrap()[0].lease.token, token + 1);
}

#[tokio::test]
async fn who_lost_the_lease_changes_nothing() {
    let world = World::new().await;
    let book = world.book(1);
    let id = submit(&world, 1).await[0].payment.id;
    let token = world.claim_due(10, LONG).await.unwrap()[0].lease.token;
    let everything = "SELECT sum(hashtext(t::text))::bigint FROM (SELECT p::text FROM payments p UNION ALL \
        SELECT d::text FROM dispatches d UNION ALL SELECT a::text FROM accounts a UNION ALL \
        SELECT f::text FROM transfers f UNION ALL SELECT e::text FROM current_payment_events e) AS t (t)";
    let before = number(&world.options, everything).await;
    for evidence in [accepted(), rejected(), inconclusive(Duration::ZERO), inconclusive(LONG)] {
        for stale in [token - 1, token + 1, 0] {
            let outcome = write(&book, world.conclude(id, stale, evidence.clone())).await;
            assert_eq!(outcome, Outcome::Declined(Declined::LeaseLost));
        }
    }
    assert_eq!(number(&world.options, everything).await, before);
    assert_eq!(payment(write(&book, world.conclude(id, token, accepted())).await).state, State::Succeeded);
    assert_eq!(number(&world.options, "SELECT count(*) FROM dispatches").await, 0);
    assert!(world.claim_due(10, LONG).await.unwrap().is_empty());
    world.assert_balanced().await;
}

/// Whoever concludes goes by what it knows, and the write itself must notice what has changed since.
#[tokio::test]
async fn what_has_changed_since_it_was_known_is_noticed() {
    let world = World::new().await;
    let book = world.book(1);
    let mut many = submit(&world, 22).await;
    let (overtaken, ended) = (many.remove(0), many.remove(0));
    assert_eq!(payment(write(&book, world.conclude_known(&ended, accepted())).await).state, State::Succeeded);
    let id = overtaken.payment.id;
    world.store.end_first_leases(100).await.unwrap();
    let take_over = format!("UPDATE dispatches SET token = 7 WHERE payment_id = '{}'", id.uuid());
    sql(&world.options, &take_over).await;
    for evidence in [accepted(), rejected(), inconclusive(LONG)] {
        let outcome = write(&book, world.conclude_known(&overtaken, evidence)).await;
        assert_eq!(outcome, Outcome::Declined(Declined::LeaseLost));
    }
    assert_eq!(payment(write(&book, world.conclude_known(&ended, rejected())).await).state, State::Succeeded);
    assert_eq!(world.alice().await, (10_000 - 22, 21));
    // Among others, it costs them nothing but a second try.
    let concluded = all(many
        .iter()
        .chain([&overtaken])
        .map(|known| write(&book, world.conclude_known(known, accepted()))))
    .await;
    let succeeded =
        |outcome: &Outcome| matches!(outcome, Outcome::Payment(one) if one.state == State::Succeeded);
    assert_eq!(concluded.iter().filter(|outcome| succeeded(outcome)).count(), 20);
    assert_eq!(payment(write(&book, world.conclude(id, 7, accepted())).await).state, State::Succeeded);
    world.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takers_at_once_never_get_the_same() {
    let world = World::new().await;
    submit(&world, 300).await;
    let mut seen = BTreeMap::new();
    loop {
        let taken = all((0..4).map(|_| world.claim_due(16, LONG))).await;
        let taken: Vec<_> = taken.into_iter().flat_map(Result::unwrap).collect();
        if taken.is_empty() {
            break;
        }
        for taken in taken {
            assert_eq!(seen.insert(taken.payment.id, taken.lease.token), None, "taken twice");
        }
    }
    assert_eq!(seen.len(), 300);
    assert!(seen.into_values().all(|token| token == 2));
}

/// The fence is the database's time, not that of the machine that asks; a taker that waits is not given stale work.
#[tokio::test]
async fn what_another_taker_is_taking_is_skipped() {
    let world = World::new().await;
    submit(&world, 3).await;
    world.store.end_first_leases(100).await.unwrap();
    let mut other = crate::databases::connect(&world.options).await;
    let mut transaction = sqlx::Connection::begin(&mut other).await.unwrap();
    sqlx::query("SELECT 1 FROM dispatches ORDER BY due_at LIMIT 2 FOR UPDATE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(world.claim_due(10, LONG).await.unwrap().len(), 1);
    transaction.rollback().await.unwrap();
    assert_eq!(world.claim_due(10, LONG).await.unwrap().len(), 2);
}
