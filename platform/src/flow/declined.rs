//! What callers hear when nothing came to be.

use common::fault::{Fault, Violation};

use crate::domain::ledger::{Declined, NoRoute};

impl From<Declined> for Fault {
    fn from(declined: Declined) -> Self {
        match declined {
            Declined::RequestIdReused => Fault::precondition(
                "REQUEST_ID_REUSED",
                "this request_id was used for other content: use a new one for a new request",
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
            Declined::DepositRefused(refusal) => {
                let reason = refusal.reason();
                let code = match refusal {
                    crate::domain::refusal::Refusal::BalanceOverflow => "BALANCE_OVERFLOW",
                    crate::domain::refusal::Refusal::InsufficientFunds => "INSUFFICIENT_FUNDS",
                    crate::domain::refusal::Refusal::PayerAccountClosed
                    | crate::domain::refusal::Refusal::PayeeAccountClosed => "ACCOUNT_CLOSED",
                };
                Fault::precondition(code, reason.message)
            }
            Declined::PaymentNotFound => Fault::not_found("payment"),
            Declined::LeaseLost => Fault::internal(),
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
            NoRoute::NoChannel => Fault::unavailable(
                "CHANNEL_UNAVAILABLE",
                "no bank can be instructed at present; nothing was begun: send the same request again",
            ),
        }
    }
}
