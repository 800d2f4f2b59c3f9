//! What a rule makes a bank say unasked.

use serde::Deserialize;

use crate::jws::WrongSignature;

/// A pacs.002 that the bank pushes to its notice URL. A rule's notices are sent one after another, each once the one
/// before it was taken or refused, so that their order is certain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Earliest, in milliseconds from the arrival of the message that the rule matched.
    #[serde(default)]
    pub after_ms: u64,
    /// `TxSts`; without it, what an enquiry would hear at that time.
    #[serde(default)]
    pub status: Option<Box<str>>,
    /// The reason's code; only beside a status.
    #[serde(default)]
    pub code: Option<Box<str>>,
    /// How often the same message is sent, all at once.
    #[serde(default = "one")]
    pub copies: u32,
    /// What is wrong with it.
    #[serde(default)]
    pub wrong: Option<Wrong>,
    /// What is wrong with its signature, where the bank signs.
    #[serde(default)]
    pub signature: Option<WrongSignature>,
    /// Whether the bank's own answer waits until this notice was taken or refused.
    #[serde(default)]
    pub before_answer: bool,
}

/// What a notice says wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// All references are of a payment that nobody has.
    Payment,
    /// The UETR is that of another payment.
    Uetr,
    /// The amount is one minor unit more.
    Amount,
    /// The currency is another.
    Currency,
}

fn one() -> u32 {
    1
}

impl Notice {
    /// What is wrong with the notice itself.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let is_code = |text: &Option<Box<str>>| {
            text.as_ref().is_none_or(|text| (1..=4).contains(&text.chars().count()))
        };
        if !is_code(&self.status) || !is_code(&self.code) {
            return Some("a notice's status and code have 1 to 4 characters");
        }
        if self.code.is_some() && self.status.is_none() {
            return Some("a notice's code needs a status");
        }
        if !(1..=10_000).contains(&self.copies) {
            return Some("a notice's copies must be 1 to 10000");
        }
        None
    }
}
