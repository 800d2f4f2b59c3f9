//! Money moves where it should: balances and entries after each way that a payment can go.

use harness::{
    BenchError,
    client::{Client, payee_by_iban, payee_on_ledger},
    names::iban,
    system::BANKS,
    wait,
};
use proto::{
    accounts::{Direction, ListEntriesRequest},
    payments::{CreatePaymentRequest, PaymentState},
};

use crate::bench::{IN_THE_END, account_of, euros, run, unique};

/// Available, posted and held.
async fn balance(client: &Client, account: &str) -> Result<(i64, i64, i64), BenchError> {
    let balance = client.account(account).await?.balance.ok_or("no balance")?;
    Ok((balance.available_minor_units, balance.posted_minor_units, balance.held_minor_units))
}

type Line = (Direction, i64);

const OUT: Direction = Direction::Debit;
const IN: Direction = Direction::Credit;

/// The entries, newest first; each must belong to a payment or to a deposit.
async fn entries(client: &Client, account: &str) -> Result<Vec<Line>, BenchError> {
    let request = ListEntriesRequest { account: account.to_owned(), ..ListEntriesRequest::default() };
    let page = client.accounts.clone().list_entries(client.request(request, None)).await?.into_inner();
    let lines = page.entries.iter().map(|entry| {
        assert_ne!(entry.payment.is_empty(), entry.deposit.is_empty(), "{entry:?}");
        let amount = entry.amount.as_ref().ok_or("no amount")?;
        assert_eq!(amount.currency, "EUR");
        Ok((entry.direction(), amount.minor_units))
    });
    lines.collect()
}

#[test]
fn a_bank_that_accepts_and_one_that_rejects() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 10_000).await?;
        assert_eq!(balance(&shop, &payer).await?, (10_000, 10_000, 0));
        let paid = bench.pay(&shop, &payer, &BANKS[0].account(1), 1_234).await?.payment;
        assert_eq!(
            (paid.state(), paid.sequence, paid.iso_status.as_str()),
            (PaymentState::Succeeded, 2, "ACSC")
        );
        assert_eq!((paid.bank_id.as_str(), paid.reason.as_ref()), ("aurora", None));
        assert_eq!(balance(&shop, &payer).await?, (8_766, 8_766, 0));
        let rejected = bench.pay(&shop, &payer, &account_of("rejects"), 500).await?.payment;
        let reason = rejected.reason.clone().unwrap_or_default();
        assert_eq!((rejected.state(), rejected.iso_status.as_str()), (PaymentState::Failed, "RJCT"));
        assert_eq!((reason.code.as_str(), reason.iso_code.as_str()), ("REJECTED_BY_BANK", "AC04"));
        assert_eq!(balance(&shop, &payer).await?, (8_766, 8_766, 0));
        let lines = entries(&shop, &payer).await?;
        assert_eq!(lines, [(OUT, 1_234), (IN, 10_000)]);
        bench.check(&[paid, rejected]).await
    });
}

#[test]
fn a_payment_on_this_ledger_moves_at_once() {
    run(async |bench| {
        let (shop, other) = (bench.client(0), bench.client(1));
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let own = iban("NL", "RIAL0000009001");
        let seller = other.open_account(&unique("seller"), "Grace's Books", "EUR", &own).await?.id;
        let by_id = CreatePaymentRequest {
            payee: Some(payee_on_ledger("Grace's Books", &seller)),
            ..euros(&unique("on-us"), &payer, "", 300)
        };
        let by_iban = CreatePaymentRequest {
            payee: Some(payee_by_iban("Grace's Books", &own)),
            ..euros(&unique("on-us"), &payer, "", 200)
        };
        let mut payments = Vec::new();
        for request in [by_id, by_iban] {
            let paid = shop.pay(request, None).await?.payment;
            assert_eq!(
                (paid.state(), paid.sequence, paid.bank_id.as_str()),
                (PaymentState::Succeeded, 1, "")
            );
            payments.push(paid);
        }
        assert_eq!(balance(&shop, &payer).await?, (500, 500, 0));
        assert_eq!(balance(&other, &seller).await?, (500, 500, 0));
        assert_eq!(entries(&other, &seller).await?, [(IN, 200), (IN, 300)]);
        assert_eq!(entries(&shop, &payer).await?, [(OUT, 200), (OUT, 300), (IN, 1_000)]);
        bench.check(&payments).await
    });
}

#[test]
fn a_payment_of_which_nothing_is_certain_keeps_its_hold() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let silent = account_of("silent after executing, for the hold");
        let unknown = bench.pay(&shop, &payer, &silent, 400);
        let looking = async {
            let held =
                || async { balance(&shop, &payer).await.ok().filter(|found| *found == (600, 1_000, 400)) };
            wait::until("the hold shows", IN_THE_END, held).await?;
            assert_eq!(entries(&shop, &payer).await?, [(IN, 1_000)]);
            // What is held cannot be spent a second time.
            let refused = bench.pay(&shop, &payer, &BANKS[0].account(1), 601).await?.payment;
            let reason = refused.reason.clone().unwrap_or_default();
            assert_eq!((refused.state(), reason.code.as_str()), (PaymentState::Failed, "INSUFFICIENT_FUNDS"));
            assert_eq!((reason.iso_code.as_str(), refused.sequence), ("AM04", 1));
            Ok::<_, BenchError>(refused)
        };
        let (paid, refused) = tokio::join!(unknown, looking);
        let (paid, refused) = (paid?.payment, refused?);
        assert_eq!(paid.state(), PaymentState::Succeeded, "the call lasted until the enquiry was answered");
        assert!(paid.sequence >= 3, "by way of UNKNOWN: {paid:?}");
        assert_eq!(balance(&shop, &payer).await?, (600, 600, 0));
        assert_eq!(entries(&shop, &payer).await?, [(OUT, 400), (IN, 1_000)]);
        bench.check(&[paid, refused]).await
    });
}

#[test]
fn a_thousand_times_one_against_a_hundred() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 100).await?;
        let calls = (0..1_000).map(|_| {
            let (shop, payer) = (shop.clone(), payer.clone());
            tokio::spawn(async move { bench.pay(&shop, &payer, &BANKS[0].account(2), 1).await })
        });
        let calls: Vec<_> = calls.collect();
        let mut payments = Vec::new();
        for call in calls {
            payments.push(call.await??.payment);
        }
        let paid = payments.iter().filter(|payment| payment.state() == PaymentState::Succeeded).count();
        assert_eq!(paid, 100);
        assert_eq!(balance(&shop, &payer).await?, (0, 0, 0));
        bench.check(&payments).await
    });
}
