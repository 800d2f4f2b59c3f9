//! Single rules, as tables.

mod evidence;
mod matrix;
mod payments;
mod states;
mod sums;

use common::money::Money;

use super::world::{EUR, money};
use crate::domain::{
    ledger::{Command, Outcome, Pay},
    payment::Payment,
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
