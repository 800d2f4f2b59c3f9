//! What a platform knows of accounts is out of date as soon as another one writes: nothing comes of that.

use common::order::PayeeAccount;
use platform::domain::{ledger::Outcome, payment::State};

use crate::bench::{World, command, open, payment, submission, write};

const NEW_IBAN: &str = "DE89370400440532013000";

#[tokio::test]
async fn money_that_came_or_went_elsewhere_counts() {
    let world = World::new().await;
    let [here, elsewhere] = [world.book(1), world.book(1)];
    let state = async |book, request: &str, amount| {
        payment(write(book, command(world.pay_on_us(request, world.bob, amount))).await).state
    };
    assert_eq!(state(&here, "known", 1).await, State::Succeeded);
    // More than was there when it was known.
    world.book_deposit(&elsewhere, "alice", "more", world.alice, 10_000).await;
    assert_eq!(state(&here, "what came elsewhere", 15_000).await, State::Succeeded);
    assert_eq!(state(&here, "known again", 1).await, State::Succeeded);
    // Less than was there when it was known.
    assert_eq!(state(&elsewhere, "all", 4_998).await, State::Succeeded);
    assert_eq!(state(&here, "what went elsewhere", 4_998).await, State::Failed);
    assert_eq!(world.alice().await, (0, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn an_account_opened_elsewhere_is_paid_here_and_not_at_a_bank() {
    let world = World::new().await;
    let book = world.book(1);
    for request in ["unknown", "known"] {
        let made = submission(write(&book, command(world.pay_iban(request, NEW_IBAN, 1))).await);
        assert_eq!(made.payment.credit_account, world.settlement, "{request}");
    }
    let carol = open(&world.store, "carol", "Carol", Some(NEW_IBAN)).await;
    for request in ["opened", "known to be here"] {
        let made = payment(write(&book, command(world.pay_iban(request, NEW_IBAN, 1))).await);
        assert_eq!((made.state, made.credit_account), (State::Succeeded, carol), "{request}");
    }
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_request_made_elsewhere_is_found_and_its_neighbours_are_made() {
    let world = World::new().await;
    let [here, elsewhere] = [world.book(1), world.book(1)];
    write(&here, command(world.pay_bank("known", 1))).await;
    let first = submission(write(&elsewhere, command(world.pay_bank("made elsewhere", 1))).await);
    let requests = ["before", "made elsewhere", "behind"];
    let outcomes =
        crate::bench::all(requests.map(|request| write(&here, command(world.pay_bank(request, 1))))).await;
    let [Outcome::Submitted(_), Outcome::Replayed(replayed), Outcome::Submitted(_)] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!(**replayed, first.payment);
    world.assert_balanced().await;
}

#[tokio::test]
async fn an_account_closed_elsewhere_is_not_credited() {
    let world = World::new().await;
    let book = world.book(1);
    let pay = async |request: &str| {
        let to = PayeeAccount::Ledger(world.bob);
        payment(write(&book, command(world.pay(("alice", world.alice), request, to, 1))).await)
    };
    assert_eq!(pay("known").await.state, State::Succeeded);
    crate::databases::sql(
        &world.options,
        "UPDATE accounts SET closed_at = now() WHERE participant_id = 'bob'",
    )
    .await;
    let refused = pay("closed").await.reason.map(|reason| reason.code);
    assert_eq!(refused.as_deref(), Some("PAYEE_ACCOUNT_CLOSED"));
    world.assert_balanced().await;
}
