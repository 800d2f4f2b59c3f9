//! What callers hear when nothing came to be.

use common::fault::{Fault, Violation};

use crate::{
    domain::{
        ledger::{Declined, NoRoute},
        payment::{Operation, State},
    },
    store::StoreError,
};

impl From<Declined> for Fault {
    fn from(declined: Declined) -> Self {
        match declined {
            Declined::RequestIdReused => Fault::precondition(
                "REQUEST_ID_REUSED",
                "this request_id was used for other content: use a new one for a new request",
            ),
            Declined::RequestTakenOut => Fault::precondition(
                "PAYMENT_NOT_KEPT",
                "this request_id made a payment that is no longer kept: use a new one for a new request",
            ),
            Declined::AccountNotFound => Fault::not_found("account"),
            Declined::PayeeAccountNotFound => Fault::not_found("payee.ledger_account"),
            Declined::PaysItself => {
                Fault::invalid(vec![Violation::new("payee", "must not be the account that pays")])
            }
            Declined::CurrencyMismatch(whose) => Fault::precondition(
                "CURRENCY_MISMATCH",
                format!("{whose} has another currency than the amount"),
            ),
            Declined::NoRoute(none) => none.into(),
            Declined::SignatureRequired => Fault::precondition(
                "SIGNATURE_REQUIRED",
                "limits of this account or participant have payments of so much signed: nothing was made; sign the same request (docs/signing.md)",
            ),
            Declined::DepositRefused(refusal) => {
                let reason = refusal.reason();
                let code = match refusal {
                    crate::domain::refusal::Refusal::BalanceOverflow => "BALANCE_OVERFLOW",
                    crate::domain::refusal::Refusal::InsufficientFunds => "INSUFFICIENT_FUNDS",
                    crate::domain::refusal::Refusal::PayerAccountClosed
                    | crate::domain::refusal::Refusal::PayeeAccountClosed => "ACCOUNT_CLOSED",
                    // Limits are those of who pays, and nobody pays a deposit.
                    crate::domain::refusal::Refusal::AccountLimit(_)
                    | crate::domain::refusal::Refusal::ParticipantLimit(_)
                    // Deposits come from operators.
                    | crate::domain::refusal::Refusal::NoSuchPayee
                    | crate::domain::refusal::Refusal::PayeeCurrencyDiffers
                    | crate::domain::refusal::Refusal::TooLate => return Fault::internal(),
                };
                Fault::precondition(code, reason.message)
            }
            Declined::TooManyPendingDeposits(most) => Fault::precondition(
                "TOO_MANY_PENDING_DEPOSITS",
                format!(
                    "this participant has {most} deposits that wait for approval: decide on some of them first"
                ),
            ),
            Declined::DepositNotFound => Fault::not_found("deposit"),
            Declined::DepositNotPending(state) => Fault::precondition(
                "DEPOSIT_NOT_PENDING",
                format!(
                    "only a deposit that waits for approval can be decided on: this one is {}",
                    state.name()
                ),
            ),
            Declined::SecondOperatorRequired => Fault::precondition(
                "SECOND_OPERATOR_REQUIRED",
                "whoever proposed a deposit does not approve it: another operator does",
            ),
            Declined::AmountDiffers => Fault::precondition(
                "AMOUNT_DIFFERS",
                "the deposit has another amount: look at it again before you approve it",
            ),
            Declined::NotPermitted(operation, state) => not_permitted(operation, state),
            Declined::CaptureExceedsAuthorized(left) => Fault::precondition(
                "CAPTURE_EXCEEDS_AUTHORIZED",
                format!("the authorization still holds {left} minor units"),
            ),
            Declined::RefundExceedsCaptured(left) => Fault::precondition(
                "REFUND_EXCEEDS_CAPTURED",
                format!("{left} minor units are not refunded yet, refunds under way included"),
            ),
            Declined::RefundByPayeeOnly => Fault::precondition(
                "REFUND_BY_PAYEE_ONLY",
                "a payment on this ledger is refunded by the payee's participant, from the account that was paid",
            ),
            Declined::RefundOfIncoming => Fault::precondition(
                "REFUND_OF_INCOMING",
                "the money came from another bank, which a refund would not reach: pay it back with a payment of its own",
            ),
            Declined::ExpireTimeOutOfRange => Fault::invalid(vec![Violation::new(
                "expire_time",
                "must be from one minute to 30 days ahead",
            )]),
            Declined::ResolutionDiffers => Fault::precondition(
                "RESOLUTION_DIFFERS",
                "another operator proposed something else: agree on it first",
            ),
            Declined::PaymentNotFound => Fault::not_found("payment"),
            Declined::LeaseLost => Fault::internal(),
        }
    }
}

fn not_permitted(operation: Operation, state: State) -> Fault {
    let (reason, what) = match operation {
        Operation::Capture => {
            ("PAYMENT_NOT_CAPTURABLE", "only what is AUTHORIZED, and not closed, can be captured")
        }
        Operation::Cancel => ("PAYMENT_NOT_CANCELLABLE", "only what was never sent can be cancelled"),
        Operation::Refund => {
            ("PAYMENT_NOT_REFUNDABLE", "only a payment or capture that SUCCEEDED can be refunded")
        }
        Operation::Resolve => {
            ("PAYMENT_NOT_RESOLVABLE", "only what is UNKNOWN or INVESTIGATE can be resolved")
        }
        Operation::Expire | Operation::Submit | Operation::Conclude => return Fault::internal(),
    };
    Fault::precondition(reason, format!("{what}: this one is {}", state.name()))
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        if error.is_passing() {
            tracing::warn!(%error, "the database is not there, or too busy to answer in time");
            Fault::unavailable(
                "LEDGER_UNAVAILABLE",
                "the ledger is not there, or too busy to answer in time: send the same request again",
            )
        } else {
            tracing::error!(%error, "the database refuses a statement");
            Fault::internal()
        }
    }
}

impl From<NoRoute> for Fault {
    fn from(none: NoRoute) -> Self {
        match none {
            NoRoute::NotInDirectory(field) => {
                let what = "no bank in the directory has this: check it, or give bank_id or bic";
                Fault::invalid_because("BANK_NOT_IN_DIRECTORY", vec![Violation::new(field, what)])
            }
            NoRoute::CurrencyNotSupported(bank) => Fault::precondition(
                "CURRENCY_NOT_SUPPORTED",
                format!("bank {bank} does not take this currency"),
            ),
            NoRoute::Offline(bank) => Fault::unavailable(
                "BANK_OFFLINE",
                format!("bank {bank} cannot be reached; nothing was begun: send the same request later"),
            ),
            NoRoute::Busy(bank) => Fault::exhausted(
                "BANK_BUSY",
                format!("bank {bank} has as much under way as it takes; nothing was begun"),
            ),
            NoRoute::NoReturns(bank) => {
                Fault::precondition("RETURN_NOT_SUPPORTED", format!("bank {bank} takes no return requests"))
            }
            NoRoute::NoChannel => Fault::unavailable(
                "CHANNEL_UNAVAILABLE",
                "no bank can be instructed at present; nothing was begun: send the same request again",
            ),
        }
    }
}
