//! Refusals that had to be, and others (I8); and answers that are none to what was asked.

use super::*;

const PART: Uuid = Uuid::from_u128(11);

fn pay_id(id: Uuid) -> String {
    format!("pay_{}", id.simple())
}

fn about(method: Method, amount: i64, original_seen: &str) -> Intent {
    let (original, original_seen) = (pay_id(PAYMENT), original_seen.to_owned());
    Intent { request_id: "part".to_owned(), original, original_seen, ..intent(method, amount) }
}

/// What is wrong with this answer to that call, in a family of these rows.
fn heard(intent: Intent, heard: Heard, rows: &[PaymentRow]) -> Vec<&'static str> {
    let request = Request { id: intent.request_id.clone(), ..request(vec![(intent, 0, 5, heard)]) };
    in_scene(rows, |scene| invariants(&answers::judge(&request, scene)))
}

fn authorization(state: &str) -> PaymentRow {
    PaymentRow { kind: "AUTHORIZATION".to_owned(), expires_us: Some(5_000_000), ..row(state, 1) }
}

fn part(kind: &str, amount: i64) -> PaymentRow {
    let (kind, request_id) = (kind.to_owned(), "other".to_owned());
    PaymentRow { id: PART, kind, request_id, original_id: Some(PAYMENT), amount, ..row("FAILED", 1) }
}

#[test]
fn i8_captures_are_refused_only_for_a_reason() {
    let capture = |amount, reason, rows: &[PaymentRow]| {
        heard(about(Method::Capture, amount, ""), refused("FailedPrecondition", reason), rows)
    };
    let rows = [authorization("AUTHORIZED"), part("CAPTURE", 6)];
    assert_eq!(capture(5, "CAPTURE_EXCEEDS_AUTHORIZED", &rows), [""; 0]);
    assert_eq!(capture(4, "CAPTURE_EXCEEDS_AUTHORIZED", &rows), ["I8"], "there was room for it");
    assert_eq!(capture(0, "CAPTURE_EXCEEDS_AUTHORIZED", &rows), ["I8"], "something was left");
    assert_eq!(capture(4, "PAYMENT_NOT_CAPTURABLE", &rows), ["I8"], "it is open");
    for row in [
        authorization("SUCCEEDED"),
        row("SUCCEEDED", 1),
        PaymentRow { is_closing: true, ..authorization("AUTHORIZED") },
        PaymentRow { expires_us: Some(1), ..authorization("AUTHORIZED") },
    ] {
        assert_eq!(capture(4, "PAYMENT_NOT_CAPTURABLE", &[row]), [""; 0]);
    }
    assert_eq!(capture(4, "REFUND_EXCEEDS_CAPTURED", &rows), ["I8"], "another call's reason");
    let lost = heard(about(Method::Capture, 1, ""), refused("NotFound", ""), &[]);
    assert_eq!(lost, ["I8"], "what is captured was seen before");
}

#[test]
fn i8_cancels_and_refunds_are_refused_only_for_a_reason() {
    let cancel = |row| {
        let refusal = refused("FailedPrecondition", "PAYMENT_NOT_CANCELLABLE");
        heard(about(Method::Cancel, 0, ""), refusal, &[row])
    };
    assert_eq!(cancel(row("SUCCEEDED", 2)), [""; 0]);
    assert_eq!(cancel(authorization("EXPIRED")), [""; 0]);
    assert_eq!(cancel(authorization("AUTHORIZED")), ["I8"]);
    assert_eq!(cancel(authorization("CANCELLED")), ["I8"], "repeating it changes nothing");
    let repeated = |from_us| {
        let cancelled = Seen { kind: "AUTHORIZATION".to_owned(), ..seen("SUCCEEDED", 1) };
        let refusal = refused("FailedPrecondition", "PAYMENT_NOT_CANCELLABLE");
        let cancel = || Intent { request_id: "r".to_owned(), ..about(Method::Cancel, 0, "") };
        let calls = vec![(cancel(), 0, 5, ok(cancelled)), (cancel(), from_us, 9, refusal)];
        in_scene(&[authorization("SUCCEEDED")], |scene| invariants(&answers::judge(&request(calls), scene)))
    };
    assert_eq!(repeated(4), [""; 0], "asked before the other was heard");
    assert_eq!(repeated(6), ["I8"], "cancelled with something captured, and repeated");
    let refund = |amount, seen, reason, rows: &[PaymentRow]| {
        heard(about(Method::Refund, amount, seen), refused("FailedPrecondition", reason), rows)
    };
    let rows = [row("SUCCEEDED", 2), part("REFUND", 6)];
    assert_eq!(refund(5, "", "REFUND_EXCEEDS_CAPTURED", &rows), [""; 0]);
    assert_eq!(refund(4, "", "REFUND_EXCEEDS_CAPTURED", &rows), ["I8"]);
    assert_eq!(refund(4, "PAYMENT SUBMITTED", "PAYMENT_NOT_REFUNDABLE", &rows), [""; 0]);
    assert_eq!(
        refund(4, "PAYMENT SUCCEEDED", "PAYMENT_NOT_REFUNDABLE", &rows),
        ["I8"],
        "it was seen as paid"
    );
    let late = |expire_time_ms| {
        let intent = Intent { expire_time_ms, ..intent(Method::Pay, 10) };
        heard(intent, refused("InvalidArgument", ""), &[])
    };
    assert_eq!((late(1), late(0)), (vec![], vec!["I8"]));
}

#[test]
fn i8_what_is_made_is_what_was_asked_for() {
    let captured = Seen {
        id: pay_id(PART),
        request_id: "part".to_owned(),
        kind: "CAPTURE".to_owned(),
        original: pay_id(PAYMENT),
        amount: 4,
        ..seen("SUCCEEDED", 1)
    };
    let made =
        PaymentRow { request_id: "part".to_owned(), state: "SUCCEEDED".to_owned(), ..part("CAPTURE", 4) };
    let answered =
        |amount, seen: Seen| heard(about(Method::Capture, amount, ""), ok(seen), std::slice::from_ref(&made));
    assert_eq!(answered(4, captured.clone()), [""; 0]);
    assert_eq!(answered(0, captured.clone()), [""; 0], "whatever is left");
    assert_eq!(answered(5, captured.clone()), ["I8"], "another amount");
    assert_eq!(answered(4, Seen { original: pay_id(PAYER), ..captured.clone() }), ["I8", "I5"], "of another");
    assert_eq!(answered(4, Seen { kind: "REFUND".to_owned(), ..captured.clone() }), ["I8", "I5"]);
    let cancelled = |id| {
        let (intent, seen) = (about(Method::Cancel, 0, ""), Seen { id, ..seen("CANCELLED", 2) });
        let cancelled = PaymentRow { sequence: 2, ..authorization("CANCELLED") };
        let seen = Seen { kind: "AUTHORIZATION".to_owned(), ..seen };
        heard(Intent { request_id: "r".to_owned(), ..intent }, ok(seen), &[cancelled])
    };
    assert_eq!(cancelled(pay_id(PAYMENT)), [""; 0]);
    assert_eq!(cancelled(pay_id(PART)), ["I8", "I5"], "another one was cancelled");
}
