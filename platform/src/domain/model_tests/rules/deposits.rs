//! Deposits take two operators, and are decided on once.

use super::{approve, eur};
use crate::domain::{
    deposit::DepositState,
    ledger::{Command, Declined, Outcome, Ruling},
    model_tests::{
        twin::{Twin, accounts},
        world::*,
    },
    refusal::Refusal,
};

use DepositState::{Booked, Lapsed, PendingApproval, Rejected};

/// The accounts, and a deposit of 5 on Alice's that ada proposed.
fn proposed() -> Twin {
    let mut twin = accounts();
    twin.commit_one(deposit(1, "alice", "d", ALICE, eur(5)));
    twin
}

fn reject(nth: u128, by: &str) -> Command {
    let ruling = Ruling::Reject { by: by.to_owned(), reason: "no such line".to_owned() };
    decide(nth, "alice", 1, ALICE, ruling)
}

fn approve_as(nth: u128, by: &str) -> Command {
    decide(nth, "alice", 1, ALICE, Ruling::Approve { by: by.to_owned(), amount: eur(5) })
}

fn lapse(nth: u128) -> Command {
    decide(nth, "alice", 1, ALICE, Ruling::Lapse)
}

/// A deposit's state, and whether it was so before.
fn state(outcome: Outcome) -> (DepositState, bool) {
    let Outcome::Deposit(deposit, before) = outcome else { panic!("no deposit: {outcome:?}") };
    (deposit.state(), before)
}

fn posted(twin: &Twin) -> i64 {
    twin.accounts[&account(ALICE)].balances.credits_posted
}

#[test]
fn deposits_are_proposed_once_and_only_on_ones_own_open_account() {
    use Declined::*;
    let mut twin = accounts();
    let first = twin.commit_one(deposit(1, "alice", "d", ALICE, eur(5)));
    let Outcome::Deposit(made, false) = first else { panic!("{first:?}") };
    assert_eq!((made.state(), posted(&twin)), (PendingApproval, 0));
    for (what, command, expected) in [
        ("repeat", deposit(2, "alice", "d", ALICE, eur(5)), Outcome::Deposit(made.clone(), true)),
        (
            "its commit's answer got lost",
            deposit(1, "alice", "d", ALICE, eur(5)),
            Outcome::Deposit(made, false),
        ),
        ("other amount", deposit(2, "alice", "d", ALICE, eur(6)), Outcome::Declined(RequestIdReused)),
        ("unknown account", deposit(2, "alice", "e", 77, eur(5)), Outcome::Declined(AccountNotFound)),
        ("another's account", deposit(2, "alice", "e", BOB, eur(5)), Outcome::Declined(AccountNotFound)),
        (
            "other currency",
            deposit(2, "alice", "e", ALICE, money(5, USD)),
            Outcome::Declined(CurrencyMismatch("account")),
        ),
        (
            "closed",
            deposit(2, "alice", "e", ALICE_CLOSED, eur(5)),
            Outcome::Declined(DepositRefused(Refusal::PayeeAccountClosed)),
        ),
    ] {
        let (outcomes, writes) = twin.commit(&[command]);
        assert_eq!(outcomes, [expected], "{what}");
        assert!(writes.is_empty(), "{what}");
    }
}

#[test]
fn a_participant_has_so_many_deposits_pending_and_no_more() {
    let mut twin = accounts();
    let propose = |number: u128, request: &str| deposit(number, "alice", request, ALICE, eur(5));
    let is_made = |outcome: Outcome| state(outcome) == (PendingApproval, false);
    let full = Outcome::Declined(Declined::TooManyPendingDeposits(3));
    assert!(is_made(twin.commit_one(propose(1, "d"))));
    // The third and a fourth in one batch.
    let (outcomes, _) = twin.commit(&[propose(2, "e"), propose(3, "f"), propose(4, "g")]);
    let [second, third, fourth] = outcomes.try_into().unwrap();
    assert!(is_made(second) && is_made(third));
    assert_eq!(fourth, full);
    assert_eq!(twin.commit_one(propose(4, "g")), full);
    assert_eq!(state(twin.commit_one(propose(4, "e"))), (PendingApproval, true), "a repeat takes no room");
    assert!(is_made(twin.commit_one(deposit(5, "bob", "d", BOB, eur(5)))), "others have their own");
    // One is decided on, and there is room for one, in the same batch.
    let (outcomes, _) = twin.commit(&[reject(1, "bea"), propose(4, "g"), propose(6, "h")]);
    let [rejected, made, refused] = outcomes.try_into().unwrap();
    assert_eq!(state(rejected), (Rejected, false));
    assert!(is_made(made));
    assert_eq!(refused, full);
}

#[test]
fn a_deposit_is_booked_when_another_operator_approves_its_amount_and_once() {
    let mut twin = proposed();
    for (what, command, expected) in [
        ("whoever proposed it", approve_as(1, "ada"), Declined::SecondOperatorRequired),
        ("another amount", approve(2, "alice", 1, ALICE, 6), Declined::AmountDiffers),
        ("another participant", approve(3, "bob", 1, ALICE, 5), Declined::DepositNotFound),
        ("no deposit", approve(4, "alice", 2, ALICE, 5), Declined::DepositNotFound),
    ] {
        let (outcomes, writes) = twin.commit(&[command]);
        assert_eq!(outcomes, [Outcome::Declined(expected)], "{what}");
        assert!(writes.is_empty(), "{what}");
    }
    assert_eq!(state(twin.commit_one(approve_as(5, "bea"))), (Booked, false));
    assert_eq!(state(twin.commit_one(approve_as(5, "bea"))), (Booked, false), "the commit's answer got lost");
    assert_eq!(state(twin.commit_one(approve_as(6, "bea"))), (Booked, true));
    let again = twin.commit_one(deposit(2, "alice", "d", ALICE, eur(5)));
    assert_eq!(state(again), (Booked, true), "as it is now");
    for (what, command) in [
        ("a third operator", approve_as(7, "cleo")),
        ("the proposer", approve_as(8, "ada")),
        ("rejected", reject(9, "bea")),
        ("lapsed", lapse(10)),
    ] {
        assert_eq!(
            twin.commit_one(command),
            Outcome::Declined(Declined::DepositNotPending(Booked)),
            "{what}"
        );
    }
    assert_eq!(posted(&twin), 5);
}

#[test]
fn a_deposit_is_rejected_by_either_operator_and_stays_so() {
    for by in ["ada", "bea"] {
        let mut twin = proposed();
        assert_eq!(state(twin.commit_one(reject(1, by))), (Rejected, false));
        assert_eq!(state(twin.commit_one(reject(2, by))), (Rejected, true));
        for command in [approve_as(3, "bea"), reject(4, "cleo"), lapse(5)] {
            let over = Outcome::Declined(Declined::DepositNotPending(Rejected));
            assert_eq!(twin.commit_one(command), over);
        }
        assert_eq!(posted(&twin), 0);
    }
}

#[test]
fn a_deposit_lapses_when_its_time_is_over_and_not_before() {
    let mut twin = proposed();
    twin.now_s = 599;
    assert_eq!(state(twin.commit_one(lapse(1))), (PendingApproval, false));
    twin.now_s = 600;
    // Whoever comes first writes it, so that no slower clock can approve it any more.
    let over = Outcome::Declined(Declined::DepositNotPending(Lapsed));
    assert_eq!(twin.commit_one(approve_as(2, "bea")), over);
    twin.now_s = 10;
    assert_eq!(twin.commit_one(approve_as(3, "bea")), over);
    assert_eq!(state(twin.commit_one(lapse(4))), (Lapsed, true));
    assert_eq!(posted(&twin), 0);
    let mut twin = proposed();
    twin.now_s = 601;
    assert_eq!(state(twin.commit_one(lapse(1))), (Lapsed, false));
    assert_eq!(twin.commit_one(reject(2, "bea")), over);
}

#[test]
fn what_closed_meanwhile_is_not_booked() {
    let mut twin = proposed();
    let close = |twin: &mut Twin, closed| {
        twin.accounts.get_mut(&account(ALICE)).expect("the account").closed = closed
    };
    close(&mut twin, true);
    let refused = Outcome::Declined(Declined::DepositRefused(Refusal::PayeeAccountClosed));
    assert_eq!(twin.commit_one(approve_as(1, "bea")), refused);
    close(&mut twin, false);
    assert_eq!(state(twin.commit_one(approve_as(2, "bea"))), (Booked, false));
}

#[test]
fn of_two_in_one_batch_the_first_decides() {
    for (first, second, posted_then) in [
        (approve_as(1, "bea"), approve_as(2, "cleo"), 5),
        (approve_as(1, "bea"), reject(2, "ada"), 5),
        (reject(1, "ada"), approve_as(2, "bea"), 0),
    ] {
        let mut twin = proposed();
        let (outcomes, _) = twin.commit(&[first, second]);
        let is_decided = matches!(
            outcomes[..],
            [Outcome::Deposit(_, false), Outcome::Declined(Declined::DepositNotPending(_))]
        );
        assert!(is_decided, "{outcomes:?}");
        assert_eq!(posted(&twin), posted_then);
    }
}
