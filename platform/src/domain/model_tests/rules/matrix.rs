//! Every state and all that can be done there: what comes of it, down to the reason, and that nothing else is written.

use super::{command, conclude, eur};
use crate::domain::{
    ledger::{Command, Declined, Outcome, Witness, Writes},
    model_tests::{
        twin::{Twin, accounts_with},
        world::*,
    },
    payment::{Lease, Operation, Permit, State},
};

use Operation::{Cancel, Capture, Conclude, Expire, Refund, Resolve, Submit};
use State::*;

/// What comes of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// Refused for the payment's state; nothing is written.
    No,
    /// The payment as it is; nothing is written.
    Stays,
    /// The payment as it is; people are told.
    Alarm,
    /// The payment as it is; people are told, and the bank is asked to return what it paid.
    Return,
    /// It takes a second operator; nothing else is written.
    Proposed,
    /// A capture or refund of it is made.
    Child,
    /// Goes to the bank, as a new attempt.
    Sent,
    /// The payment in its next state.
    Is(State),
}

use Then::{Alarm, Child, Is, No, Proposed, Return, Sent, Stays};

/// How long an authorization stays.
const WEEK_S: u64 = 7 * 24 * 60 * 60;

/// The evidence of a column of `Conclude`, as in [`evidence`].
const ACCEPTED: usize = 0;
const REJECTED: usize = 1;
const NEVER: usize = 3;
const UNCLEAR: usize = 4;
const ODD: usize = 5;

#[rustfmt::skip]
const COLUMNS: [(Operation, usize); 11] = [
    (Capture, 0), (Cancel, 0), (Expire, 0), (Refund, 0), (Submit, 0), (Conclude, ACCEPTED), (Conclude, REJECTED),
    (Conclude, NEVER), (Conclude, UNCLEAR), (Conclude, ODD), (Resolve, 0),
];

#[rustfmt::skip]
const MATRIX: [(State, [Then; 11]); 9] = [
    //             Capture Cancel         Expire       Refund Submit Accepted         Rejected    Never       Unclear      Odd              Resolve
    (Held,        [No,    Is(Cancelled), No,          No,    Sent,  Is(Investigate), Alarm,      Stays,      Stays,       Stays,           No]),
    (Authorized,  [Child, Is(Cancelled), Is(Expired), No,    No,    Alarm,           Alarm,      Stays,      Stays,       Stays,           No]),
    (Submitted,   [No,    No,            No,          No,    Stays, Is(Succeeded),   Is(Failed), Is(Failed), Is(Unknown), Is(Investigate), No]),
    (Unknown,     [No,    No,            No,          No,    Stays, Is(Succeeded),   Is(Failed), Is(Failed), Stays,       Is(Investigate), Proposed]),
    (Investigate, [No,    No,            No,          No,    Stays, Alarm,           Alarm,      Stays,      Stays,       Stays,           Proposed]),
    (Succeeded,   [No,    No,            Stays,       Child, Stays, Stays,           Alarm,      Stays,      Stays,       Stays,           No]),
    (Failed,      [No,    No,            Stays,       No,    Stays, Return,          Stays,      Stays,      Stays,       Stays,           No]),
    (Cancelled,   [No,    Stays,         Stays,       No,    Stays, Return,          Stays,      Stays,      Stays,       Stays,           No]),
    (Expired,     [No,    No,            Stays,       No,    Stays, Alarm,           Stays,      Stays,      Stays,       Stays,           No]),
];

/// A ledger with a payment in this state.
fn with_payment_in(state: State) -> Twin {
    let mut twin = accounts_with(1_000);
    let mut pay = pay(1, "alice", "r", ALICE, "123", eur(100));
    let says = |kind: usize| conclude(payment(1), Lease::FIRST.token, evidence()[kind].clone());
    let mut then = Vec::new();
    match state {
        Held | Cancelled => pay.bank = Ok(aurora(true)),
        Authorized | Expired => pay.order.capture = common::order::Capture::Manual(None),
        Submitted => {}
        Unknown => then.push(says(UNCLEAR)),
        Investigate => then.push(says(ODD)),
        Succeeded => then.push(says(ACCEPTED)),
        Failed => then.push(says(REJECTED)),
    }
    twin.commit_one(command(pay));
    match state {
        Cancelled => then.push(Command::Cancel(Box::new(cancel(payment(1), None)))),
        Expired => {
            twin.now_s = WEEK_S;
            then.push(expire(payment(1), Lease::FIRST.token));
        }
        _ => {}
    }
    for command in then {
        twin.commit_one(command);
    }
    assert_eq!(twin.payments[&payment(1)].state, state);
    twin
}

fn operation(operation: Operation, kind: usize) -> Command {
    let (id, token) = (payment(1), Lease::FIRST.token);
    match operation {
        Capture => Command::Capture(Box::new(capture(8, "then", id, Some(eur(40))))),
        Cancel => Command::Cancel(Box::new(cancel(id, None))),
        Expire => expire(id, token),
        Refund => Command::Refund(Box::new(refund(8, "alice", "then", id, Some(eur(40))))),
        Submit => submit(id, None, token),
        Conclude => {
            let mut said = said(id, Witness::Lease(token), evidence()[kind].clone());
            said.compensation = Some(compensation(7));
            Command::Conclude(Box::new(said))
        }
        Resolve => Command::Resolve(Box::new(resolve(7, "ada", id, true, "letter"))),
    }
}

/// What came of an operation, as its outcome and its writes show.
fn came_of(twin: &mut Twin, done: Operation, kind: usize) -> Then {
    let before = twin.payments[&payment(1)].clone();
    if done == Expire {
        twin.now_s = WEEK_S;
    }
    let (mut outcomes, writes) = twin.commit(&[operation(done, kind)]);
    let after = twin.payments[&payment(1)].clone();
    let stays = after == before;
    match outcomes.remove(0) {
        Outcome::Declined(Declined::NotPermitted(operation, state)) => {
            assert_eq!((operation, state, writes.is_empty()), (done, before.state, true));
            No
        }
        Outcome::Submitted(made) if made.payment.id == payment(1) => {
            assert_eq!((after.state, made.attempt.number), (Submitted, 1));
            Sent
        }
        Outcome::Submitted(made) => {
            assert_eq!((made.payment.original, made.payment.amount), (Some(payment(1)), eur(40)));
            Child
        }
        Outcome::Resolution(shown, true) => {
            // Who proposed what, and nothing else.
            let rest = Writes { proposals: Default::default(), resolution_acts: Vec::new(), ..writes };
            assert!(stays && *shown == before && rest.is_empty());
            Proposed
        }
        Outcome::Payment(shown) if !writes.new_payments.is_empty() => {
            assert!(stays && *shown == before && writes.alarms.len() == 1);
            Return
        }
        Outcome::Payment(shown) if stays => {
            let is_alarm = !writes.alarms.is_empty();
            // The queue alone may be told when to go on.
            let rest = Writes { alarms: Vec::new(), queue: Default::default(), ..writes };
            assert!(*shown == before && rest.is_empty());
            if is_alarm { Alarm } else { Stays }
        }
        Outcome::Payment(shown) => {
            assert_eq!(*shown, after);
            Is(after.state)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_operation_in_every_state_comes_to_what_is_promised() {
    let states: Vec<_> = MATRIX.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, State::ALL);
    assert!(Operation::ALL.into_iter().all(|operation| COLUMNS.iter().any(|(one, _)| *one == operation)));
    for (state, row) in MATRIX {
        for ((operation, kind), expected) in COLUMNS.into_iter().zip(row) {
            let what = format!("{operation:?} {kind} in {state:?}");
            assert_eq!(came_of(&mut with_payment_in(state), operation, kind), expected, "{what}");
            // The table by which the rules go says the same, as far as it goes.
            let permit = match expected {
                Is(Investigate) if state == Held => Permit::No,
                Alarm | Stays if operation == Conclude && !state.is_final() && state != Unknown => Permit::No,
                Stays if (operation, state) == (Conclude, Unknown) => Permit::Yes,
                No => Permit::No,
                Stays | Alarm | Return => Permit::Done,
                Child | Sent | Proposed | Is(_) => Permit::Yes,
            };
            assert_eq!(state.permits(operation), permit, "{what}");
        }
    }
}

/// What is not a payment of its own or has a part left is treated by what it is.
#[test]
fn authorizations_are_not_refunded_and_refunds_neither() {
    let mut twin = with_payment_in(Authorized);
    twin.commit_one(Command::Capture(Box::new(capture(2, "c", payment(1), None))));
    twin.commit_one(conclude_child(2, payment(1)));
    assert_eq!(twin.payments[&payment(1)].state, Succeeded);
    twin.commit_one(Command::Refund(Box::new(refund(4, "alice", "b", payment(2), None))));
    twin.commit_one(conclude_child(4, payment(2)));
    for (number, id) in [(6, payment(1)), (7, payment(4))] {
        let again =
            twin.commit_one(Command::Refund(Box::new(refund(number, "alice", "x", id, Some(eur(1))))));
        assert_eq!(again, Outcome::Declined(Declined::NotPermitted(Refund, Succeeded)), "{id}");
    }
    for done in [Capture, Cancel] {
        let over = twin.commit_one(operation(done, 0));
        assert_eq!(over, Outcome::Declined(Declined::NotPermitted(done, Succeeded)));
    }
}

/// Who did not hear the answer asks again.
#[test]
fn repeating_a_cancellation_changes_nothing_though_something_was_captured() {
    for is_concluded_before in [true, false] {
        let mut twin = with_payment_in(Authorized);
        twin.commit_one(Command::Capture(Box::new(capture(2, "c", payment(1), Some(eur(40))))));
        let mut order = vec![conclude_child(2, payment(1)), operation(Cancel, 0)];
        if !is_concluded_before {
            order.reverse();
        }
        for command in order {
            twin.commit_one(command);
        }
        let cancelled = twin.payments[&payment(1)].clone();
        assert_eq!(cancelled.state, Succeeded);
        let (outcomes, writes) = twin.commit(&[operation(Cancel, 0)]);
        assert_eq!((outcomes, writes), (vec![Outcome::Payment(Box::new(cancelled))], Writes::default()));
    }
}

/// The bank did what a capture or refund asked for.
fn conclude_child(number: u128, original: common::id::PaymentId) -> Command {
    let witness = Witness::Lease(Lease::FIRST.token);
    let mut said = said(payment(number), witness, evidence()[ACCEPTED].clone());
    said.original = Some(original);
    Command::Conclude(Box::new(said))
}
