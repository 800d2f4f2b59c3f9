//! What other banks pay to accounts here: once, refused for ever where it is refused, and never once it was said that nothing came.

use common::{
    id::{AccountId, PaymentId},
    money::{Currency, Money},
    order::{BankKey, PayeeAccount},
    text::HOUSE,
};
use platform::{
    domain::{
        ledger::{Command, Declined, Incoming, NoRoute, Outcome, Pay, Refund, Request},
        payment::{Payment, State},
    },
    flow::book::Book,
};
use uuid::Uuid;

use crate::{
    bench::{BOB_IBAN, World, command, eur, hash, open, payment, write},
    databases::sql,
};

/// An IBAN that no account here has.
const NOBODY: &str = "FR1420041010050500013M02606";

/// Aurora pays an account here.
async fn incoming(world: &World, request: &str, to: PayeeAccount, amount: i64) -> Pay {
    let suspense_account = world.suspense().await;
    Pay {
        bank: Err(NoRoute::NotInDirectory("payee")),
        incoming: Some(Incoming { suspense_account, is_too_late: false }),
        ..world.pay((HOUSE, world.settlement), request, to, amount)
    }
}

/// Aurora pays dollars, which it has accounts for.
async fn dollars(world: &World, to: PayeeAccount) -> Pay {
    let currency = Currency::parse("USD").unwrap();
    let mut accounts = Vec::new();
    for is_suspense in [false, true] {
        let (id, now) = (AccountId::new(&world.clock), world.clock.now());
        let opened = world.store.house_account(id, ("aurora", "Banca Aurora"), currency, is_suspense, now);
        accounts.push(opened.await.unwrap());
    }
    let mut pay = incoming(world, "dollars", to, 700).await;
    pay.order.payer_account = accounts[0];
    pay.order.amount = Money::new(700, currency);
    pay.incoming = Some(Incoming { suspense_account: accounts[1], is_too_late: false });
    pay
}

fn iban(text: &str) -> PayeeAccount {
    PayeeAccount::Iban(common::iban::Iban::parse(text).unwrap(), None)
}

/// The same transfer, as an enquiry has it: it never came while it might.
fn never_came(pay: &Pay) -> Pay {
    let nobody = PayeeAccount::Number("not received".to_owned(), BankKey::Id("aurora".to_owned()));
    let mut pay = pay.clone();
    pay.order.payee.account = nobody;
    pay.request.fingerprint = [0; 16];
    pay.incoming = pay.incoming.map(|incoming| Incoming { is_too_late: true, ..incoming });
    pay
}

fn again(world: &World, pay: &Pay) -> Pay {
    Pay { id: PaymentId::new(&world.clock), ..pay.clone() }
}

fn code(payment: &Payment) -> Option<&str> {
    payment.reason.as_ref().map(|reason| reason.iso_code.as_str())
}

#[tokio::test]
async fn a_credit_transfer_is_booked_once_whatever_comes_twice() {
    let world = World::new().await;
    let (one, other) = (world.book(1), world.book(1));
    let pay = incoming(&world, "in-aurora-1", iban(BOB_IBAN), 700).await;
    let first = payment(write(&one, command(pay.clone())).await);
    assert_eq!((first.state, first.credit_account), (State::Succeeded, world.bob));
    for book in [&one, &other] {
        let Outcome::Replayed(repeated) = write(book, command(again(&world, &pay))).await else {
            panic!("new")
        };
        assert_eq!(*repeated, first);
    }
    let mut differs = again(&world, &pay);
    differs.request.fingerprint = [9; 16];
    assert_eq!(write(&one, command(differs)).await, Outcome::Declined(Declined::RequestIdReused));
    assert_eq!(world.balances("bob", world.bob).await.available(), 10_700);
    // Both deposits came from there too.
    assert_eq!(world.balances(HOUSE, world.settlement).await.posted(), -20_700);
    world.assert_balanced().await;
}

#[tokio::test]
async fn what_is_refused_stays_refused() {
    let world = World::new().await;
    let book = world.book(1);
    let closed = open(&world.store, "carol", "Carol", Some("DE89370400440532013000")).await;
    sql(&world.options, &format!("UPDATE accounts SET closed_at = now() WHERE id = '{}'", closed.uuid()))
        .await;
    let number = |text: &str| PayeeAccount::Number(text.to_owned(), BankKey::Id("aurora".to_owned()));
    let mut refused = Vec::new();
    for (request, to, expected) in [
        ("no-such-iban", iban(NOBODY), "AC01"),
        ("no-such-number", number("4711"), "AC01"),
        ("no-such-account", PayeeAccount::Ledger(AccountId::new(&world.clock)), "AC01"),
        // The bank's own account is nobody's payee, and neither is what stands in for others.
        ("itself", PayeeAccount::Ledger(world.settlement), "AC01"),
        ("suspense", PayeeAccount::Ledger(world.suspense().await), "AC01"),
        ("closed", PayeeAccount::Ledger(closed), "AC07"),
    ] {
        let pay = incoming(&world, request, to, 700).await;
        let made = payment(write(&book, command(pay.clone())).await);
        assert_eq!((made.state, code(&made)), (State::Failed, Some(expected)), "{request}");
        refused.push((pay, made));
    }
    let dollars = dollars(&world, PayeeAccount::Ledger(world.bob)).await;
    let made = payment(write(&book, command(dollars.clone())).await);
    assert_eq!((made.state, code(&made)), (State::Failed, Some("AC09")), "his account has euros");
    refused.push((dollars, made));
    let good = incoming(&world, "good", PayeeAccount::Ledger(world.bob), 700).await;
    // An account that is opened later is not paid by what was refused before.
    open(&world.store, "dora", "Dora", Some(NOBODY)).await;
    for (pay, made) in refused {
        let Outcome::Replayed(repeated) = write(&world.book(1), command(again(&world, &pay))).await else {
            panic!("new")
        };
        assert_eq!(*repeated, made);
    }
    assert_eq!(payment(write(&book, command(good)).await).state, State::Succeeded);
    assert_eq!(world.balances(HOUSE, world.suspense().await).await.posted(), 0);
    world.assert_balanced().await;
}

#[tokio::test]
async fn once_it_is_said_that_nothing_came_nothing_comes() {
    let world = World::new().await;
    let books: Vec<Book> = (0..4).map(|_| world.book(1)).collect();
    let (mut paid, mut never) = (0, 0);
    for round in 0..60 {
        let pay = incoming(&world, &format!("in-aurora-{round}"), iban(BOB_IBAN), 1).await;
        // The transfer at one platform, and its copy at another, while enquiries are answered at two more.
        let all = [
            again(&world, &pay),
            never_came(&again(&world, &pay)),
            again(&world, &pay),
            never_came(&again(&world, &pay)),
        ];
        let mut writing = tokio::task::JoinSet::new();
        for at in 0..all.len() {
            // Whoever begins is not always first.
            let (book, pay) = (books[at].clone(), all[(at + round) % all.len()].clone());
            writing
                .spawn(async move { (pay.request.fingerprint == [0; 16], write(&book, command(pay)).await) });
        }
        let mut ends = Vec::new();
        for (is_enquiry, outcome) in writing.join_all().await {
            match outcome {
                Outcome::Payment(payment) | Outcome::Replayed(payment) => ends.push((is_enquiry, *payment)),
                Outcome::Declined(Declined::RequestIdReused) => {}
                other => panic!("{other:?}"),
            }
        }
        let (is_enquiry, end) = ends.first().expect("one of them was first").clone();
        assert!(ends.iter().all(|(other, payment)| (*other, payment.id) == (is_enquiry, end.id)), "{ends:?}");
        assert_eq!(end.state, if is_enquiry { State::Failed } else { State::Succeeded });
        *if is_enquiry { &mut never } else { &mut paid } += 1;
        assert_eq!(world.balances("bob", world.bob).await.available(), 10_000 + paid);
    }
    assert!(paid > 0 && never > 0, "both were first at times: {paid} and {never}");
    world.assert_balanced().await;
}

#[tokio::test]
async fn what_came_from_another_bank_is_not_refunded_here() {
    let world = World::new().await;
    let book = world.book(1);
    let pay = incoming(&world, "in-aurora-1", iban(BOB_IBAN), 700).await;
    let paid = payment(write(&book, command(pay)).await);
    let refund = Refund {
        id: PaymentId::new(&world.clock),
        uetr: Uuid::new_v4(),
        request: Request {
            participant: "bob".to_owned(),
            request_id: "back".to_owned(),
            fingerprint: hash("back"),
        },
        payment: paid.id,
        amount: Some(eur(100)),
        remittance_information: String::new(),
        bank: Err(NoRoute::NoChannel),
    };
    let outcome = write(&book, Command::Refund(Box::new(refund))).await;
    assert_eq!(outcome, Outcome::Declined(Declined::RefundOfIncoming));
    world.assert_balanced().await;
}
