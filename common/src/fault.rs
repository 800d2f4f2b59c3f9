//! The one error that crosses the services, with its gRPC form: `google.rpc.Status` with `ErrorInfo`, `BadRequest` and
//! `RetryInfo`. A fault means that what was asked did not come to be.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use opentelemetry::metrics::Counter;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::metrics::{self, label};

/// The `ErrorInfo.domain` of every fault.
pub const DOMAIN: &str = "rialto";

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    code: Code,
    reason: &'static str,
    message: String,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
}

/// A field of a request, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request, e.g. `amount.currency`.
    pub field: String,
    /// What it must be instead.
    pub description: String,
}

impl Violation {
    /// `field` is wrong as `description` says.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

impl Fault {
    fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), violations: Vec::new(), retry_after: None }
    }

    /// The request is malformed in these fields.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self::invalid_because("INVALID_REQUEST", violations)
    }

    /// The request is malformed in these fields, for a reason with a name of its own.
    pub fn invalid_because(reason: &'static str, violations: Vec<Violation>) -> Self {
        let fields: Vec<String> =
            violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
        Self { violations, ..Self::new(Code::InvalidArgument, reason, fields.join("; ")) }
    }

    /// The request's bytes are no message.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, "MALFORMED_MESSAGE", message)
    }

    /// Nothing here answers to that path.
    pub fn no_such_call() -> Self {
        let message = "there is no such call here: see the contracts, or ask reflection for them";
        Self::new(Code::Unimplemented, "NO_SUCH_CALL", message)
    }

    /// There is no such thing among the caller's.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, "NOT_FOUND", format!("{what} not found"))
    }

    /// The request is well-formed and does not fit the present state.
    pub fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// What is asked for lies beyond what there is.
    pub fn out_of_range(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::OutOfRange, reason, message)
    }

    /// What was going on was cut off; it may be begun again.
    pub fn aborted(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::Aborted, reason, message)
    }

    /// The thing to create exists.
    pub fn already_exists(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, reason, message)
    }

    /// Nobody known is calling. Says the same whatever is wrong with the credential.
    pub fn unauthenticated() -> Self {
        let hint =
            "send metadata 'authorization: Bearer …' once, with an API key (rk_…) or a token that is valid";
        Self::new(Code::Unauthenticated, "UNAUTHENTICATED", hint)
    }

    /// Somebody known is calling, and their call's signature is not what it must be.
    pub fn bad_signature(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// The caller is known and may not do this.
    pub fn permission_denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, "PERMISSION_DENIED", message)
    }

    /// Too much is under way; nothing was begun.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::exhausted("OVERLOADED", message)
    }

    /// Too much of something is under way; nothing was begun.
    pub fn exhausted(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(Duration::from_millis(200)),
            ..Self::new(Code::ResourceExhausted, reason, message)
        }
    }

    /// The same, with when the same request may be sent again.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// A part that is needed does not answer; the same request may be sent again.
    pub fn unavailable(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(Duration::from_millis(500)),
            ..Self::new(Code::Unavailable, reason, message)
        }
    }

    /// Too little time is left; nothing was begun.
    pub fn deadline_too_short() -> Self {
        let message = "less than 100 ms left of the deadline: nothing was begun, ask again with more time";
        Self::new(Code::DeadlineExceeded, "DEADLINE_TOO_SHORT", message)
    }

    /// Time ran out before the answer came; what was asked may or may not have come to be.
    pub fn deadline_exceeded() -> Self {
        let message = "no answer in time: ask again with the same request_id to learn what came of it";
        Self::new(Code::DeadlineExceeded, "OUTCOME_NOT_KNOWN_YET", message)
    }

    /// The request did not come in time; nothing was begun.
    pub fn request_too_slow() -> Self {
        let message = "the request was not whole within a minute; nothing was begun: send it again";
        Self::new(Code::DeadlineExceeded, "REQUEST_TOO_SLOW", message)
    }

    /// A defect of ours. The message says nothing of the inside; the log does.
    pub fn internal() -> Self {
        Self::new(
            Code::Internal,
            "INTERNAL",
            "internal error: it is on record; ask again with the same request_id",
        )
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The stable reason (`ErrorInfo.reason`).
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// What is wrong with which field; empty unless the request is malformed.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?}): {}", self.reason, self.code, self.message)
    }
}

impl std::error::Error for Fault {}

static FAULTS: LazyLock<Counter<u64>> =
    LazyLock::new(|| metrics::counter("rialto.faults", "{fault}", "What was not carried out, by why."));

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        FAULTS.add(1, &[label("rialto.fault.reason", fault.reason)]);
        let mut details = ErrorDetails::with_error_info(fault.reason, DOMAIN, HashMap::new());
        for violation in fault.violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if let Some(delay) = fault.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(fault.code, fault.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grpc_form_carries_reason_fields_and_delay() {
        let violations =
            vec![Violation::new("amount", "must be positive"), Violation::new("payee", "required")];
        let status = Status::from(Fault::invalid(violations));
        let details = status.get_error_details();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("INVALID_REQUEST"));
        let fields: Vec<_> = details
            .bad_request()
            .expect("violations")
            .field_violations
            .iter()
            .map(|v| v.field.as_str())
            .collect();
        assert_eq!(fields, ["amount", "payee"]);

        let busy = Status::from(Fault::overloaded("full")).get_error_details();
        assert!(busy.retry_info().and_then(|info| info.retry_delay).is_some());
    }
}
