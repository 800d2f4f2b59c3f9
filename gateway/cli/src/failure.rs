//! Why a command came to nothing, and what to do next.

use std::{fmt, io, process::ExitCode, time::Duration};

use common::{
    fault::{DOMAIN, Violation},
    text::printable,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Something was refused or failed: nothing was paid.
pub const REFUSED: u8 = 1;
/// The command line or the settings are wrong: nothing was sent.
pub const USAGE: u8 = 2;
/// Whether it came to be is not known yet.
pub const NOT_KNOWN: u8 = 3;

/// Why a command came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the settings are wrong, in these places.
    Usage(Vec<String>),
    /// A call that only reads was not answered with OK.
    Read(Box<Status>),
    /// A call that was to change something was not answered with OK; what makes the same command the same request.
    Change(Box<Status>, Repeat),
    /// A receipt does not hold: why.
    NotVerified(String),
    /// The trial balance is not: what does not hold.
    Unbalanced(Vec<String>),
    /// The gateway's answer does not fit its contract.
    Answer(&'static str),
    /// What there was to say could not be written.
    Output(io::Error),
}

/// How the same request is sent again.
#[derive(Clone, Debug)]
pub enum Repeat {
    /// By the same command with this request id.
    WithRequestId(String),
    /// By the same command.
    AsItIs,
}

impl Failure {
    /// One thing is wrong with the command line or the settings.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::Usage(vec![what.into()])
    }

    /// Fields of the command line are wrong.
    pub fn fields(violations: &[Violation]) -> Self {
        Self::Usage(violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect())
    }

    /// A call that only reads was answered so.
    pub fn read(status: Status) -> Self {
        Self::Read(Box::new(status))
    }

    /// A call with this request id was answered so.
    pub fn change(request_id: &str) -> impl FnOnce(Status) -> Self + use<> {
        let repeat = Repeat::WithRequestId(request_id.to_owned());
        |status| Self::Change(Box::new(status), repeat)
    }

    /// A call that may simply be repeated was answered so.
    pub fn change_as_it_is(status: Status) -> Self {
        Self::Change(Box::new(status), Repeat::AsItIs)
    }

    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => USAGE,
            Self::Change(status, _) if !is_refusal(status) => NOT_KNOWN,
            Self::Answer(_) => NOT_KNOWN,
            Self::Read(_) | Self::Change(..) | Self::Output(_) => REFUSED,
            Self::NotVerified(_) | Self::Unbalanced(_) => REFUSED,
        })
    }
}

/// Reasons of a gateway that has certainly begun nothing, whatever the code would mean otherwise.
const NOTHING_WAS_BEGUN: [&str; 3] = ["BANK_OFFLINE", "DEADLINE_TOO_SHORT", "REQUEST_TOO_SLOW"];

/// Whether the gateway says that nothing came to be, rather than that it does not know. What did not come from the gateway says
/// nothing.
pub fn is_refusal(status: &Status) -> bool {
    let Some(reason) = reason(&status.get_error_details()) else { return false };
    NOTHING_WAS_BEGUN.contains(&reason.as_str())
        || matches!(
            status.code(),
            Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::FailedPrecondition
                | Code::OutOfRange
                | Code::ResourceExhausted
                | Code::Unimplemented
        )
}

/// The stable reason that one of Rialto's services gave.
fn reason(details: &ErrorDetails) -> Option<String> {
    details.error_info().filter(|info| info.domain == DOMAIN).map(|info| info.reason.clone())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problems) => {
                f.write_str("nothing was sent:")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  - {}", lines(problem)))
            }
            Self::Read(status) => f.write_str(&told(status, None)),
            Self::Change(status, repeat) => f.write_str(&told(status, Some(repeat))),
            Self::NotVerified(why) => write!(f, "receipt: NOT OK: {}", printable(why)),
            Self::Unbalanced(what) => write!(f, "trial balance: NOT OK: {}", printable(&what.join("; "))),
            Self::Answer(what) => {
                write!(
                    f,
                    "the gateway's answer has no {what}: is it another version than this program ({})?",
                    env!("CARGO_PKG_VERSION")
                )
            }
            Self::Output(error) => write!(f, "cannot write the answer: {error}"),
        }
    }
}

/// What a status says, field by field, and what to do next. The text of others must not reach a terminal as it is.
fn told(status: &Status, repeat: Option<&Repeat>) -> String {
    let details = status.get_error_details();
    let reason = reason(&details);
    let fields = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    let mut told = match &reason {
        Some(reason) => format!("{} ({})", printable(reason), name(status.code())),
        None => format!("no answer from the gateway ({})", name(status.code())),
    };
    if fields.is_empty() {
        told += &format!("\n  {}", printable(&message(status)));
    }
    for field in fields {
        told += &format!("\n  {}: {}", printable(&field.field), printable(&field.description));
    }
    let delay = details.retry_info().and_then(|info| info.retry_delay);
    told + "\n  → " + &next_step(status, reason.as_deref(), delay, repeat)
}

/// The status's message; of what happened on the way its first cause, which says most.
fn message(status: &Status) -> String {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(status);
    let mut first = None;
    while let Some(error) = cause {
        first = Some(error.to_string());
        cause = error.source();
    }
    match first {
        Some(first) if !status.message().contains(&first) => format!("{}: {first}", status.message()),
        _ => status.message().to_owned(),
    }
}

/// What to do next.
fn next_step(
    status: &Status,
    reason: Option<&str>,
    delay: Option<Duration>,
    repeat: Option<&Repeat>,
) -> String {
    let again = match repeat {
        Some(Repeat::WithRequestId(id)) => {
            format!("send the same command again with --request-id {}", printable(id))
        }
        Some(Repeat::AsItIs) | None => "send the same command again".to_owned(),
    };
    let later = delay.map_or_else(String::new, |delay| format!(" after {} ms", delay.as_millis()));
    match (status.code(), reason) {
        (_, Some("SIGNATURE_REQUIRED")) => {
            "this call must be signed, which rialto does not do: see docs/signing.md".to_owned()
        }
        (_, Some("REQUEST_ID_REUSED")) => {
            "this request id made another payment: `rialto get --request-id` shows it; leave the id out for a new one".to_owned()
        }
        (_, Some("POSITION_NOT_KEPT")) => {
            "begin at `--from earliest`, and see with `rialto list` what was missed".to_owned()
        }
        (_, Some("SECOND_OPERATOR_REQUIRED")) => "another operator's key must approve it (--profile)".to_owned(),
        (Code::InvalidArgument | Code::OutOfRange, _) => "correct what is named and send it again".to_owned(),
        (Code::Unauthenticated, _) => {
            "check the key: `rialto profiles` shows which one is used; has it ended, or been revoked?".to_owned()
        }
        (Code::PermissionDenied, _) => "this needs a key with another role: see --profile".to_owned(),
        (Code::NotFound, _) => {
            "check the id, and whose key this is: what belongs to another participant is not found either".to_owned()
        }
        (Code::FailedPrecondition | Code::AlreadyExists, _) => {
            "nothing was changed: look at what there is, and decide anew".to_owned()
        }
        (Code::ResourceExhausted, _) => format!("nothing was begun: {again}{later}"),
        (Code::Unavailable, None) => {
            format!("is the gateway up, are --gateway and --ca right? Then {again}: nothing is done twice")
        }
        (Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Internal, _) | (_, None) => {
            format!("{again}{later}: nothing is done twice")
        }
        (_, Some(_)) => again,
    }
}

/// The code as gRPC writes it: INVALID_ARGUMENT.
fn name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

/// The same for a text of several lines.
fn lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n    ")
}

#[cfg(test)]
mod tests {
    use common::fault::Fault;

    use super::*;

    fn change(fault: Fault) -> Failure {
        Failure::change("order-1")(fault.into())
    }

    #[test]
    fn a_refusal_is_told_field_by_field_with_the_next_step() {
        let failure = change(Fault::invalid(vec![
            Violation::new("payer_account", "required"),
            Violation::new("payee.name", "must not be empty"),
        ]));
        assert_eq!(
            failure.to_string(),
            "INVALID_REQUEST (INVALID_ARGUMENT)\n  payer_account: required\n  payee.name: must not be empty\n  → correct what is \
             named and send it again"
        );
        let failure = change(Fault::overloaded("full").retry_after(Duration::from_secs(2)));
        let told = failure.to_string();
        assert!(
            told.ends_with("send the same command again with --request-id order-1 after 2000 ms"),
            "{told}"
        );
    }

    #[test]
    fn only_what_says_that_nothing_came_to_be_is_a_refusal() {
        let refused = [
            Fault::invalid(Vec::new()),
            Fault::not_found("payment"),
            Fault::unauthenticated(),
            Fault::overloaded("full"),
            Fault::precondition("CURRENCY_MISMATCH", "no"),
            Fault::deadline_too_short(),
            Fault::unavailable("BANK_OFFLINE", "down"),
        ];
        let open = [Fault::deadline_exceeded(), Fault::unavailable("NO_PLATFORM", "gone"), Fault::internal()];
        for fault in refused {
            assert!(is_refusal(&Status::from(fault.clone())), "{fault}");
        }
        for fault in open {
            assert!(!is_refusal(&Status::from(fault.clone())), "{fault}");
        }
        // Whatever stands between says nothing about the payment, and neither does a connection that broke.
        for code in
            [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::NotFound, Code::PermissionDenied]
        {
            assert!(!is_refusal(&Status::new(code, "a proxy")), "{code}");
        }
    }

    #[test]
    fn texts_of_others_do_not_command_the_terminal() {
        let fault = Fault::precondition("CURRENCY_MISMATCH", "\u{1b}[2Jwiped\r\u{202E}\u{9b}1m");
        let told = change(fault).to_string();
        assert!(told.contains("\\u{1b}[2Jwiped\\u{d}\\u{202e}\\u{9b}1m"), "{told}");
        assert!(!told.contains('\u{1b}') && !told.contains('\r'), "{told}");
    }

    #[test]
    fn codes_have_their_grpc_names() {
        assert_eq!(name(Code::InvalidArgument), "INVALID_ARGUMENT");
        assert_eq!(name(Code::Ok), "OK");
    }
}
