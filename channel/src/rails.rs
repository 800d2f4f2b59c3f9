//! The ways to banks. Each speaks one protocol and answers every instruction with a verdict.

pub mod iso20022;

use proto::channel::{NotSent, Unknown, outcome::Verdict};

use crate::instruction::Instruction;
use iso20022::Iso20022;

/// The way to one bank.
#[derive(Debug)]
pub enum Rail {
    /// ISO 20022 messages over HTTP.
    Iso20022(Box<Iso20022>),
}

/// What carrying something came to.
#[derive(Debug)]
pub struct Carried {
    /// What is known of the instruction.
    pub verdict: Verdict,
    /// What it showed of the bank.
    pub contact: Contact,
    /// What the bank answered, where people may want to read it; empty otherwise.
    pub bank_message: Vec<u8>,
}

/// What is known of an instruction, and what its bank said, as [`Carried`] has it.
#[derive(Debug)]
pub struct Said {
    /// What is known.
    pub verdict: Verdict,
    /// What the bank answered, where people may want to read it; empty otherwise.
    pub bank_message: Vec<u8>,
}

impl From<Verdict> for Said {
    /// Something that no bank said.
    fn from(verdict: Verdict) -> Self {
        Self { verdict, bank_message: Vec::new() }
    }
}

/// What a message showed of its bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It gave a readable answer, whatever that says.
    Answered,
    /// It can't be reached, does not answer, or says that it is broken.
    Failed,
    /// Something answered, and not as the bank does when all is well.
    Unclear,
}

impl Rail {
    /// Carries an instruction and says what is known of the result.
    pub async fn carry(&self, instruction: &Instruction) -> Carried {
        match self {
            Self::Iso20022(bank) => bank.carry(instruction).await,
        }
    }

    /// Writes the message that carries an instruction, and sends nothing.
    pub fn compose(&self, instruction: &Instruction) -> String {
        match self {
            Self::Iso20022(bank) => bank.compose(instruction),
        }
    }

    /// Finds out whether the bank answers, with a message that changes nothing there.
    pub async fn probe(&self) -> Contact {
        match self {
            Self::Iso20022(bank) => bank.probe().await,
        }
    }
}

/// Not a byte reached the bank. `reason` is for programs, `detail` for people.
pub fn not_sent(reason: &str, detail: impl Into<String>) -> Verdict {
    Verdict::NotSent(NotSent { reason: reason.to_owned(), detail: detail.into() })
}

/// The bank may have it, and nothing is certain. `reason` is for programs, `detail` for people.
pub fn unknown(reason: &str, detail: impl Into<String>) -> Verdict {
    Verdict::Unknown(Unknown { reason: reason.to_owned(), detail: detail.into() })
}
