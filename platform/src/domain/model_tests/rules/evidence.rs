//! What banks say, and what it does to payments.

use super::{as_payment, command, conclude, eur};
use crate::domain::{
    ledger::{Command, Declined, Outcome, Pay, QueueWrite, Witness, Writes, decide},
    model_tests::{
        twin::{START, accounts, accounts_with},
        world::*,
    },
    payment::{Evidence, Lease, Operation, State, Work},
};

#[test]
fn evidence_decides_and_only_the_holder_of_the_lease_brings_it() {
    use State::*;
    let table = [
        (0, Succeeded, true, "", ""),
        (1, Failed, false, "REJECTED_BY_BANK", "AC04"),
        (2, Failed, false, "BANK_UNREACHABLE", "AB08"),
        (3, Failed, false, "NEVER_RECEIVED_BY_BANK", "AG09"),
        (4, Unknown, false, "BANK_TIMEOUT", ""),
    ];
    for start in [Submitted, Unknown] {
        for (kind, state, moves, code, iso_code) in table {
            let mut twin = accounts_with(100);
            twin.commit_one(command(pay(1, "alice", "r", ALICE, "123", eur(5))));
            if start == Unknown {
                twin.commit_one(conclude(payment(1), Lease::FIRST.token, evidence()[4].clone()));
            }
            let lost = twin.commit(&[
                conclude(payment(1), Lease::FIRST.token + 1, evidence()[kind].clone()),
                conclude(payment(1), Lease::FIRST.token - 1, evidence()[kind].clone()),
            ]);
            assert!(lost.1.is_empty());
            assert!(lost.0.iter().all(|outcome| *outcome == Outcome::Declined(Declined::LeaseLost)));

            let (outcomes, writes) =
                twin.commit(&[conclude(payment(1), Lease::FIRST.token, evidence()[kind].clone())]);
            let concluded = as_payment(outcomes.into_iter().next().expect("an outcome"));
            let reason =
                concluded.reason.clone().map(|reason| (reason.code, reason.iso_code)).unwrap_or_default();
            assert_eq!((concluded.state, reason), (state, (code.to_owned(), iso_code.to_owned())));
            assert_eq!(writes.transfers.len(), usize::from(moves));
            let held = writes.deltas.get(&account(ALICE)).map_or(0, |delta| delta.debits_pending);
            assert_eq!(held, if state.is_final() { -5 } else { 0 });
            match writes.queue.get(&payment(1)) {
                // In its first lease it is not in the queue.
                None => assert!(start == Submitted && state.is_final()),
                Some(QueueWrite::Enter { work, .. }) => {
                    assert_eq!((start, state, *work), (Submitted, Unknown, Work::Enquire));
                }
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
                let (outcomes, writes) = twin.commit(&[conclude(payment(1), 99, later)]);
                if state.is_final() {
                    assert_eq!(outcomes, [Outcome::Payment(Box::new(concluded.clone()))]);
                }
                // What contradicts is told to people, and moves nothing.
                assert!(Writes { alarms: Vec::new(), ..writes }.is_empty());
            }
        }
    }
    let nobodys =
        accounts().commit_one(conclude(payment(9), 1, Evidence::NeverReceived { next_attempt_after: None }));
    assert_eq!(nobodys, Outcome::Declined(Declined::PaymentNotFound));
}

#[test]
fn what_is_under_way_is_concluded_on_a_closed_account_too() {
    for kind in 0..4 {
        let mut twin = accounts_with(100);
        twin.commit_one(command(pay(1, "alice", "r", ALICE, "123", eur(5))));
        for account in twin.accounts.values_mut() {
            account.closed = true;
        }
        let payment =
            as_payment(twin.commit_one(conclude(payment(1), Lease::FIRST.token, evidence()[kind].clone())));
        assert!(payment.state.is_final());
    }
}

/// Of a transaction the database sees only a payment's first and last state.
#[test]
fn a_step_that_does_not_follow_from_the_first_state_waits_for_the_next_transaction() {
    let paid = || {
        let mut twin = accounts_with(100);
        twin.commit_one(command(pay(1, "alice", "r", ALICE, "123", eur(5))));
        twin
    };
    let says = |kind: usize| conclude(payment(1), Lease::FIRST.token, evidence()[kind].clone());
    let bank =
        |kind: usize| Command::Conclude(Box::new(said(payment(1), Witness::Bank, evidence()[kind].clone())));
    let cancel = || Command::Cancel(Box::new(cancel(payment(1), None)));
    let send = || submit(payment(1), None, Lease::FIRST.token);
    let (unknown, waits) = (4, 7);
    for (what, commands, at_once, states) in [
        ("cancelled", vec![says(waits), cancel()], 1, vec![State::Held, State::Cancelled]),
        ("sent again", vec![says(waits), send()], 1, vec![State::Held, State::Submitted]),
        (
            "sent again, and paid before",
            vec![says(unknown), says(waits), send(), bank(0)],
            2,
            vec![State::Unknown, State::Held, State::Submitted, State::Succeeded],
        ),
        ("one step is like another", vec![says(unknown), says(0)], 2, vec![State::Unknown, State::Succeeded]),
    ] {
        let (outcomes, _) = decide(paid().load(&commands), &commands, START);
        assert_eq!(outcomes.len(), at_once, "{what}");
        let (outcomes, _) = paid().commit(&commands);
        assert_eq!(
            outcomes.into_iter().map(|one| as_payment(one).state).collect::<Vec<_>>(),
            states,
            "{what}"
        );
    }
}

/// A refund or return that names nothing would reach the bank as an order to pay.
#[test]
fn what_a_bank_was_never_sent_it_is_not_asked_to_give_back() {
    let held = || {
        let mut twin = accounts_with(100);
        let waits = Pay { bank: Ok(aurora(true)), ..pay(1, "alice", "r", ALICE, "123", eur(5)) };
        twin.commit_one(command(waits));
        twin
    };
    let paid_unasked = |nth| {
        let mut said = said(payment(1), Witness::Bank, evidence()[0].clone());
        said.compensation = Some(compensation(nth));
        Command::Conclude(Box::new(said))
    };
    // Two operators believe the bank.
    let mut twin = held();
    twin.commit_one(paid_unasked(2));
    for (nth, actor) in [(3, "ada"), (4, "bea")] {
        twin.commit_one(Command::Resolve(Box::new(resolve(nth, actor, payment(1), true, "letter"))));
    }
    assert_eq!(twin.payments[&payment(1)].state, State::Succeeded);
    let refund = twin.commit_one(Command::Refund(Box::new(refund(5, "alice", "b", payment(1), None))));
    assert_eq!(refund, Outcome::Declined(Declined::NotPermitted(Operation::Refund, State::Succeeded)));
    // It was cancelled before.
    let mut twin = held();
    twin.commit_one(Command::Cancel(Box::new(cancel(payment(1), None))));
    twin.commit_one(paid_unasked(3));
    let back = compensation(3).payment;
    let sent = twin.commit_one(submit(back, Some(payment(1)), Lease::FIRST.token));
    assert_eq!(sent, Outcome::Declined(Declined::NotPermitted(Operation::Submit, State::Held)));
}
