//! Transfers: immutable rows that move money between two accounts, or hold it.

use std::time::SystemTime;

use common::{
    id::{AccountId, DepositId, PaymentId, TransferId},
    money::Money,
};

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    /// Moves money at once.
    Posting,
    /// Holds money on both accounts.
    Hold,
    /// Moves what a hold held; the hold ends.
    HoldPosted,
    /// Sets free what a hold held; the hold ends.
    HoldReleased,
}

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
    /// Which one. A payment's first transfer has the payment's own number.
    pub id: TransferId,
    /// What it does.
    pub kind: TransferKind,
    /// What it belongs to.
    pub cause: Cause,
    /// The hold that it ends; none for a hold or a posting.
    pub hold: Option<TransferId>,
    /// The account that pays.
    pub debit: AccountId,
    /// The account that is paid.
    pub credit: AccountId,
    /// How much.
    pub amount: Money,
    /// When it was booked.
    pub at: SystemTime,
}

impl TransferKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Posting, Self::Hold, Self::HoldPosted, Self::HoldReleased];

    /// The kind's name, as it is recorded.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posting => "POSTING",
            Self::Hold => "HOLD",
            Self::HoldPosted => "HOLD_POSTED",
            Self::HoldReleased => "HOLD_RELEASED",
        }
    }

    /// The kind that has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What a transfer of one minor unit does to the pending and the posted sum of either account.
    pub fn effect(self) -> (i64, i64) {
        match self {
            Self::Posting => (0, 1),
            Self::Hold => (1, 0),
            Self::HoldPosted => (-1, 1),
            Self::HoldReleased => (-1, 0),
        }
    }
}
