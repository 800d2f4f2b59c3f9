//! A payment and what belongs to it: at the banks (I4), in its parts (I13), at its end (I6), in the totals (I1, I10).

use super::{
    super::{
        banks,
        books::{Return, Words},
        life,
    },
    *,
};

const SUSPENSE: Uuid = Uuid::from_u128(9);
const PART: Uuid = Uuid::from_u128(11);
const OTHER_PART: Uuid = Uuid::from_u128(12);

/// An authorization of 10 at a bank with nothing captured, which expires after 5 s.
fn authorization(state: &str) -> PaymentRow {
    PaymentRow {
        kind: "AUTHORIZATION".to_owned(),
        uetr: BANK,
        expires_us: Some(5_000_000),
        sums: Some((10, 0, 0)),
        work: Some("EXPIRE".to_owned()),
        ..row(state, 1)
    }
}

/// A capture of a payment; the refund of one.
fn part(id: Uuid, kind: &str, amount: i64, state: &str) -> PaymentRow {
    let (payer_account, credit_account) = if kind == "CAPTURE" { (PAYER, BANK) } else { (BANK, PAYER) };
    PaymentRow {
        id,
        kind: kind.to_owned(),
        request_id: format!("part-{}", id.simple()),
        original_id: Some(PAYMENT),
        payer_account,
        credit_account,
        amount,
        uetr: id,
        created_us: 100,
        ..row(state, 1)
    }
}

fn taken_back(state: &str) -> PaymentRow {
    PaymentRow { credit_account: SUSPENSE, ..part(PART, "RETURN", 10, state) }
}

fn back(of: Uuid, minor_units: i64) -> Return {
    Return {
        bank: "aurora".to_owned(),
        request_id: format!("{}-1", of.simple()),
        end_to_end_id: "r".to_owned(),
        minor_units,
        currency: "EUR".to_owned(),
        ..Return::default()
    }
}

fn at_bank(rows: &[PaymentRow], credits: &[Credit], returns: &[Return]) -> Vec<&'static str> {
    let family = Family { credits: credits.to_vec(), returns: returns.to_vec(), ..Family::default() };
    invariants(&banks::judge(&family, rows))
}

#[test]
fn i4_what_a_bank_executed_is_what_succeeded_here() {
    let judged = |state, credits: &[Credit]| at_bank(&[row(state, 2)], credits, &[]);
    assert_eq!(judged("SUCCEEDED", &[credit()]), [""; 0]);
    assert_eq!(judged("FAILED", &[]), [""; 0]);
    assert_eq!(judged("SUCCEEDED", &[]), ["I4"], "nobody executed it");
    assert_eq!(judged("FAILED", &[credit()]), ["I4"], "executed, and failed here");
    assert_eq!(judged("SUCCEEDED", &[credit(), credit()]), ["I4"], "executed twice");
    assert_eq!(judged("SUCCEEDED", &[Credit { minor_units: 9, ..credit() }]), ["I4"], "another amount");
    assert_eq!(judged("SUCCEEDED", &[Credit { bank: "sakura".to_owned(), ..credit() }]), ["I4"]);
    assert_eq!(judged("SUCCEEDED", &[Credit { uetr: PAYER, ..credit() }]), ["I4", "I4"], "another reference");
    assert_eq!(at_bank(&[], &[credit()], &[]), ["I4"], "executed, and unknown here");
    let news = News { credits: vec![credit()], returns: vec![back(PART, 1)], sent_unasked: Vec::new() };
    assert_eq!(invariants(&payments::unasked(&news, &BTreeMap::new())), ["I4", "I4"]);
}

#[test]
fn i4_captures_and_refunds_happen_at_the_bank_once_or_not_at_all() {
    let captured = |state, credits: &[Credit]| {
        at_bank(&[authorization("AUTHORIZED"), part(PART, "CAPTURE", 4, state)], credits, &[])
    };
    let executed = Credit { uetr: PART, minor_units: 4, ..credit() };
    assert_eq!(captured("SUCCEEDED", std::slice::from_ref(&executed)), [""; 0]);
    assert_eq!(captured("SUCCEEDED", &[]), ["I4"]);
    assert_eq!(captured("FAILED", std::slice::from_ref(&executed)), ["I4"]);
    assert_eq!(captured("SUCCEEDED", &[executed.clone(), executed.clone()]), ["I4"]);
    assert_eq!(captured("FAILED", &[Credit { uetr: BANK, ..credit() }]), ["I4"], "the authorization itself");
    let refunded = |state, returns: &[Return]| {
        at_bank(&[row("SUCCEEDED", 2), part(PART, "REFUND", 4, state)], &[credit()], returns)
    };
    assert_eq!(refunded("SUCCEEDED", &[back(PART, 4)]), [""; 0]);
    assert_eq!(refunded("FAILED", &[]), [""; 0]);
    assert_eq!(refunded("SUCCEEDED", &[]), ["I4"], "no bank gave it back");
    assert_eq!(refunded("FAILED", &[back(PART, 4)]), ["I4"], "given back, and failed here");
    assert_eq!(refunded("SUCCEEDED", &[back(PART, 4), back(PART, 4)]), ["I4"], "given back twice");
    assert_eq!(refunded("SUCCEEDED", &[back(PART, 3)]), ["I4"], "another amount");
    assert_eq!(
        refunded("SUCCEEDED", &[Return { uetr: PAYER, ..back(PART, 4) }]),
        ["I4"],
        "of another payment"
    );
    assert_eq!(refunded("SUCCEEDED", &[back(OTHER_PART, 4)]), ["I4", "I4"], "a refund that there is not");
}

#[test]
fn i4_a_late_success_is_taken_back_and_operators_may_end_what_a_bank_contradicts() {
    let late = [row("FAILED", 2), taken_back("SUCCEEDED")];
    assert_eq!(at_bank(&late, &[credit()], &[back(PART, 10)]), [""; 0]);
    assert_eq!(at_bank(&late, &[credit()], &[]), ["I4"], "it still has the money");
    let less = Credit { minor_units: 9, ..credit() };
    let by =
        |evidence: &str| PaymentRow { resolution: Some((true, evidence.to_owned())), ..row("SUCCEEDED", 3) };
    assert_eq!(at_bank(&[by(&format!("aurora {}", Uuid::nil()))], std::slice::from_ref(&less), &[]), [""; 0]);
    assert_eq!(at_bank(&[by("sakura")], &[less], &[]), ["I4"], "evidence of something else");
}

fn lived(rows: &[PaymentRow]) -> Vec<&'static str> {
    in_scene(rows, |scene| invariants(&scene.judge()))
}

#[test]
fn i13_captures_stay_within_what_was_authorized() {
    let with = |sums, captures: &[(i64, &str)]| {
        let mut rows = vec![PaymentRow { sums: Some(sums), ..authorization("AUTHORIZED") }];
        let captures = captures.iter().zip([PART, OTHER_PART]);
        rows.extend(captures.map(|((amount, state), id)| part(id, "CAPTURE", *amount, state)));
        lived(&rows)
    };
    assert_eq!(with((10, 0, 0), &[]), [""; 0]);
    assert_eq!(with((2, 5, 3), &[(3, "SUCCEEDED"), (5, "UNKNOWN")]), [""; 0]);
    assert_eq!(with((7, 0, 3), &[(3, "SUCCEEDED"), (5, "FAILED")]), [""; 0]);
    assert_eq!(
        with((-1, 0, 11), &[(5, "SUCCEEDED"), (6, "SUCCEEDED")]),
        ["I13", "I13"],
        "more than there was"
    );
    assert_eq!(with((5, 0, 0), &[(5, "SUCCEEDED")]), ["I13"], "a column that its captures do not bear out");
    let stranger = PaymentRow { payer_account: SUSPENSE, ..part(PART, "CAPTURE", 3, "FAILED") };
    assert_eq!(lived(&[authorization("AUTHORIZED"), stranger]), ["I13"], "from another account");
    assert_eq!(lived(&[part(PART, "CAPTURE", 3, "FAILED")]), ["I13"], "of nothing");
}

#[test]
fn i13_what_is_captured_is_not_cancelled_and_the_other_way_round() {
    let ended = |state, is_closing, sums, captures: &[PaymentRow]| {
        let sums = Some(sums);
        let mut rows = vec![PaymentRow { is_closing, sums, ..authorization(state) }];
        rows.extend(captures.iter().cloned());
        lived(&rows)
    };
    let capture = part(PART, "CAPTURE", 4, "SUCCEEDED");
    assert_eq!(ended("CANCELLED", true, (0, 0, 0), &[]), [""; 0]);
    assert_eq!(ended("SUCCEEDED", true, (0, 0, 4), std::slice::from_ref(&capture)), [""; 0]);
    assert_eq!(ended("CANCELLED", true, (0, 0, 4), std::slice::from_ref(&capture)), ["I13"]);
    assert_eq!(
        ended("SUCCEEDED", false, (6, 0, 4), std::slice::from_ref(&capture)),
        ["I13", "I13"],
        "the rest?"
    );
    assert_eq!(ended("SUCCEEDED", true, (0, 0, 0), &[]), ["I13"], "nothing was captured");
    let late = PaymentRow { created_us: 101, ..capture };
    assert_eq!(ended("SUCCEEDED", true, (0, 0, 4), &[late]), ["I13"], "captured after the end");
}

#[test]
fn i13_refunds_stay_within_what_was_paid() {
    let stored = |refunded, state, refunds: &[PaymentRow]| {
        let mut rows = vec![PaymentRow { refunded: Some(refunded), ..row(state, 2) }];
        rows.extend(refunds.iter().cloned());
        lived(&rows)
    };
    let with = |state, refunds: &[PaymentRow]| {
        let of_it =
            refunds.iter().filter(|refund| refund.original_id == Some(PAYMENT) && refund.state != "FAILED");
        stored(of_it.map(|refund| refund.amount).sum(), state, refunds)
    };
    let (some, rest) = (part(PART, "REFUND", 6, "SUCCEEDED"), part(OTHER_PART, "REFUND", 4, "UNKNOWN"));
    assert_eq!(with("SUCCEEDED", &[some.clone(), rest.clone()]), [""; 0]);
    assert_eq!(stored(9, "SUCCEEDED", &[some.clone(), rest.clone()]), ["I13"], "counted wrongly");
    let more = PaymentRow { amount: 5, ..rest.clone() };
    assert_eq!(with("SUCCEEDED", &[some.clone(), more.clone()]), ["I13"], "one under way counts");
    assert_eq!(
        with("SUCCEEDED", &[some.clone(), PaymentRow { state: "FAILED".to_owned(), ..more }]),
        [""; 0]
    );
    assert_eq!(with("UNKNOWN", std::slice::from_ref(&rest)), ["I13"], "nothing was paid yet");
    assert_eq!(
        with("SUCCEEDED", &[PaymentRow { created_us: 99, ..rest }]),
        ["I13"],
        "begun before it was paid"
    );
    let of_a_refund = PaymentRow { original_id: Some(PART), ..part(OTHER_PART, "REFUND", 1, "SUCCEEDED") };
    assert_eq!(with("SUCCEEDED", &[some, of_a_refund]), ["I13"]);
}

#[test]
fn i6_nothing_stays_open() {
    let rests = |row: &PaymentRow| invariants(&payments::at_rest(row).into_iter().collect::<Vec<_>>());
    for state in ["SUBMITTED", "UNKNOWN", "HELD", "INVESTIGATE"] {
        assert_eq!(rests(&row(state, 1)), ["I6"]);
    }
    assert_eq!(rests(&authorization("AUTHORIZED")), [""; 0]);
    assert_eq!(
        rests(&PaymentRow { is_closing: true, ..authorization("AUTHORIZED") }),
        ["I6"],
        "closed, with nothing under way"
    );
    let told = Request { is_cancelled: true, ..paid(ok(seen("AUTHORIZED", 1))) };
    assert!(life::cancelled(&told, &authorization("CANCELLED")).is_none());
    assert!(life::cancelled(&told, &authorization("AUTHORIZED")).is_some(), "told that it is cancelled");
}

#[test]
fn i6_authorizations_end_by_themselves_and_in_time() {
    let expired = |row: PaymentRow, now_us| {
        let rows = [row];
        let scene = Scene { rows: &rows, events: &events_of(&rows), now_us };
        invariants(&scene.judge())
    };
    assert_eq!(expired(authorization("AUTHORIZED"), 4_000_000), [""; 0]);
    assert_eq!(expired(authorization("AUTHORIZED"), 16_000_000), ["I6"], "forgotten");
    let forgotten = PaymentRow { work: None, ..authorization("AUTHORIZED") };
    assert_eq!(expired(forgotten, 1), ["I6"], "nobody has to expire it");
    let early = PaymentRow { is_closing: true, sums: Some((0, 0, 0)), ..authorization("EXPIRED") };
    assert_eq!(expired(early.clone(), 6_000_000), ["I6"], "ended at 100 µs");
    assert_eq!(expired(PaymentRow { expires_us: Some(90), ..early }, 6_000_000), [""; 0]);
    let asked = |expire_time_ms| {
        let intent = Intent { expire_time_ms, ..intent(Method::Pay, 10) };
        let request = request(vec![(intent, 0, 5, ok(seen("AUTHORIZED", 1)))]);
        invariants(&payments::judge(&request, &[authorization("AUTHORIZED")]))
    };
    assert_eq!((asked(0), asked(5_000), asked(6_000)), (vec![], vec![], vec!["I5"]));
}

#[test]
fn i6_people_are_called_when_they_must_be_and_only_then() {
    let alarmed = |alarms: &[&str], state: &str, rows: &[PaymentRow], words| {
        let alarms = alarms.iter().map(|&kind| kind.to_owned()).collect();
        let event = Event { sequence: 1, state: state.to_owned(), at_us: 1 };
        invariants(&banks::alarms(&PaymentRow { alarms, ..row("FAILED", 2) }, &[event], rows, words))
    };
    let quiet = Words::default();
    let both = Words { accepted: true, rejected: true, mismatched: false };
    assert_eq!(alarmed(&[], "FAILED", &[], quiet), [""; 0]);
    assert_eq!(alarmed(&["CONTRADICTION"], "FAILED", &[], both), [""; 0]);
    assert_eq!(alarmed(&["CONTRADICTION"], "FAILED", &[], quiet), ["I6"], "the bank contradicted nothing");
    assert_eq!(alarmed(&["NOTICE_MISMATCH"], "FAILED", &[], quiet), ["I6"]);
    assert_eq!(alarmed(&["PAYMENT_OVERDUE"], "FAILED", &[], both), ["I6"]);
    assert_eq!(alarmed(&["PAYMENT_PARKED"], "INVESTIGATE", &[], quiet), [""; 0]);
    assert_eq!(alarmed(&[], "INVESTIGATE", &[], quiet), ["I6"], "parked in silence");
    assert_eq!(alarmed(&["LATE_SUCCESS"], "FAILED", &[taken_back("SUCCEEDED")], both), [""; 0]);
    assert_eq!(alarmed(&[], "FAILED", &[taken_back("SUCCEEDED")], both), ["I6"], "paid late in silence");
    assert_eq!(alarmed(&["LATE_SUCCESS"], "FAILED", &[], both), ["I6"], "nothing is taken back");
    assert_eq!(
        alarmed(&["LATE_SUCCESS"], "FAILED", &[taken_back("FAILED")], both),
        ["I6"],
        "a loss in silence"
    );
}

/// What is wrong when these amounts have moved from the payer, and from suspense, to the account with the bank.
fn judged(expected: &Expected, by_payer: i128, by_suspense: i128) -> Vec<&'static str> {
    let account = |id| AccountRow {
        id,
        currency: "EUR".to_owned(),
        is_suspense: id == SUSPENSE,
        bank_id: (id != PAYER).then(|| "aurora".to_owned()),
        ..AccountRow::default()
    };
    let accounts = [PAYER, BANK, SUSPENSE].map(account);
    let moved = |debit_account, amount| Sum { debit_account, ..sum(amount) };
    invariants(&expected.judge(&accounts, &[moved(PAYER, by_payer), moved(SUSPENSE, by_suspense)]))
}

#[test]
fn i1_accounts_hold_what_callers_and_banks_say() {
    let settle = |family: Family, rows: &[PaymentRow]| {
        let requests = BTreeMap::from([("r".to_owned(), paid(ok(seen("SUCCEEDED", 2))))]);
        let mut expected = Expected::default();
        // Judged again and again, it counts once.
        expected.settle("r", &family, &requests, rows);
        expected.settle("r", &family, &requests, rows);
        expected
    };
    let family = Family { credits: vec![credit()], ..Family::default() };
    let rows = [row("SUCCEEDED", 2), part(PART, "REFUND", 4, "SUCCEEDED")];
    assert_eq!(judged(&settle(family.clone(), &rows), 10, 0), [""; 0]);
    assert_eq!(judged(&settle(family.clone(), &rows), 6, 0), ["I1", "I1"], "no bank gave it back");
    let refunded = Family { returns: vec![back(PART, 4)], ..family };
    assert_eq!(judged(&settle(refunded.clone(), &rows), 6, 0), [""; 0]);
    assert_eq!(judged(&settle(refunded, &rows), 10, 0), ["I1", "I1"], "the payer has not got it back");
    let elsewhere =
        Family { credits: vec![Credit { bank: "sakura".to_owned(), ..credit() }], ..Family::default() };
    assert_eq!(judged(&settle(elsewhere, &rows), 10, 0), ["I1"], "another bank got it");
}

#[test]
fn i1_of_deposits_and_payments_on_the_ledger_callers_are_the_witnesses() {
    let through = Intent { bank: "aurora".to_owned(), ..intent(Method::Deposit, 100) };
    let mut deposit = request(vec![(through, 0, 1, refused("Ok", ""))]);
    let settled = |request: &Request| {
        let mut expected = Expected::default();
        let family = Family { members: [request.id.clone()].into(), ..Family::default() };
        expected.settle("r", &family, &BTreeMap::from([("r".to_owned(), request.clone())]), &[]);
        expected
    };
    assert_eq!(judged(&settled(&deposit), 0, 0), [""; 0]);
    deposit.fold();
    assert_eq!(judged(&settled(&deposit), -100, 0), [""; 0]);
    assert_eq!(judged(&settled(&deposit), 0, 0), ["I1", "I1"], "told that it is booked");
    let on_ledger = Intent { payee_account: account(SUSPENSE), ..intent(Method::Pay, 10) };
    let mut paid = request(vec![(on_ledger, 0, 1, ok(seen("SUCCEEDED", 1)))]);
    paid.fold();
    assert_eq!(judged(&settled(&paid), 10, -10), [""; 0]);
    assert_eq!(judged(&settled(&paid), 10, 0), ["I1", "I10"], "the payee has not got it");
}

#[test]
fn i10_suspense_holds_late_successes_until_they_are_returned_and_nothing_else() {
    let settle = |credits: &[Credit], returns: &[Return], state| {
        let (credits, returns) = (credits.to_vec(), returns.to_vec());
        let family = Family { credits, returns, ..Family::default() };
        let requests = BTreeMap::from([("r".to_owned(), paid(ok(seen("FAILED", 2))))]);
        let mut expected = Expected::default();
        expected.settle("r", &family, &requests, &[row("FAILED", 2), taken_back(state)]);
        expected
    };
    let (late, returned) = ([credit()], [back(PART, 10)]);
    assert_eq!(judged(&settle(&late, &[], "FAILED"), 0, 10), [""; 0], "the bank keeps it");
    assert_eq!(judged(&settle(&[], &[], "FAILED"), 0, 10), [""; 0], "the bank said so, and never had it");
    assert_eq!(judged(&settle(&late, &returned, "SUCCEEDED"), 0, 0), [""; 0]);
    assert_eq!(
        judged(&settle(&late, &returned, "SUCCEEDED"), 0, 10),
        ["I1", "I10"],
        "returned, and still there"
    );
    assert_eq!(judged(&Expected::default(), 0, 1), ["I1", "I10"], "nobody knows why");
    assert_eq!(lived(&[row("FAILED", 2), taken_back("SUCCEEDED")]), [""; 0]);
    assert_eq!(lived(&[row("SUCCEEDED", 2), taken_back("SUCCEEDED")]), ["I10"], "nothing came late");
    let twice =
        [row("FAILED", 2), taken_back("SUCCEEDED"), PaymentRow { id: OTHER_PART, ..taken_back("FAILED") }];
    assert_eq!(lived(&twice), ["I10", "I10"]);
}
