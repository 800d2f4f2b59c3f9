//! Captures, cancellations, refunds and resolutions that are refused.

use harness::client::money;
use prost::Message;
use proto::{
    operations::{Resolution, ResolvePaymentRequest},
    payments::{CancelPaymentRequest, CapturePaymentRequest, RefundPaymentRequest},
};

use crate::{
    bench::{Given, Refused, Row, invalid, nobody, not_found, precondition, unique},
    values,
};

const CAPTURE: &str = "/rialto.payments.v1.PaymentService/CapturePayment";
const CANCEL: &str = "/rialto.payments.v1.PaymentService/CancelPayment";
const REFUND: &str = "/rialto.payments.v1.PaymentService/RefundPayment";
const RESOLVE: &str = "/rialto.operations.v1.OperationsService/ResolvePayment";

/// Everything that is wrong with what happens to a payment later.
pub fn rows(given: &Given) -> Vec<Row> {
    let mut rows = capture_rows(given);
    rows.extend(refund_rows(given));
    rows.extend(resolve_rows(given));
    let cancel = |number, name: &str, payment: &str, refused| {
        given.row(number, CANCEL, name, &CancelPaymentRequest { payment: payment.to_owned() }, refused)
    };
    rows.extend(values::ids("pay_").iter().map(|(name, id)| cancel(58, name, id, invalid(&["payment"]))));
    rows.push(cancel(0, "an account's id", &given.euros, invalid(&["payment"])));
    rows.push(cancel(40, "another's payment", &given.foreign_paid, not_found()));
    rows.push(cancel(0, "no payment", &nobody("pay_"), not_found()));
    rows.push(cancel(104, "what has succeeded", &given.paid, precondition("PAYMENT_NOT_CANCELLABLE")));
    rows
}

/// What captures and refunds have in common: a request id, a payment and an amount.
fn common_rows<M: Message>(
    given: &Given,
    path: &'static str,
    payment: &str,
    request: impl Fn(&str, &str, Option<proto::money::Money>) -> M,
) -> Vec<Row> {
    let row =
        |number, name: &str, request: M, refused: Refused| given.row(number, path, name, &request, refused);
    let mut rows = vec![
        row(47, "empty", request("", "", None), invalid(&["request_id", "payment"])),
        row(
            47,
            "everything at once",
            request(" ", "pay_", Some(money(0, ""))),
            invalid(&["request_id", "payment", "amount.minor_units", "amount.currency"]),
        ),
        row(40, "another's payment", request(&unique("bad"), &given.foreign_paid, None), not_found()),
        row(0, "no payment", request(&unique("bad"), &nobody("pay_"), None), not_found()),
        row(0, "an account's id", request(&unique("bad"), &given.euros, None), invalid(&["payment"])),
        row(
            101,
            "dollars",
            request(&unique("bad"), payment, Some(money(1, "USD"))),
            precondition("CURRENCY_MISMATCH"),
        ),
        row(
            88,
            "a payment's request id",
            request(&given.paid_request.request_id, payment, None),
            precondition("REQUEST_ID_REUSED"),
        ),
    ];
    for (name, id) in values::request_ids() {
        rows.push(row(85, name, request(&id, payment, None), invalid(&["request_id"])));
    }
    for (name, id) in values::ids("pay_") {
        rows.push(row(58, name, request(&unique("bad"), &id, None), invalid(&["payment"])));
    }
    for (name, amount) in values::AMOUNTS {
        let request = request(&unique("bad"), payment, Some(money(amount, "EUR")));
        rows.push(row(97, name, request, invalid(&["amount.minor_units"])));
    }
    for (name, currency) in values::currencies() {
        let request = request(&unique("bad"), payment, Some(money(1, &currency)));
        rows.push(row(55, name, request, invalid(&["amount.currency"])));
    }
    rows
}

fn capture_rows(given: &Given) -> Vec<Row> {
    let capture = |id: &str, payment: &str, amount| CapturePaymentRequest {
        request_id: id.to_owned(),
        payment: payment.to_owned(),
        amount,
    };
    let mut rows = common_rows(given, CAPTURE, &given.authorized, capture);
    let new = |payment: &str, amount| capture(&unique("bad"), payment, amount);
    let more = new(&given.authorized, Some(money(2_001, "EUR")));
    rows.push(given.row(
        97,
        CAPTURE,
        "a cent more than is held",
        &more,
        precondition("CAPTURE_EXCEEDS_AUTHORIZED"),
    ));
    rows.push(given.row(
        98,
        CAPTURE,
        "what was cancelled",
        &new(&given.cancelled, None),
        precondition("PAYMENT_NOT_CAPTURABLE"),
    ));
    rows.push(given.row(
        98,
        CAPTURE,
        "what is no authorization",
        &new(&given.paid, None),
        precondition("PAYMENT_NOT_CAPTURABLE"),
    ));
    rows
}

fn refund_rows(given: &Given) -> Vec<Row> {
    let refund = |id: &str, payment: &str, amount| RefundPaymentRequest {
        request_id: id.to_owned(),
        payment: payment.to_owned(),
        amount,
        remittance_information: String::new(),
    };
    let mut rows = common_rows(given, REFUND, &given.paid, refund);
    let new = |payment: &str, amount| refund(&unique("bad"), payment, amount);
    let more = new(&given.paid, Some(money(1_001, "EUR")));
    rows.push(given.row(
        100,
        REFUND,
        "a cent more than was paid",
        &more,
        precondition("REFUND_EXCEEDS_CAPTURED"),
    ));
    rows.push(given.row(
        100,
        REFUND,
        "what was cancelled",
        &new(&given.cancelled, None),
        precondition("PAYMENT_NOT_REFUNDABLE"),
    ));
    rows.push(given.row(
        100,
        REFUND,
        "an authorization",
        &new(&given.authorized, None),
        precondition("PAYMENT_NOT_REFUNDABLE"),
    ));
    let mut texts = values::texts();
    texts.push(("106 characters", "x".repeat(106)));
    for (name, remittance_information) in texts {
        let request = RefundPaymentRequest { remittance_information, ..new(&given.paid, None) };
        rows.push(given.row(65, REFUND, name, &request, invalid(&["remittance_information"])));
    }
    rows
}

fn resolve_rows(given: &Given) -> Vec<Row> {
    let good = || ResolvePaymentRequest {
        payment: given.paid.clone(),
        resolution: Resolution::Succeeded.into(),
        evidence_reference: "canary-remittance".to_owned(),
    };
    let row = |number, name: &str, request, refused| given.row(number, RESOLVE, name, &request, refused);
    let mut rows = vec![
        row(
            47,
            "empty",
            ResolvePaymentRequest::default(),
            invalid(&["payment", "resolution", "evidence_reference"]),
        ),
        row(
            40,
            "another's payment",
            ResolvePaymentRequest { payment: given.foreign_paid.clone(), ..good() },
            not_found(),
        ),
        row(0, "no payment", ResolvePaymentRequest { payment: nobody("pay_"), ..good() }, not_found()),
        row(104, "what has succeeded", good(), precondition("PAYMENT_NOT_RESOLVABLE")),
    ];
    for resolution in [-1, 0, 3, i32::MAX] {
        let request = ResolvePaymentRequest { resolution, ..good() };
        rows.push(row(0, &format!("resolution {resolution}"), request, invalid(&["resolution"])));
    }
    for (name, payment) in values::ids("pay_") {
        rows.push(row(58, name, ResolvePaymentRequest { payment, ..good() }, invalid(&["payment"])));
    }
    for (name, evidence_reference) in values::texts() {
        let request = ResolvePaymentRequest { evidence_reference, ..good() };
        rows.push(row(64, name, request, invalid(&["evidence_reference"])));
    }
    rows
}
