//! Transfers: immutable rows that move money between two accounts.

use std::time::SystemTime;

use common::{
    id::{AccountId, DepositId, PaymentId, TransferId},
    money::Money,
};

/// What a transfer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A payment.
    Payment(PaymentId),
    /// A deposit.
    Deposit(DepositId),
}

/// One transfer. Never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which one. What books a payment or deposit has its number.
    pub id: TransferId,
    /// What it belongs to.
    pub cause: Cause,
    /// The account that pays.
    pub debit: Party,
    /// The account that is paid.
    pub credit: Party,
    /// How much.
    pub amount: Money,
    /// When it was booked.
    pub at: SystemTime,
}

/// One side of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// The account.
    pub account: AccountId,
    /// Whether it is one of the house's.
    pub is_house: bool,
}
