//! What a rule can make a bank do, and with which messages it can do it.

use serde::Deserialize;

use super::On;
use crate::jws::WrongSignature;
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
    /// Closes the connection without executing or answering; under HTTP/2 resets the stream.
    DropBefore,
    /// Executes, then closes the connection without answering; under HTTP/2 resets the stream. Payments and return
    /// requests only.
    DropAfter,
    /// Does its plain duty without telling, then closes the connection with all that is under way on it.
    Cut,
    /// Does its plain duty without telling, then says GOAWAY and closes the connection; under HTTP/1.1 as `Cut`.
    GoAway,
    /// Neither executes nor answers, and says so: refuses the stream. Under HTTP/1.1 as `DropBefore`.
    Refuse,
    /// Does its plain duty, and closes the connection in the middle of its answer; under HTTP/2 resets the stream.
    HalfAnswer,
    /// Executes and answers `200` with HTML.
    Garbage,
    /// Executes and answers, and something is wrong with the signature, where the bank signs.
    Signature(WrongSignature),
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
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_s: Option<u32>,
    },
    /// Says AG09 even of what it knows. Enquiries only.
    NotFound,
    /// Takes the bytes and lets them lie: until they are looked at, enquiries hear AG09. Then they are treated as if
    /// they had just arrived, even if the sender is gone. Payments and return requests only.
    Hold {
        /// Milliseconds from the arrival.
        ms: u64,
        /// Whether validity is judged as of the arrival, which no bank may do.
        #[serde(default)]
        ignores_validity: bool,
    },
    /// Executes twice and says so once. Payments only.
    Twice,
    /// Executes for less than was instructed, as if a fee were taken. Payments only.
    Deduct {
        /// By how much less.
        minor_units: u64,
        /// Whether the answers tell the amount that was credited rather than the one instructed.
        #[serde(default)]
        told: bool,
    },
    /// Forgets first whatever it decided of late, as after restoring an old backup; then does its plain duty.
    Forget {
        /// How far back, in milliseconds.
        last_ms: u64,
    },
    /// Says what it is told to say, whatever is true. Payments and enquiries about them only.
    Say {
        /// One after another, and then from the first again.
        answers: Vec<Saying>,
        /// Whether a payment is executed all the same.
        #[serde(default = "yes")]
        executed: bool,
    },
    /// Executes, and answers for another payment: the latest other one in the books, or one that nobody has.
    OtherPayment,
    /// Executes, and answers one byte at a time.
    Drip {
        /// The pause before each byte, in milliseconds.
        #[serde(default = "one_second_ms")]
        ms_per_byte: u64,
        /// Whether the head drips too, and not the body only.
        #[serde(default)]
        head: bool,
    },
    /// Executes, and answers with headers that never end.
    EndlessHeaders,
    /// Executes, and answers with a body that goes on in white space.
    HugeBody {
        /// Its size in mebibytes.
        #[serde(default = "one_gib_in_mib")]
        mib: u32,
        /// Whether its length is told in advance.
        #[serde(default)]
        length_told: bool,
    },
    /// Reads and answers nothing, though connections come about. Needs `on = "any"` and knows only a time window.
    Hang,
    /// Refuses connections, and ends those that there are. Needs `on = "any"` and knows only a time window.
    Down,
}

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saying {
    /// `TxSts`.
    pub status: Box<str>,
    /// The reason's code.
    #[serde(default)]
    pub code: Option<Box<str>>,
}

fn yes() -> bool {
    true
}

fn one_second_ms() -> u64 {
    1_000
}

fn one_gib_in_mib() -> u32 {
    1_024
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
            Self::Say { answers, .. } => {
                let fits = |saying: &Saying| {
                    is_between(&saying.status, 1, 4)
                        && saying.code.as_ref().is_none_or(|c| is_between(c, 1, 4))
                };
                let fitting = !answers.is_empty() && answers.iter().all(fits);
                (!fitting).then_some(
                    "say needs answers, each with a status and perhaps a code of 1 to 4 characters",
                )
            }
            _ => None,
        }
    }

    /// Whether it is about connections rather than messages.
    pub(super) fn is_of_link(&self) -> bool {
        matches!(self, Self::Hang | Self::Down)
    }

    fn suits(&self, on: On) -> bool {
        if self.is_of_link() {
            return on == On::Any;
        }
        if on == On::Any {
            return On::KINDS.iter().all(|kind| self.suits(*kind));
        }
        match self {
            Self::Reject(_) | Self::SilentExecuted | Self::DropAfter | Self::Hold { .. } => {
                matches!(on, On::Payment | On::ReturnRequest)
            }
            Self::Twice | Self::Deduct { .. } => on == On::Payment,
            Self::Say { .. } => matches!(on, On::Payment | On::Enquiry),
            Self::Undecided { .. } => on == On::ReturnRequest,
            Self::NotFound => matches!(on, On::Enquiry | On::ReturnEnquiry),
            _ => true,
        }
    }
}

fn is_between(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.chars().count())
}
