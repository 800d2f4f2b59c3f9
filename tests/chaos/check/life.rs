//! The life of a payment: what is captured, cancelled, expired and refunded never exceeds what there was (I13), and ends (I6).

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Harm::{Lost, Stuck, WrongTotals},
    Violation,
    answers::is_final,
    evidence::Request,
    rows::{Event, PaymentRow},
};

/// How long after its time an authorization may still be there: a lease that has to run out, and a little.
const EXPIRED_WITHIN_US: i64 = 10_000_000;

/// A family as it is judged: its rows, their histories, and the time of the database.
pub struct Scene<'a> {
    /// The rows.
    pub rows: &'a [PaymentRow],
    /// The histories.
    pub events: &'a HashMap<Uuid, Vec<Event>>,
    /// When they were read, in microseconds since 1970.
    pub now_us: i64,
}

impl Scene<'_> {
    /// What belongs to a payment and was not in vain.
    fn live(&self, of: &PaymentRow, kind: &str) -> impl Iterator<Item = &PaymentRow> {
        let (id, kind) = (of.id, kind.to_owned());
        let of_it = move |row: &&PaymentRow| row.original_id == Some(id) && row.kind == kind;
        self.rows.iter().filter(of_it).filter(|row| !matches!(row.state.as_str(), "FAILED" | "CANCELLED"))
    }

    /// When a payment came to the state that it has.
    fn ended_us(&self, row: &PaymentRow) -> i64 {
        self.events.get(&row.id).and_then(|events| events.last()).map_or(i64::MAX, |event| event.at_us)
    }

    /// Judges the whole family.
    pub fn judge(&self) -> Vec<Violation> {
        let of_row = |row: &PaymentRow| match row.kind.as_str() {
            "AUTHORIZATION" => self.authorization(row),
            "PAYMENT" => self.refunds(row),
            "CAPTURE" => {
                let mut found = self.refunds(row);
                found.extend(self.belongs(row, &["AUTHORIZATION"]));
                found
            }
            "REFUND" => self.belongs(row, &["PAYMENT", "CAPTURE"]).into_iter().collect(),
            "RETURN" => self.taken_back(row).into_iter().collect(),
            _ => vec![Violation::new("I7", Lost, &row.request_id, format!("is a {}", row.kind))],
        };
        self.rows.iter().flat_map(of_row).collect()
    }

    fn authorization(&self, row: &PaymentRow) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut wrong = |what| found.push(Violation::new("I13", WrongTotals, &row.request_id, what));
        let live: i64 = self.live(row, "CAPTURE").map(|capture| capture.amount).sum();
        let ended = self.live(row, "CAPTURE").filter(|capture| capture.state == "SUCCEEDED");
        let captured: i64 = ended.map(|capture| capture.amount).sum();
        if live > row.amount {
            wrong(format!("{live} captured of {}", row.amount));
        }
        let is_open = row.state == "AUTHORIZED" && !row.is_closing;
        let sums = (if is_open { row.amount - live } else { 0 }, live - captured, captured);
        if row.state != "FAILED" && row.sums != Some(sums) {
            wrong(format!("stored {:?} held, capturing, captured; its captures say {sums:?}", row.sums));
        }
        let agrees = match row.state.as_str() {
            "CANCELLED" | "EXPIRED" | "FAILED" => live == 0,
            "SUCCEEDED" => captured == live && captured > 0 && (row.is_closing || captured == row.amount),
            _ => live > captured || (captured < row.amount && !row.is_closing),
        };
        if !agrees {
            wrong(format!("is {} with {captured} captured and {live} asked for", row.state));
        }
        let ended_us = if is_final(&row.state) { self.ended_us(row) } else { i64::MAX };
        if let Some(late) = self.live(row, "CAPTURE").find(|capture| capture.created_us > ended_us) {
            wrong(format!("{} captured after the end: {}", row.state, late.id));
        }
        found.extend(self.expiry(row));
        found
    }

    /// An authorization ends by itself, when its time is over and not before.
    fn expiry(&self, row: &PaymentRow) -> Option<Violation> {
        let Some(expires_us) = row.expires_us else {
            return Some(Violation::new("I6", Stuck, &row.request_id, "never expires"));
        };
        let early = row.state == "EXPIRED" && self.ended_us(row) < expires_us;
        let is_open = row.state == "AUTHORIZED" && !row.is_closing;
        let late = is_open && self.now_us > expires_us + EXPIRED_WITHIN_US;
        let forgotten = is_open && row.work.as_deref() != Some("EXPIRE");
        let what = || format!("is {} with the work {:?}, to expire at {expires_us}", row.state, row.work);
        (early || late || forgotten).then(|| Violation::new("I6", Stuck, &row.request_id, what()))
    }

    fn refunds(&self, row: &PaymentRow) -> Vec<Violation> {
        let refunded: i64 = self.live(row, "REFUND").map(|refund| refund.amount).sum();
        let mut found = Vec::new();
        let mut wrong = |what| found.push(Violation::new("I13", WrongTotals, &row.request_id, what));
        if refunded > row.amount {
            wrong(format!("{refunded} refunded of {}", row.amount));
        }
        if row.refunded.unwrap_or_default() != refunded {
            wrong(format!("stored {:?} refunded; its refunds say {refunded}", row.refunded));
        }
        let begun = self.live(row, "REFUND").map(|refund| refund.created_us).min();
        if begun.is_some_and(|begun| row.state != "SUCCEEDED" || begun < self.ended_us(row)) {
            wrong(format!("refunded, and it is {} or was not paid yet", row.state));
        }
        found
    }

    /// What belongs to another payment belongs to one of these kinds, and is between the same accounts in the same money.
    fn belongs(&self, row: &PaymentRow, kinds: &[&str]) -> Option<Violation> {
        let original = self.rows.iter().find(|original| Some(original.id) == row.original_id);
        let fits = original.is_some_and(|original| {
            let (from, to) = (original.payer_account, original.credit_account);
            let accounts = if row.kind == "CAPTURE" { (from, to) } else { (to, from) };
            kinds.contains(&original.kind.as_str())
                && (row.payer_account, row.credit_account) == accounts
                && (&row.currency, &row.bank_id) == (&original.currency, &original.bank_id)
        });
        let what = || format!("a {} that does not fit {original:?}", row.kind);
        (!fits).then(|| Violation::new("I13", WrongTotals, &row.request_id, what()))
    }

    /// What the house takes back was paid late, and is taken back once and whole.
    fn taken_back(&self, row: &PaymentRow) -> Option<Violation> {
        let original = self.rows.iter().find(|original| Some(original.id) == row.original_id);
        let fits = original.is_some_and(|original| {
            matches!(original.state.as_str(), "FAILED" | "CANCELLED" | "EXPIRED")
                && (original.amount, &original.currency) == (row.amount, &row.currency)
                && original.credit_account == row.payer_account
        });
        let of_it =
            self.rows.iter().filter(|other| other.kind == "RETURN" && other.original_id == row.original_id);
        let what = || format!("taken back, but it does not fit {original:?}");
        (!fits || of_it.count() > 1).then(|| Violation::new("I10", WrongTotals, &row.request_id, what()))
    }
}

/// Whoever was told that an authorization is cancelled finds it at its end.
pub fn cancelled(request: &Request, row: &PaymentRow) -> Option<Violation> {
    let is_open = request.is_cancelled && !is_final(&row.state);
    let what = || format!("was cancelled and is still {}", row.state);
    is_open.then(|| Violation::new("I6", Stuck, &request.id, what()))
}
