//! Each invariant, with evidence that keeps it and evidence that breaks it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Violation, answers,
    books::Credit,
    evidence::{Call, Request},
    ledger::{self, Expected},
    payments,
    rows::{AccountRow, Open, PaymentRow, Sum},
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
    Intent { method, request_id, account, amount, currency, content, ..Intent::default() }
}

fn seen(state: &str, sequence: i64) -> Seen {
    Seen {
        id: format!("pay_{}", PAYMENT.simple()),
        request_id: "r".to_owned(),
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
        if intent.method != Method::Read {
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
        id: PAYMENT,
        request_id: "r".to_owned(),
        payer_account: PAYER,
        amount: 10,
        currency: "EUR".to_owned(),
        bank_id: Some("aurora".to_owned()),
        uetr: Uuid::nil(),
        state: state.to_owned(),
        sequence,
    }
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
    invariants(&answers::judge(request, row))
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
    assert_eq!(
        invariants(&payments::judge(&paid(ok(seen("FAILED", 2))), &[row("FAILED", 2), row("FAILED", 2)])),
        ["I8"]
    );
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
fn i4_what_a_bank_executed_is_what_succeeded_here() {
    let judged = |state, credits: &[Credit]| {
        let request = Request { credits: credits.to_vec(), ..paid(ok(seen(state, 2))) };
        invariants(&payments::judge(&request, &[row(state, 2)]))
    };
    assert_eq!(judged("SUCCEEDED", &[credit()]), [""; 0]);
    assert_eq!(judged("FAILED", &[]), [""; 0]);
    assert_eq!(judged("SUCCEEDED", &[]), ["I4"], "nobody executed it");
    assert_eq!(judged("FAILED", &[credit()]), ["I4"], "executed, and failed here");
    assert_eq!(judged("SUCCEEDED", &[credit(), credit()]), ["I4"], "executed twice");
    assert_eq!(judged("SUCCEEDED", &[Credit { minor_units: 9, ..credit() }]), ["I4"], "another amount");
    assert_eq!(judged("SUCCEEDED", &[Credit { uetr: PAYER, ..credit() }]), ["I4"], "another reference");
    let executed = Request { credits: vec![credit()], ..paid(refused("Unavailable", "")) };
    assert_eq!(invariants(&payments::judge(&executed, &[])), ["I4"], "executed, and unknown here");
    assert_eq!(invariants(&payments::unasked(&[credit()], &BTreeMap::new())), ["I4"]);
}

#[test]
fn i6_nothing_stays_open() {
    for state in ["SUBMITTED", "UNKNOWN"] {
        assert_eq!(invariants(&payments::judge(&paid(ok(seen(state, 1))), &[row(state, 1)])), ["I6"]);
    }
}

#[test]
fn i7_only_legal_transitions_and_none_after_the_end() {
    let judged = |events: &[(i32, &str)], state, sequence| {
        let events: Vec<_> = events.iter().map(|(number, state)| (*number, (*state).to_owned())).collect();
        invariants(&payments::history(&paid(ok(seen(state, 1))), &row(state, sequence), &events))
    };
    let (submitted, unknown) = ((1, "SUBMITTED"), (2, "UNKNOWN"));
    assert_eq!(judged(&[submitted, unknown, (3, "SUCCEEDED")], "SUCCEEDED", 3), [""; 0]);
    assert_eq!(judged(&[submitted, (2, "FAILED"), (3, "SUCCEEDED")], "SUCCEEDED", 3), ["I7"]);
    assert_eq!(judged(&[submitted, (3, "FAILED")], "FAILED", 3), ["I7"], "a step is missing");
    assert_eq!(judged(&[submitted, (2, "FAILED")], "SUCCEEDED", 2), ["I7"], "the row says otherwise");
    assert_eq!(judged(&[], "SUCCEEDED", 1), ["I7"], "no history");
}

fn sum(kind: &str, amount: i128) -> Sum {
    Sum { kind: kind.to_owned(), debit_account: PAYER, credit_account: BANK, amount }
}

/// The accounts that 100 on the payer, 30 of them paid and 10 held, leave.
fn accounts() -> Vec<AccountRow> {
    let currency = || "EUR".to_owned();
    vec![
        AccountRow {
            id: PAYER,
            currency: currency(),
            may_overdraw: false,
            debits_pending: 10,
            debits_posted: 30,
            credits_pending: 0,
            credits_posted: 100,
        },
        AccountRow {
            id: BANK,
            currency: currency(),
            may_overdraw: true,
            debits_pending: 0,
            debits_posted: 100,
            credits_pending: 10,
            credits_posted: 30,
        },
    ]
}

fn sums() -> Vec<Sum> {
    let deposit = Sum { debit_account: BANK, credit_account: PAYER, ..sum("POSTING", 100) };
    vec![deposit, sum("HOLD", 60), sum("HOLD_POSTED", 30), sum("HOLD_RELEASED", 20)]
}

fn open(amount: i128) -> Open {
    Open { by_payer: BTreeMap::from([(PAYER, amount)]), queued: 0 }
}

#[test]
fn i1_i2_i3_i9_money_adds_up() {
    let judged =
        |accounts: &[AccountRow], sums: &[Sum], open| invariants(&ledger::judge(accounts, sums, open));
    assert_eq!(judged(&accounts(), &sums(), open(10)), [""; 0]);
    assert_eq!(judged(&accounts(), &sums(), open(11)), ["I9"], "a hold without its payment");
    assert_eq!(judged(&accounts(), &sums(), Open { queued: 1, ..open(10) }), ["I15"]);
    let mut edited = accounts();
    edited[0].credits_posted += 1;
    assert_eq!(judged(&edited, &sums(), open(10)), ["I2"], "a balance edited by hand");
    let mut dollars = accounts();
    dollars[1].currency = "USD".to_owned();
    assert_eq!(judged(&dollars, &sums(), open(10)), ["I1", "I1"], "euros became dollars");
    let mut overdrawn = accounts();
    (overdrawn[0].debits_posted, overdrawn[1].credits_posted) = (130, 130);
    let mut more = sums();
    more.push(sum("POSTING", 100));
    assert_eq!(judged(&overdrawn, &more, open(10)), ["I3"]);
    assert_eq!(judged(&accounts()[..1], &sums(), open(10)), ["I1", "I1"], "an account is gone");
}

#[test]
fn i1_accounts_hold_what_callers_and_banks_say() {
    let deposit = Intent { request_id: "d".to_owned(), ..intent(Method::Deposit, 100) };
    let mut deposited = request(vec![(deposit, 0, 1, refused("Ok", ""))]);
    let paid = Request { id: "r".to_owned(), ..paid(ok(seen("SUCCEEDED", 2))) };
    let requests = BTreeMap::from([("r".to_owned(), paid)]);
    let judged = |expected: &Expected| {
        let deposit = Sum { debit_account: BANK, credit_account: PAYER, ..sum("POSTING", 100) };
        invariants(&expected.judge(&[deposit, sum("HOLD_POSTED", 10)]))
    };
    let mut expected = Expected::default();
    expected.settled(&mut deposited);
    expected.settled(&mut deposited);
    assert_eq!(judged(&expected), ["I1"], "the ledger took money that no bank got");
    expected.credited(&credit(), &requests);
    assert_eq!(judged(&expected), [""; 0]);
    expected.credited(&credit(), &requests);
    assert_eq!(judged(&expected), ["I1"], "a bank got more than the ledger took");
}
