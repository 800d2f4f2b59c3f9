//! What a rule can make a bank do, and with which messages it can do it.

use serde::Deserialize;

use super::On;
use crate::messages::pacs002::MAX_ADDITIONAL_INFORMATION;
use crate::messages::reason::Reason;

/// What a bank does with a matching message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Behaviour {
    /// Its plain duty.
    #[default]
    Accept,
    /// Refuses and records the refusal. Without a code the answer carries none, which the profile calls unknown.
    /// Payments and return requests only.
    Reject(Reason),
    /// Executes at once and answers later. Until then an enquiry hears PDNG or PDCR.
    Delay {
        /// Milliseconds from the arrival.
        ms: u64,
    },
    /// Executes and never answers: the connection stays open until the sender gives up. Payments and return requests
    /// only.
    SilentExecuted,
    /// Neither executes nor answers.
    Silent,
    /// Closes the connection without executing or answering.
    DropBefore,
    /// Executes, then closes the connection without answering. Payments and return requests only.
    DropAfter,
    /// Executes and answers `200` with HTML.
    Garbage,
    /// Executes and answers PDNG or PDCR. A later enquiry hears the result.
    Pending,
    /// Answers PDCR and decides later; an enquiry then hears what came of it. Return requests only.
    Undecided {
        /// Milliseconds from the arrival.
        ms: u64,
        /// Why it is refused in the end; without it the amount is returned.
        #[serde(default)]
        rejection: Option<Reason>,
    },
    /// Answers with another status than 200.
    HttpError {
        /// The status, 400 to 599.
        status: u16,
        /// Whether the message is executed before.
        #[serde(default)]
        executed: bool,
    },
    /// Says AG09 even of what it knows. Enquiries only.
    NotFound,
}

impl Behaviour {
    /// What is wrong with it on messages of that kind.
    pub(super) fn problem(&self, on: On) -> Option<&'static str> {
        if !self.suits(on) {
            return Some("this behaviour is not for messages of that kind; see bank --help");
        }
        match self {
            Self::Reject(reason) | Self::Undecided { rejection: Some(reason), .. } => {
                let fits = |text: &Option<Box<str>>, max| text.as_ref().is_none_or(|t| is_between(t, 1, max));
                let fitting = fits(&reason.code, 4) && fits(&reason.text, MAX_ADDITIONAL_INFORMATION);
                (!fitting).then_some("a reason has a code of 1 to 4 characters and a text of 1 to 105")
            }
            Self::HttpError { status, .. } if !(400..=599).contains(status) => {
                Some("the status of http_error must be 400 to 599")
            }
            _ => None,
        }
    }

    fn suits(&self, on: On) -> bool {
        match self {
            Self::Reject(_) | Self::SilentExecuted | Self::DropAfter => {
                matches!(on, On::Payment | On::ReturnRequest)
            }
            Self::Undecided { .. } => on == On::ReturnRequest,
            Self::NotFound => matches!(on, On::Enquiry | On::ReturnEnquiry),
            _ => true,
        }
    }
}

fn is_between(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.chars().count())
}
