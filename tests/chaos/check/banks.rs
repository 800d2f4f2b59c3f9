//! What banks did against what the ledger says that they did (I4), and what it says when they contradict themselves.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Harm::{Doubled, Lost},
    Violation,
    books::{Credit, Return, Words},
    evidence::Family,
    rows::{Event, PaymentRow},
};

/// Judges a family's payments against the books of their banks.
pub fn judge(family: &Family, rows: &[PaymentRow]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut credits: BTreeMap<Uuid, Vec<&Credit>> = BTreeMap::new();
    for credit in &family.credits {
        credits.entry(credit.uetr).or_default().push(credit);
    }
    let mut returns: BTreeMap<Uuid, Vec<&Return>> = BTreeMap::new();
    for back in &family.returns {
        returns.entry(back.refund().unwrap_or_default()).or_default().push(back);
    }
    for row in rows.iter().filter(|row| row.bank_id.is_some()) {
        match row.kind.as_str() {
            "PAYMENT" | "CAPTURE" => {
                found.extend(paid(row, &credits.remove(&row.uetr).unwrap_or_default(), rows));
            }
            "REFUND" | "RETURN" => {
                found.extend(given_back(row, &returns.remove(&row.id).unwrap_or_default(), rows));
            }
            _ => {}
        }
    }
    let unknown_credits =
        credits.into_values().flatten().map(|credit| (&credit.end_to_end_id, format!("{credit:?}")));
    let unknown_returns =
        returns.into_values().flatten().map(|back| (&back.end_to_end_id, format!("{back:?}")));
    found.extend(unknown_credits.chain(unknown_returns).map(|(request_id, what)| {
        Violation::new("I4", Doubled, request_id, format!("done by a bank, and unknown here: {what}"))
    }));
    found
}

/// A payment or capture: executed once, or not at all.
fn paid(row: &PaymentRow, credits: &[&Credit], rows: &[PaymentRow]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut violation = |harm, what| found.push(Violation::new("I4", harm, &row.request_id, what));
    if credits.len() > 1 {
        violation(Doubled, format!("executed {} times: {credits:?}", credits.len()));
    }
    let late = rows.iter().any(|other| other.kind == "RETURN" && other.original_id == Some(row.id));
    match (row.state == "SUCCEEDED", credits.first()) {
        (true, None) => violation(Lost, format!("{} succeeded here, no bank executed it", row.id)),
        (true, Some(credit)) => {
            let here = (row.bank_id.as_deref(), row.amount, &row.currency);
            let there = (Some(credit.bank.as_str()), credit.minor_units, &credit.currency);
            let is_resolved = row.resolution.as_ref().is_some_and(|(succeeded, evidence)| {
                *succeeded && evidence.contains(&row.uetr.to_string()) && evidence.contains(&credit.bank)
            });
            // Operators know that the bank credited another amount; it is the bank that answers for the difference.
            if here != there && !is_resolved {
                violation(Lost, format!("here {here:?}, at the bank {there:?}"));
            }
        }
        (false, Some(credit)) if !late => {
            violation(Lost, format!("{} executed it, here it is {}", credit.bank, row.state));
        }
        (false, _) => {}
    }
    found
}

/// A refund, or what the house takes back: given back once, or not at all.
fn given_back(row: &PaymentRow, returns: &[&Return], rows: &[PaymentRow]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut violation = |harm, what| found.push(Violation::new("I4", harm, &row.request_id, what));
    if returns.len() > 1 {
        violation(Doubled, format!("given back {} times: {returns:?}", returns.len()));
    }
    match (row.state == "SUCCEEDED", returns.first()) {
        (true, None) => violation(Lost, format!("{} succeeded here, no bank gave it back", row.id)),
        (true, Some(back)) => {
            let original = rows.iter().find(|original| Some(original.id) == row.original_id);
            let uetr = original.map(|original| original.uetr).unwrap_or_default();
            let here = (row.bank_id.as_deref(), uetr, row.amount, &row.currency);
            let there = (Some(back.bank.as_str()), back.uetr, back.minor_units, &back.currency);
            if here != there {
                violation(Lost, format!("here {here:?}, given back by the bank {there:?}"));
            }
        }
        (false, Some(back)) => {
            violation(Lost, format!("{} gave it back, here it is {}", back.bank, row.state));
        }
        (false, None) => {}
    }
    found
}

/// Judges a payment's alarms: whatever needs one has it, and each is about something that the bank really said.
pub fn alarms(row: &PaymentRow, events: &[Event], rows: &[PaymentRow], words: Words) -> Vec<Violation> {
    let has = |kind: &str| row.alarms.iter().any(|alarm| alarm == kind);
    let was = |state: &str| events.iter().any(|event| event.state == state);
    let back = rows.iter().find(|other| other.kind == "RETURN" && other.original_id == Some(row.id));
    let both = words.accepted && words.rejected;
    let explained = |kind: &str| match kind {
        "LATE_SUCCESS" => back.is_some() && words.accepted,
        "RETURN_REFUSED" => back.is_some_and(|back| back.state == "FAILED"),
        "CONTRADICTION" => both || (words.accepted && was("HELD")),
        "NOTICE_MISMATCH" => words.mismatched,
        "PAYMENT_PARKED" => was("INVESTIGATE"),
        // An end that is overdue, or work that never ends: never on a bench whose faults last a second.
        _ => false,
    };
    let unexplained = row.alarms.iter().filter(|kind| !explained(kind));
    let mut found: Vec<Violation> = unexplained
        .map(|kind| {
            Violation::new("I6", Lost, &row.request_id, format!("{kind}, and the bank said {words:?}"))
        })
        .collect();
    let silent = (back.is_some() && !has("LATE_SUCCESS"))
        || (back.is_some_and(|back| back.state == "FAILED") && !has("RETURN_REFUSED"))
        || (was("INVESTIGATE") && !has("PAYMENT_PARKED") && !has("CONTRADICTION"));
    if silent {
        let what = format!("people should have been called, and there is only {:?}", row.alarms);
        found.push(Violation::new("I6", Lost, &row.request_id, what));
    }
    found
}
