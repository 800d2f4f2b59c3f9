//! Single rules, as tables.

mod evidence;
mod matrix;
mod payments;
mod states;
mod sums;

use common::{id::PaymentId, money::Money};

use super::world::{EUR, money, said};
use crate::domain::{
    ledger::{Command, Outcome, Pay, Witness},
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

fn eur(minor_units: i64) -> Money {
    money(minor_units, EUR)
}

/// What the holder of the lease with this token says of a payment of its own.
fn conclude(payment: PaymentId, token: i64, evidence: Evidence, transfer: u128) -> Command {
    Command::Conclude(Box::new(said(payment, Witness::Lease(token), evidence, transfer)))
}
