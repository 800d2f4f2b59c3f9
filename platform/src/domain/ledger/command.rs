//! What can be asked of the ledger, and what can come of it.

use std::{fmt, time::Duration};

use common::{
    id::{AccountId, ActId, BankMessageId, PaymentId},
    money::Money,
    order::{PaymentOrder, Uetr},
};

use super::deposit::{Arrival, DecideDeposit};
use crate::domain::{
    deposit::{Deposit, DepositState},
    payment::{Evidence, Fingerprint, Lease, Operation, Payment, State, Submission},
    refusal::Refusal,
};

/// A participant and the id that it gave a request.
pub type RequestKey = (String, String);

/// Something that moves or holds money.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make a payment.
    Pay(Box<Pay>),
    /// Pay (part of) an authorization.
    Capture(Box<Capture>),
    /// Release what was never sent.
    Cancel(Box<Cancel>),
    /// Release what nobody captured in time.
    Expire(Box<Expire>),
    /// Give (part of) a payment back.
    Refund(Box<Refund>),
    /// Make an attempt to send a payment that is held.
    Submit(Box<Submit>),
    /// Take note of what is known of a payment's attempt.
    Conclude(Box<Conclude>),
    /// End a payment by what operators found out.
    Resolve(Box<Resolve>),
    /// Propose to book money that arrived.
    Deposit(Box<Arrival>),
    /// Decide on a deposit that was proposed.
    DecideDeposit(Box<DecideDeposit>),
}

impl Command {
    /// The payment whose own state the command may change; an authorization's follows from its captures.
    pub(super) fn payment_to_step(&self) -> Option<PaymentId> {
        match self {
            Self::Cancel(cancel) => Some(cancel.payment),
            Self::Expire(expire) => Some(expire.payment),
            Self::Submit(submit) => Some(submit.payment),
            Self::Conclude(conclude) => Some(conclude.payment),
            Self::Resolve(resolve) => Some(resolve.payment),
            Self::Pay(_) | Self::Capture(_) | Self::Refund(_) | Self::Deposit(_) | Self::DecideDeposit(_) => {
                None
            }
        }
    }

    /// The payment that it makes or steps; none if it is about a deposit.
    pub fn payment(&self) -> Option<PaymentId> {
        match self {
            Self::Pay(pay) => Some(pay.id),
            Self::Capture(capture) => Some(capture.id),
            Self::Refund(refund) => Some(refund.id),
            _ => self.payment_to_step(),
        }
    }

    /// Whether it says what became of a payment that was let in, for which it is written before what begins now.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Conclude(_))
    }

    /// Whether it has to be decided under locks from the start. It leaves the row of the payment that it is about as it is, so
    /// that others who change what stands beside that payment can only be kept off by its lock; or it is a deposit's end, whose
    /// account may be closed meanwhile.
    pub fn needs_locks(&self) -> bool {
        matches!(self, Self::Refund(_) | Self::Resolve(_) | Self::DecideDeposit(_))
    }

    /// Whether what is known of accounts is enough to decide it on: a payment, which is refused when it is written if something
    /// is not so any more, or the end of a payment by who knows it.
    pub fn may_rest_on_known_accounts(&self) -> bool {
        match self {
            Self::Pay(pay) => !pay.validate_only,
            Self::Conclude(conclude) => conclude.known.is_some() && conclude.original.is_none(),
            _ => false,
        }
    }
}

/// Who asked for something new, under which id, with what content.
#[derive(Clone, Debug)]
pub struct Request {
    /// The participant.
    pub participant: String,
    /// The caller's id of the request.
    pub request_id: String,
    /// A hash of the request's normal form.
    pub fingerprint: Fingerprint,
}

impl Request {
    /// What finds an earlier one.
    pub fn key(&self) -> RequestKey {
        (self.participant.clone(), self.request_id.clone())
    }
}

/// Make a payment.
#[derive(Clone, Debug)]
pub struct Pay {
    /// Its number, should it come to be.
    pub id: PaymentId,
    /// Its reference at the bank, should there be one.
    pub uetr: Uetr,
    /// Who asks.
    pub request: Request,
    /// For what.
    pub order: PaymentOrder,
    /// Which bank would be instructed if the payee has no account here.
    pub bank: Result<BankRoute, NoRoute>,
    /// Decide, but write nothing.
    pub validate_only: bool,
    /// Whether its call was signed.
    pub is_signed: bool,
    /// If a bank has sent it to an account here: it is put on record whatever becomes of it.
    pub incoming: Option<Incoming>,
}

/// What there is to know of a credit transfer that a bank has sent.
#[derive(Clone, Copy, Debug)]
pub struct Incoming {
    /// The house's account that stands for the payee's where there is none.
    pub suspense_account: AccountId,
    /// Whether it came later than the bank may send it, or never came while it might.
    pub is_too_late: bool,
}

/// Pay (part of) an authorization.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The capture's number, should it come to be.
    pub id: PaymentId,
    /// Its reference at the bank, should there be one.
    pub uetr: Uetr,
    /// Who asks.
    pub request: Request,
    /// Which authorization.
    pub payment: PaymentId,
    /// How much; all that is held if absent.
    pub amount: Option<Money>,
    /// How to reach the payee's bank, should the authorization have one.
    pub bank: Result<BankRoute, NoRoute>,
}

/// Release what was never sent.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Who asks.
    pub participant: String,
    /// Which payment.
    pub payment: PaymentId,
    /// The payment that it captures or refunds, if it does.
    pub original: Option<PaymentId>,
}

/// Release what nobody captured in time.
#[derive(Clone, Debug)]
pub struct Expire {
    /// Which payment.
    pub payment: PaymentId,
    /// The token of the lease of whoever asks.
    pub token: i64,
}

/// Give (part of) a payment back.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The refund's number, should it come to be.
    pub id: PaymentId,
    /// Its reference, should there be a bank.
    pub uetr: Uetr,
    /// Who asks.
    pub request: Request,
    /// Which payment.
    pub payment: PaymentId,
    /// How much; all that is not refunded yet if absent.
    pub amount: Option<Money>,
    /// Why, for the bank; may be empty.
    pub remittance_information: String,
    /// How to reach the bank that was paid, should there be one.
    pub bank: Result<BankRoute, NoRoute>,
}

/// Make an attempt to send a payment that is held.
#[derive(Clone, Debug)]
pub struct Submit {
    /// Which payment.
    pub payment: PaymentId,
    /// The payment that it captures or refunds, if it does.
    pub original: Option<PaymentId>,
    /// The token of the lease of whoever sends.
    pub token: i64,
    /// How long the bank takes the payment after its acceptance.
    pub valid_for: Duration,
    /// How long the sender has before others may take over.
    pub lease: Duration,
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
    /// Whether the payment waits for the bank to be back before it is sent.
    pub waits: bool,
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
    /// The bank is known to be down.
    Offline(String),
    /// The bank has as much under way as it takes.
    Busy(String),
    /// The bank takes no return requests.
    NoReturns(String),
}

/// Take note of what is known of a payment's attempt.
#[derive(Clone, Debug)]
pub struct Conclude {
    /// Which payment.
    pub payment: PaymentId,
    /// The payment that it captures or refunds, if it does.
    pub original: Option<PaymentId>,
    /// The payment and its lease as the witness knows them, which saves a look.
    pub known: Option<Box<(Payment, Lease)>>,
    /// Who says so.
    pub witness: Witness,
    /// What is known.
    pub evidence: Evidence,
    /// What to take back a late success with; none if the bank is not in the directory.
    pub compensation: Option<Compensation>,
    /// What the bank said, if people may want to read it: kept if anything follows from it.
    pub bank_message: Option<BankMessage>,
}

/// What a bank said.
#[derive(Clone, PartialEq, Eq)]
pub struct BankMessage {
    /// Its number.
    pub id: BankMessageId,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl fmt::Debug for BankMessage {
    /// Without what it says, which may name people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BankMessage({})", self.id)
    }
}

/// Who brings evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The holder of the lease with this token.
    Lease(i64),
    /// The bank, unasked: its verdict counts whoever holds the lease.
    Bank,
}

/// What a late success is booked and taken back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compensation {
    /// The house's account for what the bank paid and nobody here has.
    pub suspense_account: AccountId,
    /// The return's number.
    pub payment: PaymentId,
    /// Its reference.
    pub uetr: Uetr,
    /// The bank, by its id in the directory.
    pub bank_id: String,
}

/// End a payment by what operators found out. It takes two of them.
#[derive(Clone, Debug)]
pub struct Resolve {
    /// The number of the proposal or approval, should it come to be one.
    pub id: ActId,
    /// Whose the payment is.
    pub participant: String,
    /// Which operator asks.
    pub actor: String,
    /// Which payment.
    pub payment: PaymentId,
    /// The payment that it captures or refunds, if it does.
    pub original: Option<PaymentId>,
    /// What was found.
    pub finding: Finding,
}

/// What operators found out about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the payee is credited.
    pub succeeded: bool,
    /// Where the evidence is found.
    pub evidence_reference: String,
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
    /// A payment that operators resolve, and whether a second one has still to approve.
    Resolution(Box<Payment>, bool),
    /// A deposit as it now stands, and whether an earlier command made it so.
    Deposit(Box<Deposit>, bool),
    /// Nothing came to be.
    Declined(Declined),
}

/// Why nothing came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// The request id was used for other content.
    RequestIdReused,
    /// The request made a payment that was taken out of the archive.
    RequestTakenOut,
    /// The payment's state, or what it is, does not allow it.
    NotPermitted(Operation, State),
    /// More than the authorization still holds, in minor units.
    CaptureExceedsAuthorized(i64),
    /// More than is not refunded yet, in minor units.
    RefundExceedsCaptured(i64),
    /// On this ledger the payee's participant refunds.
    RefundByPayeeOnly,
    /// What came from another bank goes back there by a payment of its own.
    RefundOfIncoming,
    /// An authorization would end too soon or too late.
    ExpireTimeOutOfRange,
    /// The other operator proposed something else.
    ResolutionDiffers,
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
    /// So much is paid only by a call that is signed.
    SignatureRequired,
    /// The rules refuse a deposit.
    DepositRefused(Refusal),
    /// So many of the participant's deposits are pending, as many as may be.
    TooManyPendingDeposits(usize),
    /// There is no such deposit.
    DepositNotFound,
    /// It was decided on the deposit already.
    DepositNotPending(DepositState),
    /// Who would approve the deposit has proposed it.
    SecondOperatorRequired,
    /// The deposit has another amount than its approval.
    AmountDiffers,
    /// There is no such payment.
    PaymentNotFound,
    /// Another worker has taken the payment over.
    LeaseLost,
}
