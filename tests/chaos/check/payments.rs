//! What became of each payment (I6, I7, I8), and what nobody asked for (I4).

use std::collections::BTreeMap;

use super::{
    Harm::{Doubled, Lost, Stuck},
    Violation,
    answers::is_at_rest,
    books::News,
    evidence::Request,
    life,
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

/// Those of authorizations, which nothing else goes through.
const OF_AUTHORIZATIONS: [(&str, &str); 5] = [
    ("", "AUTHORIZED"),
    ("AUTHORIZED", "AUTHORIZED"),
    ("AUTHORIZED", "SUCCEEDED"),
    ("AUTHORIZED", "CANCELLED"),
    ("AUTHORIZED", "EXPIRED"),
];
/// Those of authorizations and of others.
const OF_BOTH: [(&str, &str); 1] = [("", "FAILED")];

/// What nobody has asked for, done by a bank or known here.
pub fn unasked(news: &News, requests: &BTreeMap<String, Request>) -> Vec<Violation> {
    let nobody = |id: &str| !requests.contains_key(id);
    let credits = news.credits.iter().filter(|credit| nobody(&credit.end_to_end_id));
    let returns = news.returns.iter().filter(|back| nobody(&back.end_to_end_id));
    let done = credits.map(|credit| format!("{credit:?}")).chain(returns.map(|back| format!("{back:?}")));
    let done = done.map(|what| format!("done, but never asked for: {what}"));
    let sent =
        news.sent_unasked.iter().map(|id| format!("{id} was sent again, and the bank not asked before"));
    done.chain(sent).map(|found| Violation::new("I4", Doubled, "", found)).collect()
}

/// Judges the rows that a request made.
pub fn judge(request: &Request, rows: &[PaymentRow]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut violation =
        |invariant, harm, what| found.push(Violation::new(invariant, harm, &request.id, what));
    let own: Vec<&PaymentRow> =
        rows.iter().filter(|row| row.request_id == request.id && row.kind != "RETURN").collect();
    if own.len() > 1 {
        violation("I8", Doubled, format!("made {} payments", own.len()));
    }
    found.extend(own.first().and_then(|row| life::cancelled(request, row)));
    let asked_ms = request.first_asked().map_or(0, |asked| asked.expire_time_ms);
    let expires_us = own.first().and_then(|row| row.expires_us);
    if expires_us.is_some_and(|at_us| asked_ms > 0 && at_us / 1_000 != asked_ms) {
        found.push(Violation::new(
            "I5",
            Lost,
            &request.id,
            format!("expires at {expires_us:?}, not at {asked_ms}"),
        ));
    }
    found
}

/// Judges whether a payment is where it should be at quiescence.
pub fn at_rest(row: &PaymentRow) -> Option<Violation> {
    let is_open = !is_at_rest(&row.state) || (row.state == "AUTHORIZED" && row.is_closing);
    is_open
        .then(|| Violation::new("I6", Stuck, &row.request_id, format!("{} is still {}", row.id, row.state)))
}

/// Replays a payment's history.
pub fn history(row: &PaymentRow, events: &[Event]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut violation = |what| found.push(Violation::new("I7", Lost, &row.request_id, what));
    let mut state = "";
    for (expected, event) in (1_i32..).zip(events) {
        let next = event.state.as_str();
        let is_of_the_kind = (row.kind == "AUTHORIZATION") == OF_AUTHORIZATIONS.contains(&(state, next))
            || OF_BOTH.contains(&(state, next));
        if !TRANSITIONS.contains(&(state, next)) || !is_of_the_kind || event.sequence != expected {
            violation(format!(
                "a {}'s step {} led from {state:?} to {next}: {events:?}",
                row.kind, event.sequence
            ));
        }
        state = next;
    }
    let last = events.last().map(|event| (event.sequence, event.state.as_str()));
    if last != Some((row.sequence, row.state.as_str())) {
        violation(format!("is {} ({}), its history ends with {last:?}", row.state, row.sequence));
    }
    found
}
