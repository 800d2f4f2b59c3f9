//! Limits of money, as operators set them and callers hear of them.

use harness::{BenchError, client::Client, client::payee_on_ledger, system::BANKS};
use proto::{
    limits::{
        GetAccountLimitsRequest, GetParticipantLimitsRequest, LimitStatus, Limits, SetAccountLimitsRequest,
        SetParticipantLimitsRequest,
    },
    payments::{CreatePaymentRequest, PaymentState, RefundPaymentRequest},
};
use tonic::Status;

use crate::bench::{Bench, account_of, euros, run, unique};

async fn limit(client: &Client, account: &str, limits: Limits) -> Result<LimitStatus, Status> {
    let message = SetAccountLimitsRequest { account: account.to_owned(), limits: Some(limits) };
    let answer = client.limits.clone().set_account_limits(client.request(message, None)).await?;
    Ok(answer.into_inner().status.unwrap_or_default())
}

/// What is used of an account's limits in this day.
async fn used(client: &Client, account: &str) -> Result<(i64, i64), Status> {
    let message = GetAccountLimitsRequest { account: account.to_owned() };
    let answer = client.limits.clone().get_account_limits(client.request(message, None)).await?;
    let day = answer.into_inner().status.unwrap_or_default().day.unwrap_or_default();
    Ok((day.minor_units, day.payments))
}

fn a_day(minor_units: i64) -> Limits {
    Limits { day_minor_units: Some(minor_units), ..Limits::default() }
}

/// Pays, and requires that validate_only had said the same before.
async fn pay(client: &Client, request: CreatePaymentRequest) -> Result<(PaymentState, String), BenchError> {
    let first = CreatePaymentRequest { validate_only: true, ..request.clone() };
    let foretold = client.pay(first, None).await?.payment;
    let paid = client.pay(request, None).await?.payment;
    let code = |reason: &Option<proto::payments::Reason>| reason.clone().unwrap_or_default().code;
    let is_limit = |code: &str| code.ends_with("_LIMIT_EXCEEDED");
    assert_eq!(is_limit(&code(&foretold.reason)), is_limit(&code(&paid.reason)), "{paid:?}");
    if is_limit(&code(&paid.reason)) {
        assert_eq!(foretold.reason, paid.reason);
    }
    Ok((paid.state(), code(&paid.reason)))
}

#[test]
fn an_account_pays_as_much_as_its_limits_say() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 10_000).await?;
        let bank = |amount| euros(&unique("limited"), &payer, &BANKS[0].account(1), amount);
        let succeeded = (PaymentState::Succeeded, String::new());
        let exceeded = (PaymentState::Failed, "ACCOUNT_LIMIT_EXCEEDED".to_owned());
        assert_eq!(pay(&shop, bank(500)).await?, succeeded);
        let status = limit(&shop, &payer, Limits { payment_minor_units: Some(100), ..a_day(250) }).await?;
        assert_eq!((status.currency.as_str(), status.day.unwrap_or_default().minor_units), ("EUR", 0));
        assert_eq!(pay(&shop, bank(101)).await?, exceeded, "above what one payment may be");
        assert_eq!(pay(&shop, bank(100)).await?, succeeded);
        // What the bank refuses is given back.
        let refused = euros(&unique("limited"), &payer, &account_of("rejects"), 100);
        assert_eq!(pay(&shop, refused).await?, (PaymentState::Failed, "REJECTED_BY_BANK".to_owned()));
        assert_eq!(used(&shop, &payer).await?, (100, 1));
        let paid = shop.pay(bank(100), None).await?.payment;
        assert_eq!(paid.state(), PaymentState::Succeeded);
        assert_eq!(pay(&shop, bank(51)).await?, exceeded, "above what is left of the day");
        // A refund gives nothing back of the day's limit.
        let refund = RefundPaymentRequest {
            payment: paid.id.clone(),
            request_id: unique("limited-refund"),
            ..RefundPaymentRequest::default()
        };
        shop.payments.clone().refund_payment(shop.request(refund, None)).await?;
        assert_eq!(used(&shop, &payer).await?, (200, 2));
        assert_eq!(pay(&shop, bank(50)).await?, succeeded);
        assert_eq!(pay(&shop, bank(1)).await?, exceeded);
        let once = Limits { day_payments: Some(4), ..Limits::default() };
        limit(&shop, &payer, once).await?;
        assert_eq!(pay(&shop, bank(500)).await?, succeeded);
        assert_eq!(pay(&shop, bank(1)).await?, exceeded, "as often as it may in a day");
        limit(&shop, &payer, Limits::default()).await?;
        assert_eq!(pay(&shop, bank(1)).await?, succeeded);
        Ok(())
    });
}

async fn limit_all(bench: &Bench, participant: &str, limits: Limits) -> Result<(), BenchError> {
    let house = bench.house();
    let message = SetParticipantLimitsRequest {
        participant: participant.to_owned(),
        currency: "EUR".to_owned(),
        limits: Some(limits),
    };
    house.limits.clone().set_participant_limits(house.request(message, None)).await?;
    Ok(())
}

#[test]
fn a_participant_pays_as_much_as_the_house_says_from_all_its_accounts_together() {
    run(async |bench| {
        let name = unique("limited-shop");
        crate::administration::create(&bench.house(), &name).await?;
        let key = bench.house().create_api_key(&unique("key"), &name, &["payer-app", "operator"]).await?.key;
        let second = bench.house().create_api_key(&unique("key"), &name, &["operator"]).await?.key;
        bench.until(&second, true).await?;
        let shop = bench.keyed(&key).approved_by(&second)?;
        let first = bench.funded(&shop, "EUR", 1_000).await?;
        limit_all(bench, &name, a_day(300)).await?;
        let second = bench.funded(&shop, "EUR", 1_000).await?;
        let between = |from: &str, to: &str, amount| CreatePaymentRequest {
            payee: Some(payee_on_ledger("Grace", to)),
            ..euros(&unique("limited"), from, "", amount)
        };
        let exceeded = (PaymentState::Failed, "PARTICIPANT_LIMIT_EXCEEDED".to_owned());
        assert_eq!(pay(&shop, between(&first, &second, 200)).await?.0, PaymentState::Succeeded);
        assert_eq!(pay(&shop, between(&second, &first, 101)).await?, exceeded);
        assert_eq!(pay(&shop, between(&second, &first, 100)).await?.0, PaymentState::Succeeded);
        // Its own operator cannot lift it, but limit an account further.
        limit(&shop, &first, Limits::default()).await?;
        assert_eq!(pay(&shop, between(&first, &second, 1)).await?, exceeded);
        let own = GetParticipantLimitsRequest { participant: String::new(), currency: "EUR".to_owned() };
        let status = shop.limits.clone().get_participant_limits(shop.request(own, None)).await?.into_inner();
        let status = status.status.unwrap_or_default();
        assert_eq!(status.limits, Some(a_day(300)));
        assert_eq!(status.day.map(|day| (day.minor_units, day.payments)), Some((300, 2)));
        limit_all(bench, &name, Limits::default()).await?;
        assert_eq!(pay(&shop, between(&first, &second, 1)).await?.0, PaymentState::Succeeded);
        Ok(())
    });
}
