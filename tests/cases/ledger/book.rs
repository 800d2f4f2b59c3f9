//! Payments and deposits through the book, end to end; the books are recomputed after every step.

use std::time::Duration;

use common::order::PayeeAccount;
use platform::domain::{
    account::Balances,
    ledger::{Declined, Outcome, Pay},
    payment::State,
};

use crate::{
    bench::{
        BOB_IBAN, World, accepted, all, command, eur, inconclusive, never_sent, payment, rejected,
        submission, write,
    },
    databases::number,
};

#[tokio::test]
async fn a_payment_on_this_ledger_is_paid_at_once() {
    let world = World::new().await;
    let book = world.book(1);
    for (request, pay) in [
        ("by account", world.pay_on_us("by account", world.bob, 10)),
        ("by IBAN", world.pay_iban("by IBAN", BOB_IBAN, 20)),
    ] {
        let made = payment(write(&book, command(pay.clone())).await);
        assert_eq!((made.state, made.sequence, made.credit_account), (State::Succeeded, 1, world.bob));
        world.assert_balanced().await;
        // What is read back is what was answered, to the last character.
        assert_eq!(world.store.payment("alice", made.id).await.unwrap().as_ref(), Some(&made));
        assert_eq!(world.store.payment_by_request("alice", request).await.unwrap().as_ref(), Some(&made));
        assert_eq!(world.store.payment("bob", made.id).await.unwrap(), None);
        assert_eq!((&made.payee, &made.metadata), (&pay.order.payee, &pay.order.metadata));
    }
    assert_eq!(world.alice().await, (9_970, 0));
    assert_eq!(world.balances("bob", world.bob).await.available(), 10_030);
}

#[tokio::test]
async fn a_payment_to_a_bank_is_held_until_evidence_ends_it() {
    let world = World::new().await;
    let book = world.book(1);
    let pause = Duration::from_secs(60);
    let mut available = 10_000;
    // What is learnt, one after the other, and the state after each.
    for (request, learnt) in [
        ("accepted", vec![(accepted(), State::Succeeded)]),
        ("rejected", vec![(rejected(), State::Failed)]),
        ("never sent", vec![(never_sent(), State::Failed)]),
        ("unknown, accepted", vec![(inconclusive(pause), State::Unknown), (accepted(), State::Succeeded)]),
        ("unknown, rejected", vec![(inconclusive(pause), State::Unknown), (rejected(), State::Failed)]),
        (
            "unknown twice, accepted, all else",
            vec![
                (inconclusive(pause), State::Unknown),
                (inconclusive(pause), State::Unknown),
                (accepted(), State::Succeeded),
                (rejected(), State::Succeeded),
                (inconclusive(pause), State::Succeeded),
                (accepted(), State::Succeeded),
            ],
        ),
    ] {
        let pay = world.pay_bank(request, 100);
        let made = submission(write(&book, command(pay.clone())).await);
        assert_eq!(
            (made.payment.state, made.debtor_name.as_str(), made.lease.token),
            (State::Submitted, "Alice", 1)
        );
        assert_eq!(world.alice().await, (available - 100, 100), "{request}");
        world.assert_balanced().await;
        let mut last = made.payment.clone();
        for (evidence, state) in learnt {
            let was_over = crate::bench::is_over(last.state);
            let now = payment(write(&book, world.conclude(last.id, made.lease.token, evidence)).await);
            assert_eq!(now.state, state, "{request}");
            assert!(!was_over || now == last, "{request}: final, and yet changed");
            assert_eq!(world.store.payment("alice", now.id).await.unwrap().as_ref(), Some(&now));
            let replay =
                write(&book, command(Pay { id: common::id::PaymentId::new(&world.clock), ..pay.clone() }))
                    .await;
            assert_eq!(replay, Outcome::Replayed(Box::new(now.clone())), "{request}");
            world.assert_balanced().await;
            last = now;
        }
        available -= if last.state == State::Succeeded { 100 } else { 0 };
        assert_eq!(world.alice().await, (available, 0), "{request}");
    }
    assert_eq!(number(&world.options, "SELECT count(*) FROM dispatches").await, 0);
    let bank = world.balances("rialto-house", world.settlement).await;
    assert_eq!(bank, Balances { debits_posted: 20_000, credits_posted: 300, ..Balances::default() });
}

#[tokio::test]
async fn refusals_are_recorded_and_replayed_and_reuse_is_declined() {
    let world = World::new().await;
    let book = world.book(1);
    let ask = |mut pay: Pay| {
        pay.id = common::id::PaymentId::new(&world.clock);
        write(&book, command(pay))
    };
    let too_much = world.pay_bank("too much", 10_001);
    let dry = ask(Pay { validate_only: true, ..too_much.clone() }).await;
    assert!(matches!(dry, Outcome::Validated(Err(_))), "{dry:?}");
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 0);
    let refused = payment(ask(too_much.clone()).await);
    assert_eq!(refused.reason.as_ref().map(|reason| reason.code.as_str()), Some("INSUFFICIENT_FUNDS"));
    world.book_deposit(&book, "alice", "more", world.alice, 10).await;
    assert_eq!(ask(too_much).await, Outcome::Replayed(Box::new(refused)));
    let reused = Outcome::Declined(Declined::RequestIdReused);
    assert_eq!(ask(world.pay_bank("too much", 1)).await, reused);
    assert_eq!(write(&book, world.deposit("alice", "more", world.alice, 11)).await, reused);
    let again = write(&book, world.deposit("alice", "more", world.alice, 10)).await;
    assert!(matches!(again, Outcome::Deposit(_, true)), "{again:?}");
    let to_house = ask(world.pay_on_us("house", world.settlement, 1)).await;
    assert_eq!(to_house, Outcome::Declined(Declined::PayeeAccountNotFound));
    let not_mine = world.pay(("alice", world.bob), "theft", PayeeAccount::Ledger(world.alice), 1);
    assert_eq!(ask(not_mine).await, Outcome::Declined(Declined::AccountNotFound));
    // Another participant's request ids are its own.
    let bobs = world.pay(("bob", world.bob), "too much", PayeeAccount::Ledger(world.alice), 1);
    assert_eq!(payment(ask(bobs).await).state, State::Succeeded);
    world.assert_balanced().await;
}

#[tokio::test]
async fn closed_accounts_take_nothing_new_but_what_is_under_way_ends() {
    let world = World::new().await;
    let book = world.book(1);
    let made = submission(write(&book, command(world.pay_bank("before", 10))).await);
    crate::databases::sql(
        &world.options,
        "UPDATE accounts SET closed_at = now() WHERE participant_id = 'alice'",
    )
    .await;
    let after = payment(write(&book, command(world.pay_bank("after", 10))).await);
    assert_eq!(after.reason.map(|reason| reason.code).as_deref(), Some("PAYER_ACCOUNT_CLOSED"));
    let ended = payment(write(&book, world.conclude(made.payment.id, 1, accepted())).await);
    assert_eq!(ended.state, State::Succeeded);
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_database_of_another_isolation_or_without_room_in_a_sum_is_no_obstacle() {
    let options = crate::databases::database(None).await;
    let name = options.get_database().unwrap().to_owned();
    let set = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
    crate::databases::sql(&options, &set).await;
    let world = World::on(options).await;
    let books = [world.book(2), world.book(2)];
    let pays = (0..200).map(|number| {
        write(&books[number % 2], command(world.pay_on_us(&format!("r{number}"), world.bob, 1)))
    });
    for outcome in all(pays).await {
        assert_eq!(payment(outcome).state, State::Succeeded);
    }
    let full = i64::MAX - 10_000;
    let huge = write(&books[0], world.deposit("bob", "huge", world.bob, full)).await;
    assert!(matches!(huge, Outcome::Declined(Declined::DepositRefused(_))), "{huge:?}");
    assert_eq!(eur(full).minor_units(), full);
    world.assert_balanced().await;
}
