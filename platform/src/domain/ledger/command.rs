//! What can be asked of the ledger, and what can come of it.

use std::time::{Duration, SystemTime};

use common::{
    id::{AccountId, DepositId, PaymentId, TransferId},
    order::{DepositOrder, PaymentOrder, Uetr},
};

use crate::domain::{
    payment::{Evidence, Fingerprint, Payment, Submission},
    refusal::Refusal,
};

/// A participant and the id that it gave a request.
pub type RequestKey = (String, String);

/// Something that moves or holds money.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make a payment.
    Pay(Box<Pay>),
    /// Take note of what is known of a payment's attempt.
    Conclude(Box<Conclude>),
    /// Book money that arrived.
    Deposit(Box<Arrival>),
}

/// Make a payment.
#[derive(Clone, Debug)]
pub struct Pay {
    /// Its number, should it come to be.
    pub id: PaymentId,
    /// Its reference at the bank, should there be one.
    pub uetr: Uetr,
    /// Who asks.
    pub participant: String,
    /// For what.
    pub order: PaymentOrder,
    /// A hash of the order's normal form.
    pub fingerprint: Fingerprint,
    /// Which bank would be instructed if the payee has no account here.
    pub bank: Result<BankRoute, NoRoute>,
    /// Decide, but write nothing.
    pub validate_only: bool,
}

/// How to reach the payee's bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankRoute {
    /// The bank, by its id in the directory.
    pub bank_id: String,
    /// Its settlement account in the payment's currency.
    pub settlement_account: AccountId,
    /// How long the bank takes the payment after its acceptance.
    pub valid_for: Duration,
    /// How long the first sender has before others may take over.
    pub lease: Duration,
}

/// Why there is no bank to instruct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// The directory has no such bank; the field that named it.
    NotInDirectory(&'static str),
    /// The bank does not take the currency.
    CurrencyNotSupported(String),
    /// No channel is connected, so no bank can be instructed.
    NoChannel,
}

/// Take note of what is known of a payment's attempt.
#[derive(Clone, Debug)]
pub struct Conclude {
    /// Which payment.
    pub payment: PaymentId,
    /// The token of the lease under which it was learnt.
    pub token: i64,
    /// What is known.
    pub evidence: Evidence,
    /// The number of the transfer that ends the hold, should it end.
    pub transfer: TransferId,
}

/// Book money that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its number, should it come to be.
    pub id: DepositId,
    /// The number of its transfer.
    pub transfer: TransferId,
    /// Who books it.
    pub participant: String,
    /// What arrived.
    pub order: DepositOrder,
    /// A hash of the order's normal form.
    pub fingerprint: Fingerprint,
    /// The bank's settlement account in the deposit's currency.
    pub settlement_account: AccountId,
}

/// Money that arrived and is booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Which one.
    pub id: DepositId,
    /// Whose it is.
    pub participant: String,
    /// What arrived.
    pub order: DepositOrder,
    /// A hash of the order's normal form.
    pub fingerprint: Fingerprint,
    /// When it was booked.
    pub created_at: SystemTime,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A payment that is to be sent to its bank.
    Submitted(Box<Submission>),
    /// A payment as it now stands: concluded, refused, paid on this ledger.
    Payment(Box<Payment>),
    /// The payment that an earlier command with the same request id made.
    Replayed(Box<Payment>),
    /// What `validate_only` found: the payment would be accepted or refused.
    Validated(Result<(), Refusal>),
    /// A booked deposit, and whether an earlier command booked it.
    Deposit(Box<Deposit>, bool),
    /// Nothing came to be.
    Declined(Declined),
}

/// Why nothing came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// The request id was used for other content.
    RequestIdReused,
    /// The account that is to pay or to be credited by a deposit is not the participant's.
    AccountNotFound,
    /// The payee's account is not on this ledger.
    PayeeAccountNotFound,
    /// The payee's IBAN is that of the account that pays.
    PaysItself,
    /// An account has another currency than the amount.
    CurrencyMismatch(&'static str),
    /// There is no bank to instruct.
    NoRoute(NoRoute),
    /// The rules refuse a deposit.
    DepositRefused(Refusal),
    /// There is no such payment.
    PaymentNotFound,
    /// Another worker has taken the payment over.
    LeaseLost,
}
