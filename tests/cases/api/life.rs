//! The whole life of a payment, as callers see it: authorized, captured, cancelled, refunded, over a real bank.

use harness::{
    client::{Client, money, payee_on_ledger},
    system::BANKS,
};
use proto::{
    money::Money,
    payments::{
        CancelPaymentRequest, CaptureMode, CapturePaymentRequest, ListPaymentsRequest, Payment, PaymentKind,
        PaymentState, RefundPaymentRequest,
    },
};
use tonic::{Code, Status};

use crate::bench::{Bench, Done, Refused, euros, run, unique};

pub async fn authorize(
    client: &Client,
    account: &str,
    payee: &str,
    minor_units: i64,
) -> Result<Payment, Status> {
    let mut request = euros(&unique("life"), account, payee, minor_units);
    request.set_capture(CaptureMode::Manual);
    Ok(client.pay(request, None).await?.payment)
}

pub async fn capture(client: &Client, payment: &str, amount: Option<Money>) -> Result<Payment, Status> {
    let message = CapturePaymentRequest { request_id: unique("life"), payment: payment.to_owned(), amount };
    let answer = client.payments.clone().capture_payment(client.request(message, None)).await?;
    Ok(answer.into_inner().capture.unwrap())
}

pub async fn cancel(client: &Client, payment: &str) -> Result<Payment, Status> {
    let message = CancelPaymentRequest { payment: payment.to_owned() };
    let answer = client.payments.clone().cancel_payment(client.request(message, None)).await?;
    Ok(answer.into_inner().payment.unwrap())
}

pub async fn refund(client: &Client, payment: &str, amount: Option<Money>) -> Result<Payment, Status> {
    let message = RefundPaymentRequest {
        request_id: unique("life"),
        payment: payment.to_owned(),
        amount,
        remittance_information: "goods returned".to_owned(),
    };
    let answer = client.payments.clone().refund_payment(client.request(message, None)).await?;
    Ok(answer.into_inner().refund.unwrap())
}

/// The money on an account: available, posted, held.
async fn balance(client: &Client, account: &str) -> Result<(i64, i64, i64), Status> {
    let balance = client.account(account).await?.balance.unwrap_or_default();
    Ok((balance.available_minor_units, balance.posted_minor_units, balance.held_minor_units))
}

fn refused<T>(result: Result<T, Status>) -> Refused {
    Refused::of(&result.err().unwrap())
}

async fn whole_life(bench: &Bench) -> Done {
    let shop = bench.client(0);
    let account = bench.funded(&shop, "EUR", 1_000).await?;
    let authorized = authorize(&shop, &account, &BANKS[0].account(1), 100).await?;
    assert_eq!(authorized.state(), PaymentState::Authorized);
    assert_eq!((authorized.iso_status.as_str(), authorized.kind()), ("ACFC", PaymentKind::Authorization));
    assert_eq!(balance(&shop, &account).await?, (900, 1_000, 100));

    let first = capture(&shop, &authorized.id, Some(money(60, "EUR"))).await?;
    assert_eq!((first.state(), first.kind()), (PaymentState::Succeeded, PaymentKind::Capture));
    assert_eq!(first.original_payment, authorized.id);
    assert_ne!(first.uetr, authorized.uetr);
    assert_eq!(balance(&shop, &account).await?, (900, 940, 40));
    let too_much = refused(capture(&shop, &authorized.id, Some(money(41, "EUR"))).await);
    assert_eq!(too_much, Refused::new(Code::FailedPrecondition, "CAPTURE_EXCEEDS_AUTHORIZED"));
    let other = refused(capture(&shop, &authorized.id, Some(money(1, "USD"))).await);
    assert_eq!(other, Refused::new(Code::FailedPrecondition, "CURRENCY_MISMATCH"));

    let released = cancel(&shop, &authorized.id).await?;
    assert_eq!(released.state(), PaymentState::Succeeded, "what was captured stays");
    assert_eq!(released.captured_amount, Some(money(60, "EUR")));
    assert_eq!(balance(&shop, &account).await?, (940, 940, 0));
    let over = refused(capture(&shop, &authorized.id, None).await);
    assert_eq!(over, Refused::new(Code::FailedPrecondition, "PAYMENT_NOT_CAPTURABLE"));

    let back = refund(&shop, &first.id, Some(money(25, "EUR"))).await?;
    assert_eq!((back.state(), back.kind()), (PaymentState::Succeeded, PaymentKind::Refund));
    assert_eq!((back.original_payment.as_str(), back.payer_account.as_str()), (first.id.as_str(), ""));
    let too_much = refused(refund(&shop, &first.id, Some(money(36, "EUR"))).await);
    assert_eq!(too_much, Refused::new(Code::FailedPrecondition, "REFUND_EXCEEDS_CAPTURED"));
    assert_eq!(refund(&shop, &first.id, None).await?.amount, Some(money(35, "EUR")));
    assert_eq!(balance(&shop, &account).await?, (1_000, 1_000, 0));

    let belongings = ListPaymentsRequest { original_payment: first.id, ..ListPaymentsRequest::default() };
    let list = shop.payments.clone().list_payments(shop.request(belongings, None)).await?.into_inner();
    assert_eq!(list.payments.len(), 2);
    Ok(())
}

#[test]
fn authorized_captured_in_part_released_and_refunded() {
    run(async |bench| whole_life(bench).await);
}

#[test]
fn what_was_sent_is_not_cancelled_and_what_is_cancelled_is_not_captured() {
    run(async |bench| {
        let shop = bench.client(0);
        let account = bench.funded(&shop, "EUR", 1_000).await?;
        let paid = bench.pay(&shop, &account, &BANKS[0].account(1), 10).await?.payment;
        let refusal = Refused::new(Code::FailedPrecondition, "PAYMENT_NOT_CANCELLABLE");
        assert_eq!(refused(cancel(&shop, &paid.id).await), refusal);
        let authorized = authorize(&shop, &account, &BANKS[0].account(1), 100).await?;
        let whole = refused(refund(&shop, &authorized.id, None).await);
        assert_eq!(whole, Refused::new(Code::FailedPrecondition, "PAYMENT_NOT_REFUNDABLE"));
        for _ in 0..2 {
            assert_eq!(cancel(&shop, &authorized.id).await?.state(), PaymentState::Cancelled);
        }
        let refusal = Refused::new(Code::FailedPrecondition, "PAYMENT_NOT_CAPTURABLE");
        assert_eq!(refused(capture(&shop, &authorized.id, None).await), refusal);
        assert_eq!(balance(&shop, &account).await?, (990, 990, 0));
        Ok(())
    });
}

#[test]
fn a_refund_on_the_ledger_is_the_payees_to_make() {
    run(async |bench| {
        let (shop, other) = (bench.client(0), bench.client(1));
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let payee = bench.funded(&other, "EUR", 50).await?;
        let mut request = euros(&unique("life"), &payer, "", 100);
        request.payee = Some(payee_on_ledger("Grace", &payee));
        let paid = shop.pay(request, None).await?.payment;
        let by_payer = refused(refund(&shop, &paid.id, None).await);
        assert_eq!(by_payer, Refused::new(Code::FailedPrecondition, "REFUND_BY_PAYEE_ONLY"));
        let back = refund(&other, &paid.id, Some(money(30, "EUR"))).await?;
        assert_eq!((back.state(), back.payer_account.as_str()), (PaymentState::Succeeded, payee.as_str()));
        assert_eq!(balance(&shop, &payer).await?, (930, 930, 0));
        assert_eq!(balance(&other, &payee).await?, (120, 120, 0));
        // What the payee no longer has cannot be given back, and does not count as refunded.
        let mut away = euros(&unique("life"), &payee, "", 120);
        away.payee = Some(payee_on_ledger("Ada", &payer));
        other.pay(away, None).await?;
        let poor = refund(&other, &paid.id, None).await?;
        let reason = poor.reason.clone().unwrap_or_default().code;
        assert_eq!((poor.state(), reason.as_str()), (PaymentState::Failed, "INSUFFICIENT_FUNDS"));
        Ok(())
    });
}

#[test]
fn bad_captures_and_refunds_hear_of_everything_at_once() {
    run(async |bench| {
        let shop = bench.client(0);
        let bad = CapturePaymentRequest {
            request_id: "a b".to_owned(),
            payment: "pay_x".to_owned(),
            amount: Some(money(-1, "eur")),
        };
        let found = refused(shop.payments.clone().capture_payment(shop.request(bad, None)).await);
        let fields = ["request_id", "payment", "amount.minor_units", "amount.currency"];
        assert_eq!(found, Refused::invalid(&fields));
        let bad = RefundPaymentRequest {
            request_id: String::new(),
            payment: String::new(),
            amount: Some(money(0, "")),
            remittance_information: "\0".to_owned(),
        };
        let found = refused(shop.payments.clone().refund_payment(shop.request(bad, None)).await);
        let fields =
            ["request_id", "payment", "amount.minor_units", "amount.currency", "remittance_information"];
        assert_eq!(found, Refused::invalid(&fields));
        Ok(())
    });
}
