//! Counts what random steps came to, so that none of it is left out unnoticed.

use std::collections::{BTreeMap, BTreeSet};

use super::model::reply::Reply;
use crate::domain::ledger::Command;

/// How often each command had each kind of reply.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(&'static str, String), usize>);

/// Every kind of reply that there is to each command. A state after a command that makes payments is the reply to its own
/// repeat, when the commit's answer got lost.
const REPLIES: [(&str, &[&str]); 10] = [
    (
        "pay",
        &[
            "submitted",
            "SUBMITTED",
            "HELD",
            "AUTHORIZED",
            "SUCCEEDED",
            "FAILED",
            "over a limit of the account",
            "over a limit of the participant",
            "replayed",
            "would pass",
            "would fail",
            "SignatureRequired",
            "RequestIdReused",
            "AccountNotFound",
            "PayeeAccountNotFound",
            "PaysItself",
            "CurrencyMismatch",
            "ExpireTimeOutOfRange",
            "NoRoute",
        ],
    ),
    (
        "capture",
        &[
            "submitted",
            "SUBMITTED",
            "HELD",
            "SUCCEEDED",
            "FAILED",
            "replayed",
            "RequestIdReused",
            "PaymentNotFound",
            "NotPermitted",
            "CaptureExceedsAuthorized",
            "CurrencyMismatch",
            "NoRoute",
        ],
    ),
    ("cancel", &["AUTHORIZED", "SUCCEEDED", "CANCELLED", "PaymentNotFound", "NotPermitted"]),
    (
        "expire",
        &[
            "AUTHORIZED",
            "SUCCEEDED",
            "FAILED",
            "CANCELLED",
            "EXPIRED",
            "PaymentNotFound",
            "NotPermitted",
            "LeaseLost",
        ],
    ),
    (
        "refund",
        &[
            "submitted",
            "SUBMITTED",
            "HELD",
            "SUCCEEDED",
            "FAILED",
            "replayed",
            "RequestIdReused",
            "PaymentNotFound",
            "NotPermitted",
            "RefundExceedsCaptured",
            "RefundByPayeeOnly",
            "CurrencyMismatch",
            "NoRoute",
        ],
    ),
    (
        "submit",
        &[
            "submitted",
            "submitted again",
            "SUBMITTED",
            "UNKNOWN",
            "INVESTIGATE",
            "SUCCEEDED",
            "FAILED",
            "CANCELLED",
            "EXPIRED",
            "PaymentNotFound",
            "NotPermitted",
            "LeaseLost",
        ],
    ),
    (
        "conclude",
        &[
            "HELD",
            "AUTHORIZED",
            "SUBMITTED",
            "UNKNOWN",
            "INVESTIGATE",
            "SUCCEEDED",
            "FAILED",
            "CANCELLED",
            "EXPIRED",
            "PaymentNotFound",
            "LeaseLost",
        ],
    ),
    (
        "resolve",
        &["awaits approval", "SUCCEEDED", "FAILED", "PaymentNotFound", "NotPermitted", "ResolutionDiffers"],
    ),
    (
        "deposit",
        &[
            "PENDING_APPROVAL",
            "PENDING_APPROVAL before",
            "BOOKED before",
            "REJECTED before",
            "LAPSED before",
            "RequestIdReused",
            "AccountNotFound",
            "CurrencyMismatch",
            "DepositRefused",
            "TooManyPendingDeposits",
        ],
    ),
    (
        "decide deposit",
        &[
            "PENDING_APPROVAL",
            "BOOKED",
            "BOOKED before",
            "REJECTED",
            "REJECTED before",
            "LAPSED",
            "LAPSED before",
            "DepositNotFound",
            "DepositNotPending",
            "SecondOperatorRequired",
            "AmountDiffers",
            "DepositRefused",
        ],
    ),
];

impl Tally {
    /// Counts a command and its reply.
    pub fn count(&mut self, command: &Command, reply: &Reply) {
        *self.0.entry((name(command), label(command, reply))).or_default() += 1;
    }

    /// Requires that enough happened, and of everything something.
    pub fn check(&self, enough: usize) {
        let commands: usize = self.0.values().sum();
        assert!(commands >= enough, "only {commands} commands");
        let found: BTreeSet<_> = self.0.keys().map(|(command, reply)| (*command, reply.as_str())).collect();
        let wanted =
            REPLIES.iter().flat_map(|(command, replies)| replies.iter().map(|reply| (*command, *reply)));
        let wanted: BTreeSet<_> = wanted.collect();
        let (never, new): (Vec<_>, Vec<_>) =
            (wanted.difference(&found).collect(), found.difference(&wanted).collect());
        assert!(
            never.is_empty() && new.is_empty(),
            "never seen: {never:?}\nseen and not expected: {new:?}\n{self:#?}"
        );
    }
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Pay(_) => "pay",
        Command::Capture(_) => "capture",
        Command::Cancel(_) => "cancel",
        Command::Expire(_) => "expire",
        Command::Refund(_) => "refund",
        Command::Submit(_) => "submit",
        Command::Conclude(_) => "conclude",
        Command::Resolve(_) => "resolve",
        Command::Deposit(_) => "deposit",
        Command::DecideDeposit(_) => "decide deposit",
    }
}

/// What kind of reply it is.
fn label(command: &Command, reply: &Reply) -> String {
    let is_new = matches!(command, Command::Pay(_));
    match reply {
        Reply::Submitted(_, 1, ..) => "submitted".to_owned(),
        Reply::Submitted(..) => "submitted again".to_owned(),
        Reply::Payment(view) if is_new && view.reason == "ACCOUNT_LIMIT_EXCEEDED" => {
            "over a limit of the account".to_owned()
        }
        Reply::Payment(view) if is_new && view.reason == "PARTICIPANT_LIMIT_EXCEEDED" => {
            "over a limit of the participant".to_owned()
        }
        Reply::Payment(view) | Reply::Resolution(view, false) => view.state.name().to_owned(),
        Reply::Replayed(_) => "replayed".to_owned(),
        Reply::Validated(code) if code.is_empty() => "would pass".to_owned(),
        Reply::Validated(_) => "would fail".to_owned(),
        Reply::Resolution(_, true) => "awaits approval".to_owned(),
        Reply::Deposit(_, state, false) => state.name().to_owned(),
        Reply::Deposit(_, state, true) => format!("{} before", state.name()),
        Reply::Declined(declined) => {
            let text = format!("{declined:?}");
            text.split('(').next().unwrap_or_default().to_owned()
        }
    }
}
