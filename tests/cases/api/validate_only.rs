//! validate_only says what would happen, and writes nothing.

use harness::{client::payee_on_ledger, system::BANKS};
use proto::payments::{CreatePaymentRequest, PaymentState};

use crate::bench::{account_of, euros, run, unique};

#[test]
fn it_says_what_would_happen_and_writes_nothing() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 100).await?;
        let payee = bench.funded(&shop, "EUR", 0).await?;
        let to = |payee: &str, amount| CreatePaymentRequest {
            validate_only: true,
            ..euros(&unique("validate"), &payer, payee, amount)
        };
        let on_us =
            |amount| CreatePaymentRequest { payee: Some(payee_on_ledger("Grace", &payee)), ..to("", amount) };
        let accepted = (PaymentState::Unspecified, "");
        let refused = (PaymentState::Failed, "INSUFFICIENT_FUNDS");
        for (name, request, expected) in [
            ("enough", to(&BANKS[0].account(1), 100), accepted),
            ("too much", to(&BANKS[0].account(1), 101), refused),
            ("the bank would reject, and is not asked", to(&account_of("rejects"), 1), accepted),
            ("on this ledger", on_us(100), accepted),
            ("too much, on this ledger", on_us(101), refused),
        ] {
            for _ in 0..2 {
                let answer = shop.pay(request.clone(), None).await?;
                let reason = answer.payment.reason.clone().unwrap_or_default();
                assert_eq!((answer.payment.state(), reason.code.as_str()), expected, "{name}");
                assert!(!answer.replayed, "{name}");
                let unset = (answer.payment.id.as_str(), answer.payment.sequence, answer.payment.create_time);
                assert_eq!(unset, ("", 0, None), "{name}");
                assert_eq!(answer.payment.amount, request.amount);
                assert_eq!(answer.payment.request_id, request.request_id);
            }
        }
        let mut database = bench.database().await?;
        let written: i64 =
            sqlx::query_scalar("SELECT count(*) FROM payments WHERE request_id LIKE 'validate-%'")
                .fetch_one(&mut database)
                .await?;
        assert_eq!(written, 0);
        let balance = shop.account(&payer).await?.balance.unwrap_or_default();
        assert_eq!((balance.available_minor_units, balance.held_minor_units), (100, 0));
        Ok(())
    });
}

#[test]
fn its_request_id_is_still_free() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 100).await?;
        let request = euros(&unique("validated"), &payer, &BANKS[0].account(1), 10);
        shop.pay(CreatePaymentRequest { validate_only: true, ..request.clone() }, None).await?;
        let other = euros(&request.request_id, &payer, &BANKS[0].account(1), 11);
        shop.pay(CreatePaymentRequest { validate_only: true, ..other }, None).await?;
        let answer = shop.pay(request, None).await?;
        assert_eq!((answer.payment.state(), answer.replayed), (PaymentState::Succeeded, false));
        bench.check(&[answer.payment]).await
    });
}
