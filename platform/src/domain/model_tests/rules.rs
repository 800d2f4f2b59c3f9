//! Single rules, as tables.

use common::money::Money;
use proptest::prelude::*;

use super::world::*;
use crate::domain::{
    account::{Account, Balances, Side},
    ledger::{Command, Declined, NoRoute, Outcome, Pay, QueueWrite, Snapshot, Writes, decide},
    payment::{Evidence, Lease, Payment, State, TRANSITIONS},
    refusal::Refusal,
    transfer::TransferKind,
};

fn command(pay: Pay) -> Command {
    Command::Pay(Box::new(pay))
}

fn as_payment(outcome: Outcome) -> Payment {
    match outcome {
        Outcome::Payment(payment) | Outcome::Replayed(payment) => *payment,
        Outcome::Submitted(submission) => submission.payment,
        other => panic!("no payment: {other:?}"),
    }
}

fn eur(minor_units: i64) -> Money {
    money(minor_units, EUR)
}

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
        twin.commit_one(deposit(7, "alice", "more", ALICE, eur(1000)));
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
        twin.commit(&[again.clone(), conclude(first.id, Lease::FIRST.token, accepted, 1), again]);
    let states: Vec<_> = outcomes.into_iter().map(|outcome| as_payment(outcome).state).collect();
    assert_eq!(states, [State::Submitted, State::Succeeded, State::Succeeded]);
}

/// What each evidence does to a payment under way: its state, the hold's end, the queue.
#[test]
fn evidence_decides_and_only_the_holder_of_the_lease_brings_it() {
    use State::*;
    use TransferKind::*;
    let table = [
        (0, Succeeded, Some(HoldPosted), "", ""),
        (1, Failed, Some(HoldReleased), "REJECTED_BY_BANK", "AC04"),
        (2, Failed, Some(HoldReleased), "BANK_UNREACHABLE", "AB08"),
        (3, Failed, Some(HoldReleased), "NEVER_RECEIVED_BY_BANK", "AG09"),
        (4, Unknown, None, "BANK_TIMEOUT", ""),
    ];
    for start in [Submitted, Unknown] {
        for (kind, state, transfer, code, iso_code) in table {
            let mut twin = accounts_with(100);
            twin.commit_one(command(pay(1, "alice", "r", ALICE, "123", eur(5))));
            if start == Unknown {
                twin.commit_one(conclude(payment(1), Lease::FIRST.token, evidence()[4].clone(), 1));
            }
            let lost = twin.commit(&[
                conclude(payment(1), Lease::FIRST.token + 1, evidence()[kind].clone(), 2),
                conclude(payment(1), Lease::FIRST.token - 1, evidence()[kind].clone(), 3),
            ]);
            assert!(lost.1.is_empty());
            assert!(lost.0.iter().all(|outcome| *outcome == Outcome::Declined(Declined::LeaseLost)));

            let (outcomes, writes) =
                twin.commit(&[conclude(payment(1), Lease::FIRST.token, evidence()[kind].clone(), 4)]);
            let concluded = as_payment(outcomes.into_iter().next().expect("an outcome"));
            let reason =
                concluded.reason.clone().map(|reason| (reason.code, reason.iso_code)).unwrap_or_default();
            assert_eq!((concluded.state, reason), (state, (code.to_owned(), iso_code.to_owned())));
            assert_eq!(writes.transfers.first().map(|transfer| transfer.kind), transfer);
            assert!(writes.transfers.iter().all(|end| end.hold == Some(concluded.first_transfer())));
            match writes.queue.get(&payment(1)) {
                Some(QueueWrite::Leave(token)) => {
                    assert_eq!((state.is_final(), *token), (true, Lease::FIRST.token))
                }
                Some(QueueWrite::Postpone { token, .. }) => {
                    assert_eq!((state, *token), (Unknown, Lease::FIRST.token))
                }
                other => panic!("{other:?}"),
            }
            // Whatever is said of a final payment later, by whomever: it stays as it is.
            for later in evidence() {
                let (outcomes, writes) = twin.commit(&[conclude(payment(1), 99, later, 5)]);
                if state.is_final() {
                    assert_eq!(outcomes, [Outcome::Payment(Box::new(concluded.clone()))]);
                }
                // What contradicts is told to people, and moves nothing.
                assert!(Writes { alarms: Vec::new(), ..writes }.is_empty());
            }
        }
    }
    let nobodys = accounts().commit_one(conclude(
        payment(9),
        1,
        Evidence::NeverReceived { next_attempt_after: None },
        1,
    ));
    assert_eq!(nobodys, Outcome::Declined(Declined::PaymentNotFound));
}

#[test]
fn states_change_as_the_table_says() {
    use State::*;
    let table: [(State, &[State]); 9] = [
        (Held, &[Submitted, Investigate, Cancelled]),
        (Authorized, &[Authorized, Succeeded, Cancelled, Expired]),
        (Submitted, &[Held, Unknown, Investigate, Succeeded, Failed]),
        (Unknown, &[Held, Investigate, Succeeded, Failed]),
        (Investigate, &[Succeeded, Failed]),
        (Succeeded, &[]),
        (Failed, &[]),
        (Cancelled, &[]),
        (Expired, &[]),
    ];
    for (from, row) in table {
        for to in State::ALL {
            assert_eq!(from.may_become(to), row.contains(&to), "{from:?} to {to:?}");
        }
        assert_eq!(State::from_name(from.name()), Some(from));
    }
    assert_eq!(TRANSITIONS.len(), table.iter().map(|(_, row)| row.len()).sum::<usize>());
    assert_eq!(State::from_name("submitted"), None);
    assert!(TransferKind::ALL.into_iter().all(|kind| TransferKind::from_name(kind.name()) == Some(kind)));
}

#[test]
fn what_is_under_way_is_concluded_on_a_closed_account_too() {
    for kind in 0..4 {
        let mut twin = accounts_with(100);
        twin.commit_one(command(pay(1, "alice", "r", ALICE, "123", eur(5))));
        for account in twin.accounts.values_mut() {
            account.closed = true;
        }
        let payment = as_payment(twin.commit_one(conclude(
            payment(1),
            Lease::FIRST.token,
            evidence()[kind].clone(),
            1,
        )));
        assert!(payment.state.is_final());
    }
}

#[test]
fn deposits_are_booked_once_and_only_on_ones_own_open_account() {
    use Declined::*;
    let mut twin = accounts();
    let first = twin.commit_one(deposit(1, "alice", "d", ALICE, eur(5)));
    let Outcome::Deposit(booked, false) = first else { panic!("{first:?}") };
    for (what, command, expected) in [
        ("repeat", deposit(2, "alice", "d", ALICE, eur(5)), Outcome::Deposit(booked.clone(), true)),
        (
            "its commit's answer got lost",
            deposit(1, "alice", "d", ALICE, eur(5)),
            Outcome::Deposit(booked, false),
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
        let (outcomes, _) = decide(snapshot, &commands, super::twin::START);
        let payments: Vec<_> = outcomes.into_iter().map(as_payment).collect();
        assert_eq!(
            payments[0].reason.as_ref().map(|reason| reason.code.as_str()),
            Some("BALANCE_OVERFLOW"),
            "{what}"
        );
        assert_ne!(payments[1].state, State::Failed, "{what}");
    }
    let mut twin = accounts();
    twin.commit_one(deposit(1, "alice", "d", ALICE, eur(near_max)));
    let refused = Outcome::Declined(Declined::DepositRefused(Refusal::BalanceOverflow));
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
        let (_, writes) = decide(snapshot, &commands, super::twin::START);
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
