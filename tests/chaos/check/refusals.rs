//! Whether what was refused had to be (I8, I17): judged against what the ledger shows afterwards, and only where no race
//! could have made it right.

use super::{
    Harm::Lost,
    Violation,
    evidence::{Call, Request},
    life::Scene,
    rows::PaymentRow,
};
use crate::journal::{Heard, Method};

/// Judges a refusal of a call, whose relatives are `scene`.
pub fn judge(request: &Request, call: &Call, heard: &Heard, scene: &Scene<'_>) -> Option<Violation> {
    let is_right = match heard.code.as_str() {
        "FailedPrecondition" => is_right(request, call, &heard.reason, scene),
        // Only an expiry that is too near is refused so.
        "InvalidArgument" => call.intent.expire_time_ms > 0,
        // Whatever is captured, cancelled, refunded or resolved was seen before.
        "NotFound" => matches!(call.intent.method, Method::Read),
        _ => true,
    };
    let what = || format!("call {} was refused: {} {}", call.number, heard.code, heard.reason);
    (!is_right).then(|| Violation::new("I8", Lost, &request.id, what()))
}

fn is_right(request: &Request, call: &Call, reason: &str, scene: &Scene<'_>) -> bool {
    let rows = scene.rows;
    let has_expired = |row: &PaymentRow| row.expires_us.is_some_and(|at| at <= scene.now_us);
    let is_over = |row: &PaymentRow| row.is_closing || has_expired(row);
    let intent = &call.intent;
    let original = rows.iter().find(|row| format!("pay_{}", row.id.simple()) == intent.original);
    // All that others have asked for, in vain or not.
    let others: i64 = rows
        .iter()
        .filter(|row| original.is_some_and(|original| row.original_id == Some(original.id)))
        .filter(|row| row.request_id != request.id && row.kind != "RETURN")
        .map(|row| row.amount)
        .sum();
    let too_much = original.is_some_and(|original| others + intent.amount.max(1) > original.amount);
    match (intent.method, reason) {
        (_, "REQUEST_ID_REUSED") => request.asked.values().any(|asked| asked.content != intent.content),
        (Method::Capture, "CAPTURE_EXCEEDS_AUTHORIZED") | (Method::Refund, "REFUND_EXCEEDS_CAPTURED") => {
            too_much
        }
        (Method::Capture, "PAYMENT_NOT_CAPTURABLE") => original
            .is_some_and(|row| row.kind != "AUTHORIZATION" || row.state != "AUTHORIZED" || is_over(row)),
        (Method::Cancel, "PAYMENT_NOT_CANCELLABLE") => original.is_some_and(|row| {
            let ends_by_cancel = matches!(row.state.as_str(), "AUTHORIZED" | "CANCELLED");
            // Unless its time was over, whose end may have come first.
            let again = was_cancelled_before(request, call) && !has_expired(row);
            (row.kind != "AUTHORIZATION" || !ends_by_cancel) && !again
        }),
        (Method::Refund, "PAYMENT_NOT_REFUNDABLE") => {
            !matches!(intent.original_seen.as_str(), "PAYMENT SUCCEEDED" | "CAPTURE SUCCEEDED")
        }
        (Method::Resolve, "PAYMENT_NOT_RESOLVABLE") => original.is_some_and(|row| row.resolution.is_some()),
        _ => false,
    }
}

/// Whether somebody was told that it is cancelled, before this was asked.
fn was_cancelled_before(request: &Request, call: &Call) -> bool {
    let told = |other: &Call| {
        let heard =
            other.heard.as_ref().filter(|(at_us, heard)| *at_us <= call.from_us && heard.code == "Ok");
        other.intent.method == Method::Cancel && heard.is_some()
    };
    request.is_cancelled || request.calls.iter().any(told)
}
