//! What callers were told (I5, I8, I17, I18).

use super::{
    Harm::{Doubled, Lost},
    Violation,
    evidence::{Call, Request},
    life::Scene,
    refusals,
    rows::PaymentRow,
};
use crate::journal::{Heard, Intent, Method, Seen};

/// Codes that a server may answer with under faults; anything else is a defect.
const ALLOWED_CODES: [&str; 10] = [
    "Ok",
    "HungUp",
    "Unavailable",
    "DeadlineExceeded",
    "Cancelled",
    "Aborted",
    "ResourceExhausted",
    "FailedPrecondition",
    "InvalidArgument",
    "NotFound",
];

/// Whether nothing follows on this state.
pub fn is_final(state: &str) -> bool {
    matches!(state, "SUCCEEDED" | "FAILED" | "CANCELLED" | "EXPIRED")
}

/// Whether nothing follows on this state by itself but an expiry.
pub fn is_at_rest(state: &str) -> bool {
    is_final(state) || state == "AUTHORIZED"
}

/// Judges all that was heard of a request, against itself and against the rows of its family.
pub fn judge(request: &Request, scene: &Scene<'_>) -> Vec<Violation> {
    let row = scene.rows.iter().find(|row| row.request_id == request.id && row.kind != "RETURN");
    let mut found = Vec::new();
    for call in &request.calls {
        if let Some((_, heard)) = &call.heard {
            found.extend(answer(request, call, heard));
            if heard.from_server {
                found.extend(refusals::judge(request, call, heard, scene));
            }
        }
    }
    found.extend(one_payment(request));
    found.extend(in_order(request));
    found.extend(request.sights().filter_map(|seen| kept(request, seen, row)));
    found
}

/// An answer is one to what was asked.
fn answer(request: &Request, call: &Call, heard: &Heard) -> Option<Violation> {
    let intent = &call.intent;
    let violation = |invariant, what: String| Some(Violation::new(invariant, Lost, &request.id, what));
    if heard.from_server && !ALLOWED_CODES.contains(&heard.code.as_str()) {
        return violation(
            "I18",
            format!("call {} was answered {} {}", call.number, heard.code, heard.reason),
        );
    }
    let seen = heard.payment.as_ref()?;
    if seen.request_id != request.id {
        return violation(
            "I8",
            format!("call {} was answered with {}'s payment", call.number, seen.request_id),
        );
    }
    if !answers(intent, seen) {
        let said = format!("call {} asked for {intent:?} and was answered {seen:?}", call.number);
        return Some(Violation::new("I8", Doubled, &request.id, said));
    }
    None
}

/// Whether a payment is what was asked for.
fn answers(intent: &Intent, seen: &Seen) -> bool {
    let belongs = |kind: &str| seen.kind == kind && seen.original == intent.original;
    // Without an amount it is all that is left.
    let amount = intent.amount == 0 || (intent.amount, &intent.currency) == (seen.amount, &seen.currency);
    match intent.method {
        Method::Pay => amount && intent.account == seen.account && seen.original.is_empty(),
        Method::Capture => amount && belongs("CAPTURE"),
        Method::Refund => amount && belongs("REFUND"),
        Method::Cancel | Method::Resolve => seen.id == intent.original,
        Method::Read | Method::Deposit => true,
    }
}

/// A request id makes one payment, and its final answer is always the same bytes.
fn one_payment(request: &Request) -> Option<Violation> {
    let first = request.sights().next()?;
    if let Some(other) = request.sights().find(|seen| seen.id != first.id) {
        let two = format!("answered with {} and with {}", first.id, other.id);
        return Some(Violation::new("I8", Doubled, &request.id, two));
    }
    let first = request.sights().find(|seen| is_final(&seen.state))?;
    let other = request.sights().find(|seen| is_final(&seen.state) && seen.bytes != first.bytes)?;
    let two = format!("the final answer was {first:?}, and {other:?}");
    Some(Violation::new("I8", Lost, &request.id, two))
}

/// What is asked after an answer was heard is never answered with less than that.
fn in_order(request: &Request) -> Vec<Violation> {
    let mut answered: Vec<(&Call, u64, &Heard)> = request
        .calls
        .iter()
        .filter_map(|call| call.heard.as_ref().map(|(at_us, heard)| (call, *at_us, heard)))
        .filter(|(_, _, heard)| heard.payment.is_some() || (heard.code == "NotFound" && heard.from_server))
        .collect();
    answered.sort_by_key(|(_, at_us, _)| *at_us);
    let known = request.known.as_ref().map_or(0, |seen| seen.sequence);
    // The newest sight at each moment.
    let mut newest: Vec<(u64, i64)> = vec![(0, known)];
    let mut found = Vec::new();
    for (call, at_us, heard) in answered {
        let before = newest.partition_point(|(at_us, _)| *at_us <= call.from_us);
        let seen_before =
            before.checked_sub(1).and_then(|index| newest.get(index)).map_or(0, |(_, seen)| *seen);
        let sequence = heard.payment.as_ref().map_or(0, |seen| seen.sequence);
        if sequence < seen_before {
            let what = format!(
                "call {} was answered with step {sequence}, and step {seen_before} was known before it was asked",
                call.number
            );
            found.push(Violation::new("I17", Lost, &request.id, what));
        }
        let newest_now = newest.last().map_or(0, |(_, seen)| *seen).max(sequence);
        newest.push((at_us, newest_now));
    }
    found
}

/// What was acknowledged is in the ledger.
fn kept(request: &Request, seen: &Seen, row: Option<&PaymentRow>) -> Option<Violation> {
    let lost = |what: String| Some(Violation::new("I5", Lost, &request.id, what));
    let Some(row) = row else { return lost(format!("{} was acknowledged and is gone", seen.id)) };
    let id = format!("pay_{}", row.id.simple());
    // A bank's account is nobody's to see.
    let is_banks = row.kind == "REFUND" && row.bank_id.is_some();
    let payer = if is_banks { String::new() } else { format!("acc_{}", row.payer_account.simple()) };
    let original = row.original_id.map(|id| format!("pay_{}", id.simple())).unwrap_or_default();
    let in_row = (&id, &row.kind, &original, &payer, row.amount, &row.currency, row.uetr.to_string());
    let Seen { kind, original, account, amount, currency, uetr, .. } = seen;
    let acknowledged = (&seen.id, kind, original, account, *amount, currency, uetr.clone());
    if in_row != acknowledged {
        return lost(format!("{acknowledged:?} was acknowledged, the ledger has {in_row:?}"));
    }
    if i64::from(row.sequence) < seen.sequence || (is_final(&seen.state) && row.state != seen.state) {
        return lost(format!(
            "{} ({}) was acknowledged, the ledger has {}",
            seen.state, seen.sequence, row.state
        ));
    }
    None
}
