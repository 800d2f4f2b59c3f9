//! What a bank said about a payment and is kept for people, on a database alone.

use std::time::Duration;

use common::id::BankMessageId;
use platform::{
    domain::{
        ledger::{BankMessage, Command, Witness},
        payment::{Payment, State},
    },
    store::conversation::Heard,
};

use crate::{
    bench::{World, accepted, command, inconclusive, payment, rejected, submission, write},
    databases::{number, sql},
    life::payment_row,
};

/// The same command, of a bank that said this.
fn saying(world: &World, command: Command, body: &str) -> Command {
    let Command::Conclude(mut conclude) = command else { unreachable!() };
    let id = BankMessageId::new(&world.clock);
    conclude.bank_message = Some(BankMessage { id, body: body.as_bytes().to_vec() });
    Command::Conclude(conclude)
}

/// A payment that its bank refused, with a message.
async fn refused(world: &World) -> Payment {
    let book = world.book(1);
    let sent = submission(write(&book, command(world.pay_bank("refused", 100))).await);
    let refusal = world.conclude(sent.payment.id, sent.lease.token, rejected());
    payment(write(&book, saying(world, refusal, "<Sts>RJCT</Sts>")).await)
}

async fn heard(world: &World, payment: &Payment) -> Vec<(Option<i32>, String)> {
    let text = |heard: Heard| (heard.sequence, String::from_utf8(heard.body).unwrap());
    world.store.heard(payment.id).await.unwrap().into_iter().map(text).collect()
}

#[tokio::test]
async fn a_message_is_kept_with_the_step_that_follows_from_it_and_once_after_the_end() {
    let world = World::new().await;
    let book = world.book(1);
    let sent = submission(write(&book, command(world.pay_bank("asked", 100))).await);
    let about = sent.payment.id;
    let says = |evidence, body| saying(&world, world.conclude(about, sent.lease.token, evidence), body);
    let unknown = payment(write(&book, says(inconclusive(Duration::ZERO), "<Sts>PDNG</Sts>")).await);
    assert_eq!(unknown.state, State::Unknown);
    // No step follows from the next ones.
    for _ in 0..3 {
        write(&book, says(inconclusive(Duration::ZERO), "<Sts>PDNG</Sts> again")).await;
    }
    let failed = payment(write(&book, says(rejected(), "<Sts>RJCT</Sts> Zaphod")).await);
    assert_eq!(failed.state, State::Failed);
    let suspense = world.suspense().await;
    for late in ["<Sts>ACSC</Sts> first", "<Sts>ACSC</Sts> repeated"] {
        let said = world.said(&payment_row(&world, about).await, Witness::Bank, accepted(), suspense);
        write(&book, saying(&world, said, late)).await;
    }
    let kept = [
        (Some(2), "<Sts>PDNG</Sts>".to_owned()),
        (Some(3), "<Sts>RJCT</Sts> Zaphod".to_owned()),
        (None, "<Sts>ACSC</Sts> first".to_owned()),
    ];
    assert_eq!(heard(&world, &failed).await, kept);
    // Names of people are not stored as they are.
    let readable = "SELECT count(*) FROM bank_messages WHERE position('Zaphod'::bytea IN body) > 0";
    assert_eq!(number(&world.options, readable).await, 0);
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_message_in_another_row_says_nothing_there() {
    let world = World::new().await;
    let failed = refused(&world).await;
    sql(&world.options, "UPDATE bank_messages SET id = '01000000-0000-7000-8000-000000000000'").await;
    assert!(world.store.heard(failed.id).await.is_err());
}

#[tokio::test]
async fn messages_are_forgotten_when_they_are_old() {
    let world = World::new().await;
    let failed = refused(&world).await;
    let old = "INSERT INTO bank_messages SELECT '01000000-0000-7000-8000-000000000000', payment_id, 9, body FROM bank_messages";
    sql(&world.options, old).await;
    let forget = async || world.store.forget_bank_messages(Duration::from_secs(3600), 10).await.unwrap();
    assert_eq!([forget().await, forget().await], [1, 0]);
    assert_eq!(heard(&world, &failed).await, [(Some(2), "<Sts>RJCT</Sts>".to_owned())]);
}
