//! What the ledger says, as far as callers and workers go by it.

use common::id::{AccountId, PaymentId};

use crate::domain::{
    deposit::DepositState,
    ledger::{Declined, Outcome},
    payment::{Kind, Payment, State},
};

/// What the ledger says to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To be sent: as which attempt, under which token, and whether it names the credit transfer to give back.
    Submitted(View, i32, i64, bool),
    Payment(View),
    Replayed(View),
    /// The refusal's code; empty if the payment would be accepted.
    Validated(String),
    /// Whether a second operator has still to approve.
    Resolution(View, bool),
    /// Its amount, its state, and whether that was so before.
    Deposit(i64, DepositState, bool),
    Declined(Declined),
}

/// A payment as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub id: PaymentId,
    pub kind: Kind,
    pub original: Option<PaymentId>,
    pub payer: AccountId,
    pub credit: AccountId,
    pub minor_units: i64,
    pub state: State,
    pub reason: String,
    /// Of an authorization: held, capturing, captured.
    pub parts: Option<(i64, i64, i64)>,
}

impl View {
    fn of(payment: &Payment) -> Self {
        Self {
            id: payment.id,
            kind: payment.kind,
            original: payment.original,
            payer: payment.payer_account,
            credit: payment.credit_account,
            minor_units: payment.amount.minor_units(),
            state: payment.state,
            reason: payment.reason.as_ref().map(|reason| reason.code.clone()).unwrap_or_default(),
            parts: payment.authorization.map(|sums| (sums.held, sums.capturing, sums.captured)),
        }
    }
}

impl Reply {
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Submitted(submission) => Self::Submitted(
                View::of(&submission.payment),
                submission.attempt.number,
                submission.lease.token,
                submission.original.is_some(),
            ),
            Outcome::Payment(payment) => Self::Payment(View::of(payment)),
            Outcome::Replayed(payment) => Self::Replayed(View::of(payment)),
            Outcome::Validated(found) => {
                Self::Validated(found.err().map(|refusal| refusal.reason().code).unwrap_or_default())
            }
            Outcome::Resolution(payment, awaits_approval) => {
                Self::Resolution(View::of(payment), *awaits_approval)
            }
            Outcome::Deposit(deposit, replayed) => {
                Self::Deposit(deposit.order.amount.minor_units(), deposit.state(), *replayed)
            }
            Outcome::Declined(declined) => Self::Declined(declined.clone()),
        }
    }
}
