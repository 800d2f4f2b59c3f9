//! Refunds on a real ledger: never more than was paid, whatever becomes of them.

use std::time::Duration;

use platform::{
    domain::ledger::{Declined, Outcome, Witness, decide},
    store::{
        known::KnownAccounts,
        load::{self, View},
    },
};
use sqlx::Connection;

use crate::{
    bench::{
        WAITING, World, accepted, all, command, eur, inconclusive, payment, rejected, submission, write,
    },
    databases::{connect, wait_until},
    life::done,
};

#[tokio::test]
async fn refunds_never_exceed_what_was_paid() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1)];
    let at_bank = submission(write(&books[0], command(world.pay_bank("at-bank", 100))).await);
    let early = write(&books[0], world.refund("alice", "early", at_bank.payment.id, Some(1))).await;
    assert!(matches!(early, Outcome::Declined(Declined::NotPermitted(..))), "not paid yet: {early:?}");
    write(&books[0], world.conclude(at_bank.payment.id, at_bank.lease.token, accepted())).await;
    let on_us = payment(write(&books[0], command(world.pay_on_us("on-us", world.bob, 100))).await);
    for (who, paid) in [("alice", at_bank.payment.id), ("bob", on_us.id)] {
        let refunds = (0..64)
            .map(|nth| write(&books[nth % 2], world.refund(who, &format!("{who}-{nth}"), paid, Some(60))));
        assert_eq!(done(&all(refunds).await), 1, "one refund of 60 of 100");
        world.assert_balanced().await;
        let left = write(&books[0], world.refund(who, &format!("{who}-41"), paid, Some(41))).await;
        assert_eq!(left, Outcome::Declined(Declined::RefundExceedsCaptured(40)));
        let rest = payment(write(&books[0], world.refund(who, &format!("{who}-rest"), paid, None)).await);
        assert_eq!(rest.amount, eur(40));
        let of_refund = write(&books[0], world.refund(who, &format!("{who}-of-refund"), rest.id, None)).await;
        assert!(matches!(of_refund, Outcome::Declined(_)), "{of_refund:?}");
        world.assert_balanced().await;
    }
    let stranger = write(&books[0], world.refund("bob", "bob-x", at_bank.payment.id, None)).await;
    assert_eq!(stranger, Outcome::Declined(Declined::PaymentNotFound));
    let payer = write(&books[0], world.refund("alice", "alice-x", on_us.id, None)).await;
    assert_eq!(payer, Outcome::Declined(Declined::RefundByPayeeOnly));
}

/// Another writer decides under locks, whatever its reasons, while a refund is half written.
#[tokio::test]
async fn a_refund_is_held_against_one_that_is_decided_under_locks() {
    let world = World::new().await;
    let book = world.book(1);
    let paid = payment(write(&book, command(world.pay_on_us("paid", world.bob, 10))).await);
    let mut holder = connect(&world.options).await;
    sqlx::raw_sql("BEGIN; LOCK TABLE refundable IN SHARE MODE").execute(&mut holder).await.unwrap();
    let half_written = write(&book, world.refund("bob", "one", paid.id, Some(6)));
    let under_locks = async {
        wait_until(&world.options, WAITING, |waiting| waiting == 1).await;
        let refund = [world.refund("bob", "other", paid.id, Some(6))];
        let mut connection = world.store.connect().await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let mut known = KnownAccounts::default();
        let loaded = load::snapshot(world.store.keys(), &mut transaction, &refund, View::Locked, &mut known)
            .await
            .unwrap();
        decide(loaded.snapshot, &refund, world.clock.now()).0
    };
    let release = async {
        wait_until(&world.options, WAITING, |waiting| waiting == 2).await;
        holder.close().await.unwrap();
    };
    let (one, other, ()) = tokio::join!(half_written, under_locks, release);
    assert_eq!(done(&[one]), 1);
    assert_eq!(other, [Outcome::Declined(Declined::RefundExceedsCaptured(4))]);
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_refund_of_unknown_outcome_keeps_its_part_and_a_failed_one_gives_it_back() {
    let world = World::new().await;
    let book = world.book(1);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    write(&book, world.conclude(paid.payment.id, paid.lease.token, accepted())).await;
    let refund = submission(write(&book, world.refund("alice", "r1", paid.payment.id, Some(60))).await);
    assert_eq!(refund.original.as_ref().unwrap().uetr, paid.payment.uetr);
    let (suspense, lease) = (world.suspense().await, Witness::Lease(refund.lease.token));
    let unknown = inconclusive(Duration::from_secs(60));
    write(&book, world.said(&refund.payment, lease, unknown, suspense)).await;
    let again = write(&book, world.refund("alice", "r2", paid.payment.id, Some(60))).await;
    assert_eq!(again, Outcome::Declined(Declined::RefundExceedsCaptured(40)));
    write(&book, world.said(&refund.payment, Witness::Bank, rejected(), suspense)).await;
    world.assert_balanced().await;
    let whole = submission(write(&book, world.refund("alice", "r3", paid.payment.id, None)).await);
    assert_eq!(whole.payment.amount, eur(100));
    let lease = Witness::Lease(whole.lease.token);
    write(&book, world.said(&whole.payment, lease, accepted(), suspense)).await;
    assert_eq!(world.alice().await, (10_000, 0));
    world.assert_balanced().await;
}
