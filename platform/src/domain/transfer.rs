//! Transfers: immutable rows that move money between two accounts.

use std::time::SystemTime;

use common::{
    id::{AccountId, DepositId, PaymentId, TransferId},
    money::Money,
};

/// What a transfer books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A payment.
    Payment(PaymentId),
    /// A deposit.
    Deposit(DepositId),
}

/// One transfer. Never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What it books, once.
    pub cause: Cause,
    /// The account that pays.
    pub debit: AccountId,
    /// The account that is paid.
    pub credit: AccountId,
    /// Whether the account that is paid is one of the house's.
    pub credit_is_house: bool,
    /// How much.
    pub amount: Money,
    /// When it was booked.
    pub at: SystemTime,
}

impl Cause {
    /// The number of the transfer that books it: its own.
    pub fn transfer(self) -> TransferId {
        match self {
            Self::Payment(id) => TransferId::from_uuid(id.uuid()),
            Self::Deposit(id) => TransferId::from_uuid(id.uuid()),
        }
    }
}
