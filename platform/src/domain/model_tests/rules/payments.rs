//! What becomes a payment, and what a repeat of it hears.

use super::{approve, as_payment, command, conclude, eur};
use crate::domain::{
    ledger::{Declined, NoRoute, Outcome, Pay},
    model_tests::{twin::accounts_with, world::*},
    payment::{Lease, State},
};

#[test]
fn what_cannot_become_a_payment_is_declined_and_not_written() {
    use Declined::{AccountNotFound, CurrencyMismatch, PayeeAccountNotFound, PaysItself};
    let mut no_route = pay(1, "alice", "r", ALICE, "123", eur(5));
    no_route.bank = Err(NoRoute::NoChannel);
    for (what, pay, expected) in [
        ("unknown payer", pay(1, "alice", "r", 77, "#4", eur(5)), AccountNotFound),
        ("another's account pays", pay(1, "alice", "r", BOB, "#1", eur(5)), AccountNotFound),
        ("the house's account pays", pay(1, "alice", "r", SETTLEMENT_EUR, "#1", eur(5)), AccountNotFound),
        (
            "payer has another currency",
            pay(1, "alice", "r", ALICE, "#4", money(5, USD)),
            CurrencyMismatch("payer_account"),
        ),
        ("payee has another currency", pay(1, "alice", "r", ALICE, "#5", eur(5)), CurrencyMismatch("payee")),
        ("unknown payee", pay(1, "alice", "r", ALICE, "#77", eur(5)), PayeeAccountNotFound),
        ("payee is a settlement account", pay(1, "alice", "r", ALICE, "#8", eur(5)), PayeeAccountNotFound),
        ("so it is by IBAN", pay(1, "alice", "r", ALICE, SETTLEMENT_IBAN, eur(5)), PayeeAccountNotFound),
        ("pays itself", pay(1, "alice", "r", ALICE, "#1", eur(5)), PaysItself),
        ("pays itself by IBAN", pay(1, "alice", "r", ALICE, ALICE_IBAN, eur(5)), PaysItself),
        ("no bank", no_route, Declined::NoRoute(NoRoute::NoChannel)),
    ] {
        for validate_only in [false, true] {
            let pay = Pay { validate_only, ..pay.clone() };
            let (outcomes, writes) = accounts_with(100).commit(&[command(pay)]);
            assert_eq!(outcomes, [Outcome::Declined(expected.clone())], "{what}");
            assert!(writes.is_empty(), "{what}");
        }
    }
}

#[test]
fn what_the_rules_refuse_is_recorded_as_failed_with_its_reason() {
    for (what, pay, code, iso_code) in [
        ("one unit too much", pay(1, "alice", "r", ALICE, "123", eur(101)), "INSUFFICIENT_FUNDS", "AM04"),
        ("so on this ledger", pay(1, "alice", "r", ALICE, "#4", eur(101)), "INSUFFICIENT_FUNDS", "AM04"),
        ("closed payer", pay(1, "alice", "r", ALICE_CLOSED, "#4", eur(1)), "PAYER_ACCOUNT_CLOSED", "AC05"),
        ("closed payee", pay(1, "alice", "r", ALICE, "#3", eur(1)), "PAYEE_ACCOUNT_CLOSED", "AC07"),
    ] {
        let mut twin = accounts_with(100);
        let before = twin.clone();
        let dry = twin.commit_one(command(Pay { validate_only: true, ..pay.clone() }));
        assert!(
            matches!(dry, Outcome::Validated(Err(refusal)) if refusal.reason().code == code),
            "{what}: {dry:?}"
        );
        assert_eq!(twin, before);
        let payment = as_payment(twin.commit_one(command(pay.clone())));
        let reason = payment.reason.clone().expect("a reason");
        assert_eq!(
            (payment.state, reason.code.as_str(), reason.iso_code.as_str()),
            (State::Failed, code, iso_code)
        );
        assert_eq!((&twin.accounts, &twin.transfers), (&before.accounts, &before.transfers), "{what}");
        assert_eq!(twin.events.len(), 1);
        // A retry hears the same, even once the payment would pass.
        twin.commit(&[deposit(7, "alice", "more", ALICE, eur(1000)), approve(7, "alice", 7, ALICE, 1000)]);
        let again = twin.commit_one(command(Pay { id: self::payment(2), ..pay }));
        assert_eq!(again, Outcome::Replayed(Box::new(payment)), "{what}");
    }
}

#[test]
fn the_last_unit_can_be_paid() {
    let mut twin = accounts_with(100);
    let outcome = twin.commit_one(command(pay(1, "alice", "r1", ALICE, "123", eur(60))));
    assert!(matches!(outcome, Outcome::Submitted(_)));
    assert_eq!(
        as_payment(twin.commit_one(command(pay(2, "alice", "r2", ALICE, "#4", eur(40))))).state,
        State::Succeeded
    );
    assert_eq!(
        as_payment(twin.commit_one(command(pay(3, "alice", "r3", ALICE, "#4", eur(1))))).state,
        State::Failed
    );
}

#[test]
fn a_request_id_belongs_to_its_participant_and_to_one_content() {
    let mut twin = accounts_with(100);
    let first = pay(1, "alice", "r", ALICE, "#4", eur(5));
    let made = as_payment(twin.commit_one(command(first.clone())));
    let theirs = as_payment(twin.commit_one(command(pay(2, "bob", "r", BOB, "#1", eur(5)))));
    assert_eq!((made.id, theirs.id), (payment(1), payment(2)));
    for (what, pay, expected) in [
        ("same content", Pay { id: payment(3), ..first.clone() }, Outcome::Replayed(Box::new(made.clone()))),
        (
            "as a question",
            Pay { id: payment(3), validate_only: true, ..first.clone() },
            Outcome::Replayed(Box::new(made.clone())),
        ),
        ("its own number: the commit's answer got lost", first, Outcome::Payment(Box::new(made))),
        (
            "other amount",
            pay(3, "alice", "r", ALICE, "#4", eur(6)),
            Outcome::Declined(Declined::RequestIdReused),
        ),
        (
            "other payee",
            pay(3, "alice", "r", ALICE, "123", eur(5)),
            Outcome::Declined(Declined::RequestIdReused),
        ),
        // Content is compared before anything else is looked at.
        (
            "unknown payer",
            pay(3, "alice", "r", 77, "#4", eur(5)),
            Outcome::Declined(Declined::RequestIdReused),
        ),
    ] {
        let (outcomes, writes) = twin.commit(&[command(pay)]);
        assert_eq!(outcomes, [expected], "{what}");
        assert!(writes.is_empty(), "{what}");
    }
}

#[test]
fn repeats_in_one_batch_hear_what_the_batch_did_before_them() {
    let mut twin = accounts_with(100);
    let first = pay(1, "alice", "r", ALICE, "123", eur(5));
    let (outcomes, _) =
        twin.commit(&[command(first.clone()), command(Pay { id: payment(2), ..first.clone() })]);
    assert!(
        matches!(&outcomes[..], [Outcome::Submitted(_), Outcome::Replayed(payment)] if payment.id == first.id)
    );
    let accepted = evidence()[0].clone();
    let again = command(Pay { id: payment(3), ..first.clone() });
    let (outcomes, _) =
        twin.commit(&[again.clone(), conclude(first.id, Lease::FIRST.token, accepted), again]);
    let states: Vec<_> = outcomes.into_iter().map(|outcome| as_payment(outcome).state).collect();
    assert_eq!(states, [State::Submitted, State::Succeeded, State::Succeeded]);
}
