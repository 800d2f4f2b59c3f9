//! Single rules, as tables.

mod deposits;
mod evidence;
mod matrix;
mod payments;
mod states;
mod sums;

use common::{id::PaymentId, money::Money};

use super::world::{EUR, decide, money, said};
use crate::domain::{
    ledger::{Command, Outcome, Pay, Ruling, Witness},
    payment::{Evidence, Payment},
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

/// What bea approves, of EUR.
fn approve(nth: u128, participant: &str, deposit: u128, to: u128, minor_units: i64) -> Command {
    decide(
        nth,
        participant,
        deposit,
        to,
        Ruling::Approve { by: "bea".to_owned(), amount: money(minor_units, EUR) },
    )
}

fn eur(minor_units: i64) -> Money {
    money(minor_units, EUR)
}

/// What the holder of the lease with this token says of a payment of its own.
fn conclude(payment: PaymentId, token: i64, evidence: Evidence) -> Command {
    Command::Conclude(Box::new(said(payment, Witness::Lease(token), evidence)))
}
