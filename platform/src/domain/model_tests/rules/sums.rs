//! What arrives, and how much the ledger can count.

use proptest::prelude::*;

use super::{approve, as_payment, command, eur};
use crate::domain::{
    account::{Account, Balances, Side},
    ledger::{Declined, Outcome, Snapshot, decide},
    model_tests::{
        twin::{START, accounts, accounts_with},
        world::*,
    },
    payment::State,
    refusal::Refusal,
};

#[test]
fn sums_that_the_ledger_cannot_count_are_refused() {
    const MAX: i64 = i64::MAX;
    let balances = |debits_pending, debits_posted, credits_pending, credits_posted| Balances {
        debits_pending,
        debits_posted,
        credits_pending,
        credits_posted,
    };
    let overflow = Err(Refusal::BalanceOverflow);
    let poor = Err(Refusal::InsufficientFunds);
    for (side, held, amount, expected) in [
        (Side::Credit, balances(0, 0, 0, MAX - 1), 1, Ok(())),
        (Side::Credit, balances(0, 0, 0, MAX - 1), 2, overflow),
        (Side::Credit, balances(0, 0, 1, MAX - 1), 1, overflow),
        (Side::Credit, balances(0, 0, MAX, 0), 1, overflow),
        (Side::Credit, balances(0, 0, MAX, MAX), MAX, overflow),
        (Side::Debit, balances(0, 0, 0, MAX), MAX, Ok(())),
        (Side::Debit, balances(1, 0, 0, MAX), MAX - 1, Ok(())),
        (Side::Debit, balances(1, MAX - 2, 0, MAX), 1, Ok(())),
        (Side::Debit, balances(1, MAX - 1, 0, MAX), 1, overflow),
        (Side::Debit, balances(0, MAX - 1, 0, MAX - 1), 1, poor),
        (Side::Debit, balances(0, 0, MAX, 0), 1, poor),
    ] {
        let mut account = accounts().accounts[&account(ALICE)].clone();
        account.balances = held;
        assert_eq!(account.check(side, eur(amount)), expected, "{side:?} {amount} of {held:?}");
    }
}

#[test]
fn an_overflow_on_either_side_fails_the_payment_and_refuses_the_deposit() {
    type Fill = fn(&mut Account);
    let near_max = i64::MAX - 3;
    let cases: [(&str, Fill, &str); 3] = [
        ("payee's credits", |payee| payee.balances.credits_posted = i64::MAX - 3, "#4"),
        ("expected credits", |bank| bank.balances.credits_pending = i64::MAX - 3, "123"),
        (
            "both",
            |bank| (bank.balances.credits_pending, bank.balances.credits_posted) = (1, i64::MAX - 4),
            "123",
        ),
    ];
    for (what, fill, to) in cases {
        let credited = account(if to == "#4" { BOB } else { SETTLEMENT_EUR });
        let mut loaded = accounts_with(100).accounts;
        fill(loaded.get_mut(&credited).expect("the account"));
        let snapshot = Snapshot { accounts: loaded, ..Default::default() };
        let commands = [
            command(pay(1, "alice", "r", ALICE, to, eur(4))),
            command(pay(2, "alice", "s", ALICE, to, eur(3))),
        ];
        let (outcomes, _) = decide(snapshot, &commands, START);
        let payments: Vec<_> = outcomes.into_iter().map(as_payment).collect();
        assert_eq!(
            payments[0].reason.as_ref().map(|reason| reason.code.as_str()),
            Some("BALANCE_OVERFLOW"),
            "{what}"
        );
        assert_ne!(payments[1].state, State::Failed, "{what}");
    }
    let mut twin = accounts();
    twin.commit(&[
        deposit(1, "alice", "d", ALICE, eur(near_max)),
        deposit(4, "alice", "f", ALICE, eur(4)),
        approve(1, "alice", 1, ALICE, near_max),
    ]);
    let refused = Outcome::Declined(Declined::DepositRefused(Refusal::BalanceOverflow));
    assert_eq!(
        twin.commit_one(approve(4, "alice", 4, ALICE, 4)),
        refused,
        "it would have fitted when it was proposed"
    );
    assert_eq!(twin.commit_one(deposit(2, "alice", "e", ALICE, eur(4))), refused);
    // The settlement account's side is full as well, whoever is credited.
    assert_eq!(twin.commit_one(deposit(3, "bob", "e", BOB, eur(4))), refused);
}

fn huge() -> impl Strategy<Value = i64> {
    prop_oneof![0..4_i64, (i64::MAX / 2 - 2)..(i64::MAX / 2 + 3), (i64::MAX - 3)..=i64::MAX]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever passes the check can be held and posted without leaving 64 bits, whatever the sums were.
    #[test]
    fn no_sums_and_amounts_wrap_or_panic(sums in prop::array::uniform8(huge()), amounts in prop::collection::vec(huge(), 1..6)) {
        let mut accounts = accounts().accounts;
        for (number, sums) in [(ALICE, &sums[..4]), (SETTLEMENT_EUR, &sums[4..])] {
            let account = accounts.get_mut(&account(number)).expect("the account");
            // What the ledger keeps true of every account; the checks rely on it.
            let within = |pending: i64, posted: i64| pending.min(i64::MAX - posted);
            let (debits, credits) = (within(sums[0], sums[1]), within(sums[2], sums[3]));
            account.balances = Balances {
                debits_pending: debits, debits_posted: sums[1], credits_pending: credits, credits_posted: sums[3],
            };
        }
        let before = accounts.clone();
        let commands: Vec<_> = amounts.iter().zip(1..).map(|(amount, number)| {
            command(pay(number, "alice", &number.to_string(), ALICE, "123", eur((*amount).max(1))))
        }).collect();
        let snapshot = Snapshot { accounts, ..Default::default() };
        let (_, writes) = decide(snapshot, &commands, START);
        for (id, delta) in &writes.deltas {
            let balances = before[id].balances;
            for (pending, added, posted) in [
                (balances.debits_pending, delta.debits_pending, balances.debits_posted),
                (balances.credits_pending, delta.credits_pending, balances.credits_posted),
            ] {
                let sum = i128::from(pending) + i128::from(added) + i128::from(posted);
                prop_assert!((0..=i128::from(i64::MAX)).contains(&sum));
            }
        }
    }
}
