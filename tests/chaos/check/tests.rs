//! Each invariant, with evidence that keeps it and evidence that breaks it.

mod family;
mod refusals;

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{
    Violation, answers,
    books::{Credit, News},
    evidence::{Call, Family, Request},
    expected::Expected,
    ledger,
    life::Scene,
    payments,
    rows::{AccountRow, Event, Open, PaymentRow, Sum},
};
use crate::journal::{Heard, Intent, Method, Seen};

const PAYER: Uuid = Uuid::from_u128(1);
const BANK: Uuid = Uuid::from_u128(2);
const PAYMENT: Uuid = Uuid::from_u128(3);

fn account(id: Uuid) -> String {
    format!("acc_{}", id.simple())
}

fn intent(method: Method, amount: i64) -> Intent {
    let content = amount.to_string();
    let (request_id, account, currency) = ("r".to_owned(), account(PAYER), "EUR".to_owned());
    let family = request_id.clone();
    Intent { method, request_id, family, account, amount, currency, content, ..Intent::default() }
}

fn seen(state: &str, sequence: i64) -> Seen {
    Seen {
        id: format!("pay_{}", PAYMENT.simple()),
        request_id: "r".to_owned(),
        kind: "PAYMENT".to_owned(),
        original: String::new(),
        account: account(PAYER),
        amount: 10,
        currency: "EUR".to_owned(),
        uetr: Uuid::nil().to_string(),
        state: state.to_owned(),
        sequence,
        bytes: format!("{state}{sequence}"),
    }
}

fn ok(seen: Seen) -> Heard {
    Heard { code: "Ok".to_owned(), from_server: true, payment: Some(seen), ..Heard::default() }
}

fn refused(code: &str, reason: &str) -> Heard {
    Heard { code: code.to_owned(), from_server: true, reason: reason.to_owned(), payment: None }
}

/// A request with calls, each from and to a moment.
fn request(calls: Vec<(Intent, u64, u64, Heard)>) -> Request {
    let mut request = Request { id: "r".to_owned(), ..Request::default() };
    for (number, (intent, from_us, at_us, heard)) in (1_u64..).zip(calls) {
        if intent.method.makes() {
            request.asked.insert(intent.content.clone(), intent.clone());
        }
        request.calls.push(Call { number, intent, from_us, heard: Some((at_us, heard)) });
    }
    request
}

fn paid(heard: Heard) -> Request {
    request(vec![(intent(Method::Pay, 10), 0, 5, heard)])
}

fn row(state: &str, sequence: i32) -> PaymentRow {
    PaymentRow {
        family: "r".to_owned(),
        id: PAYMENT,
        request_id: "r".to_owned(),
        kind: "PAYMENT".to_owned(),
        payer_account: PAYER,
        credit_account: BANK,
        amount: 10,
        currency: "EUR".to_owned(),
        bank_id: Some("aurora".to_owned()),
        uetr: Uuid::nil(),
        state: state.to_owned(),
        sequence,
        ..PaymentRow::default()
    }
}

fn events_of(rows: &[PaymentRow]) -> HashMap<Uuid, Vec<Event>> {
    let event = |row: &PaymentRow| Event { sequence: 1, state: row.state.clone(), at_us: 100 };
    rows.iter().map(|row| (row.id, vec![event(row)])).collect()
}

/// What `judge` finds in a family of these rows, all of which came to their states at 100 µs, looked at 1 s later.
fn in_scene<T>(rows: &[PaymentRow], judge: impl FnOnce(&Scene<'_>) -> T) -> T {
    judge(&Scene { rows, events: &events_of(rows), now_us: 1_000_000 })
}

fn credit() -> Credit {
    Credit {
        bank: "aurora".to_owned(),
        end_to_end_id: "r".to_owned(),
        minor_units: 10,
        currency: "EUR".to_owned(),
        ..Credit::default()
    }
}

fn invariants(found: &[Violation]) -> Vec<&'static str> {
    found.iter().map(|violation| violation.invariant).collect()
}

fn told(request: &Request, row: Option<&PaymentRow>) -> Vec<&'static str> {
    let rows: Vec<PaymentRow> = row.cloned().into_iter().collect();
    in_scene(&rows, |scene| invariants(&answers::judge(request, scene)))
}

#[test]
fn i5_what_was_acknowledged_is_kept() {
    let done = row("SUCCEEDED", 2);
    let request = paid(ok(seen("SUCCEEDED", 2)));
    assert_eq!(told(&request, Some(&done)), [""; 0]);
    assert_eq!(told(&request, None), ["I5"], "gone");
    assert_eq!(told(&request, Some(&row("FAILED", 3))), ["I5"], "a final state changed");
    assert_eq!(told(&request, Some(&PaymentRow { amount: 11, ..done.clone() })), ["I5"]);
    assert_eq!(told(&request, Some(&PaymentRow { id: PAYER, ..done.clone() })), ["I5"]);
    assert_eq!(told(&paid(ok(seen("UNKNOWN", 3))), Some(&done)), ["I5"], "a step was forgotten");
}

#[test]
fn i8_an_id_means_one_payment_and_one_final_answer() {
    let done = row("SUCCEEDED", 2);
    let twice = |second: Heard, amount| {
        request(vec![
            (intent(Method::Pay, 10), 0, 5, ok(seen("SUCCEEDED", 2))),
            (intent(Method::Pay, amount), 6, 9, second),
        ])
    };
    assert_eq!(told(&twice(ok(seen("SUCCEEDED", 2)), 10), Some(&done)), [""; 0]);
    let rebuilt = Seen { bytes: "other".to_owned(), ..seen("SUCCEEDED", 2) };
    assert_eq!(told(&twice(ok(rebuilt), 10), Some(&done)), ["I8"], "other bytes");
    let other = Seen { id: "pay_other".to_owned(), ..seen("SUCCEEDED", 2) };
    assert_eq!(told(&twice(ok(other), 10), Some(&done)), ["I8", "I5"], "another payment");
    assert_eq!(told(&twice(refused("FailedPrecondition", "REQUEST_ID_REUSED"), 11), Some(&done)), [""; 0]);
    assert_eq!(told(&twice(ok(seen("SUCCEEDED", 2)), 11), Some(&done)), ["I8"], "other content was accepted");
    assert_eq!(
        told(&paid(refused("FailedPrecondition", "REQUEST_ID_REUSED")), None),
        ["I8"],
        "refused for nothing"
    );
    let (twice_made, failed) = ([row("FAILED", 2), row("FAILED", 2)], paid(ok(seen("FAILED", 2))));
    assert_eq!(invariants(&payments::judge(&failed, &twice_made)), ["I8"]);
    assert_eq!(invariants(&payments::judge(&failed, &twice_made[..1])), [""; 0]);
    let mut folded = paid(ok(seen("SUCCEEDED", 2)));
    folded.fold();
    let rebuilt = Seen { bytes: "other".to_owned(), ..seen("SUCCEEDED", 2) };
    folded.calls = paid(ok(rebuilt)).calls;
    assert_eq!(told(&folded, Some(&done)), ["I8"], "what an earlier cycle saw counts");
}

#[test]
fn i17_reads_never_go_back() {
    let done = row("SUCCEEDED", 3);
    let reads = |from_us, second| {
        request(vec![
            (intent(Method::Pay, 10), 0, 5, ok(seen("UNKNOWN", 2))),
            (intent(Method::Read, 0), from_us, 9, second),
        ])
    };
    assert_eq!(told(&reads(6, ok(seen("SUCCEEDED", 3))), Some(&done)), [""; 0]);
    assert_eq!(told(&reads(6, ok(seen("SUBMITTED", 1))), Some(&done)), ["I17"]);
    assert_eq!(
        told(&reads(4, ok(seen("SUBMITTED", 1))), Some(&done)),
        [""; 0],
        "asked before the other was heard"
    );
    assert_eq!(told(&reads(6, refused("NotFound", "")), Some(&done)), ["I17"], "seen, and then not found");
}

#[test]
fn i18_a_server_never_answers_with_a_defect() {
    assert_eq!(told(&paid(refused("Internal", "")), None), ["I18"]);
    assert_eq!(told(&paid(refused("Unknown", "")), None), ["I18"]);
    assert_eq!(told(&paid(refused("Unavailable", "")), None), [""; 0]);
    let by_the_client = Heard { from_server: false, ..refused("Internal", "") };
    assert_eq!(told(&paid(by_the_client), None), [""; 0]);
}

#[test]
fn i7_only_legal_transitions_and_none_after_the_end() {
    let of_kind = |kind: &str, events: &[(i32, &str)], state, sequence| {
        let event = |(sequence, state): &(i32, &str)| Event {
            sequence: *sequence,
            state: (*state).to_owned(),
            at_us: 0,
        };
        let events: Vec<Event> = events.iter().map(event).collect();
        let row = PaymentRow { kind: kind.to_owned(), ..row(state, sequence) };
        invariants(&payments::history(&row, &events))
    };
    let judged = |events: &[(i32, &str)], state, sequence| of_kind("PAYMENT", events, state, sequence);
    let (submitted, unknown) = ((1, "SUBMITTED"), (2, "UNKNOWN"));
    assert_eq!(judged(&[submitted, unknown, (3, "SUCCEEDED")], "SUCCEEDED", 3), [""; 0]);
    assert_eq!(judged(&[submitted, (2, "FAILED"), (3, "SUCCEEDED")], "SUCCEEDED", 3), ["I7"]);
    assert_eq!(judged(&[submitted, (3, "FAILED")], "FAILED", 3), ["I7"], "a step is missing");
    assert_eq!(judged(&[submitted, (2, "FAILED")], "SUCCEEDED", 2), ["I7"], "the row says otherwise");
    assert_eq!(judged(&[], "SUCCEEDED", 1), ["I7"], "no history");
    let authorized = (1, "AUTHORIZED");
    let ended = [authorized, (2, "AUTHORIZED"), (3, "EXPIRED")];
    assert_eq!(of_kind("AUTHORIZATION", &ended, "EXPIRED", 3), [""; 0]);
    assert_eq!(of_kind("CAPTURE", &ended, "EXPIRED", 3), ["I7"; 3], "only authorizations expire");
    let sent = [submitted, (2, "SUCCEEDED")];
    assert_eq!(of_kind("AUTHORIZATION", &sent, "SUCCEEDED", 2), ["I7"; 2], "an authorization is never sent");
    assert_eq!(of_kind("REFUND", &[(1, "HELD"), (2, "CANCELLED")], "CANCELLED", 2), [""; 0]);
}

fn sum(amount: i128) -> Sum {
    Sum { debit_account: PAYER, credit_account: BANK, amount }
}

/// The accounts that 100 on the payer, 30 of them paid and 10 held, leave.
fn accounts() -> Vec<AccountRow> {
    let currency = || "EUR".to_owned();
    vec![
        AccountRow {
            id: PAYER,
            currency: currency(),
            may_overdraw: false,
            bank_id: None,
            is_suspense: false,
            debits_pending: 10,
            debits_posted: 30,
            credits_pending: 0,
            credits_posted: 100,
        },
        AccountRow {
            id: BANK,
            currency: currency(),
            may_overdraw: true,
            bank_id: None,
            is_suspense: false,
            debits_pending: 0,
            debits_posted: 100,
            credits_pending: 10,
            credits_posted: 30,
        },
    ]
}

fn sums() -> Vec<Sum> {
    let deposit = Sum { debit_account: BANK, credit_account: PAYER, ..sum(100) };
    vec![deposit, sum(30)]
}

fn open(amount: i128) -> Open {
    let (by_payer, by_payee) = (BTreeMap::from([(PAYER, amount)]), BTreeMap::from([(BANK, amount)]));
    Open { by_payer, by_payee, work_left: 0 }
}

#[test]
fn i1_i2_i3_i9_money_adds_up() {
    let judged =
        |accounts: &[AccountRow], sums: &[Sum], open| invariants(&ledger::judge(accounts, sums, open));
    assert_eq!(judged(&accounts(), &sums(), open(10)), [""; 0]);
    assert_eq!(judged(&accounts(), &sums(), open(11)), ["I9", "I9"], "a payment without its hold");
    assert_eq!(judged(&accounts(), &sums(), Open { work_left: 1, ..open(10) }), ["I15"]);
    let mut edited = accounts();
    edited[0].credits_posted += 1;
    assert_eq!(judged(&edited, &sums(), open(10)), ["I2"], "a balance edited by hand");
    let mut dollars = accounts();
    dollars[1].currency = "USD".to_owned();
    assert_eq!(judged(&dollars, &sums(), open(10)), ["I1", "I1"], "euros became dollars");
    let mut overdrawn = accounts();
    (overdrawn[0].debits_posted, overdrawn[1].credits_posted) = (130, 130);
    let mut more = sums();
    more.push(sum(100));
    assert_eq!(judged(&overdrawn, &more, open(10)), ["I3"]);
    assert_eq!(judged(&accounts()[..1], &sums(), open(10)), ["I1", "I1"], "an account is gone");
}
