//! What became of each payment, here and at the banks (I4, I6, I7, I8).

use std::collections::BTreeMap;

use super::{
    Harm::{Doubled, Lost, Stuck},
    Violation,
    answers::is_final,
    books::Credit,
    evidence::Request,
    rows::{Event, PaymentRow},
};

/// The transitions that there are: from which state to which. A payment begins in one of those from nothing.
const TRANSITIONS: [(&str, &str); 23] = [
    ("", "HELD"),
    ("", "AUTHORIZED"),
    ("", "SUBMITTED"),
    ("", "SUCCEEDED"),
    ("", "FAILED"),
    ("HELD", "SUBMITTED"),
    ("HELD", "CANCELLED"),
    ("HELD", "INVESTIGATE"),
    ("AUTHORIZED", "AUTHORIZED"),
    ("AUTHORIZED", "SUCCEEDED"),
    ("AUTHORIZED", "CANCELLED"),
    ("AUTHORIZED", "EXPIRED"),
    ("SUBMITTED", "HELD"),
    ("SUBMITTED", "UNKNOWN"),
    ("SUBMITTED", "INVESTIGATE"),
    ("SUBMITTED", "SUCCEEDED"),
    ("SUBMITTED", "FAILED"),
    ("UNKNOWN", "HELD"),
    ("UNKNOWN", "INVESTIGATE"),
    ("UNKNOWN", "SUCCEEDED"),
    ("UNKNOWN", "FAILED"),
    ("INVESTIGATE", "SUCCEEDED"),
    ("INVESTIGATE", "FAILED"),
];

/// Executions that nobody has asked for.
pub fn unasked(credits: &[Credit], requests: &BTreeMap<String, Request>) -> Vec<Violation> {
    let nobody = |credit: &&Credit| !requests.contains_key(&credit.end_to_end_id);
    let found = credits.iter().filter(nobody);
    found
        .map(|credit| Violation::new("I4", Doubled, "", format!("executed, but never asked for: {credit:?}")))
        .collect()
}

/// Judges the rows that a request made against what the banks executed.
pub fn judge(request: &Request, rows: &[PaymentRow]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut violation =
        |invariant, harm, what| found.push(Violation::new(invariant, harm, &request.id, what));
    if rows.len() > 1 {
        violation("I8", Doubled, format!("made {} payments", rows.len()));
    }
    if request.credits.len() > 1 {
        violation("I4", Doubled, format!("executed {} times: {:?}", request.credits.len(), request.credits));
    }
    let row = rows.first();
    if let Some(row) = row.filter(|row| !is_final(&row.state)) {
        violation("I6", Stuck, format!("{} is still {}", row.id, row.state));
    }
    let paid_here = row.filter(|row| row.state == "SUCCEEDED" && row.bank_id.is_some());
    match (paid_here, request.credits.first()) {
        (Some(row), Some(credit)) => {
            let here = (row.bank_id.as_deref(), row.uetr, row.amount, row.currency.as_str());
            let there =
                (Some(credit.bank.as_str()), credit.uetr, credit.minor_units, credit.currency.as_str());
            if here != there {
                violation("I4", Lost, format!("here {here:?}, at the bank {there:?}"));
            }
        }
        (Some(row), None) => violation("I4", Lost, format!("{} succeeded here, no bank executed it", row.id)),
        (None, Some(credit)) => {
            let state = row.map_or("absent", |row| row.state.as_str());
            violation("I4", Lost, format!("{} executed it, here it is {state}", credit.bank));
        }
        (None, None) => {}
    }
    found
}

/// Replays a payment's history.
pub fn history(request: &Request, row: &PaymentRow, events: &[Event]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut state = "";
    for (expected, (sequence, next)) in (1_i32..).zip(events) {
        if !TRANSITIONS.contains(&(state, next)) || *sequence != expected {
            let what = format!("step {sequence} led from {state:?} to {next}: {events:?}");
            found.push(Violation::new("I7", Lost, &request.id, what));
        }
        state = next;
    }
    let last = events.last().map(|(sequence, state)| (*sequence, state.as_str()));
    if last != Some((row.sequence, row.state.as_str())) {
        let what = format!("is {} ({}), its history ends with {last:?}", row.state, row.sequence);
        found.push(Violation::new("I7", Lost, &request.id, what));
    }
    found
}
