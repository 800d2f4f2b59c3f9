//! Lists show everything that was there, once, while more is being made.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use harness::{
    BenchError,
    client::{Client, payee_on_ledger},
};
use proto::{
    accounts::{ListAccountsRequest, ListEntriesRequest},
    payments::{CreatePaymentRequest, ListPaymentsRequest, Payment, PaymentState},
};

use crate::bench::{Bench, euros, run, unique};

async fn pay_here(client: &Client, payer: &str, payee: &str, amount: i64) -> Result<Payment, BenchError> {
    let request = CreatePaymentRequest {
        payee: Some(payee_on_ledger("Grace", payee)),
        ..euros(&unique("listed"), payer, "", amount)
    };
    Ok(client.pay(request, None).await?.payment)
}

/// Every page from the first to the last, `page_size` at a time.
async fn all(client: &Client, filter: ListPaymentsRequest) -> Result<Vec<Payment>, BenchError> {
    let (mut found, mut request) = (Vec::new(), filter);
    loop {
        let page =
            client.payments.clone().list_payments(client.request(request.clone(), None)).await?.into_inner();
        let full = usize::try_from(request.page_size)?;
        let fits = if page.next_page_token.is_empty() {
            page.payments.len() <= full
        } else {
            page.payments.len() == full
        };
        assert!(fits, "{} on a page of {full}", page.payments.len());
        found.extend(page.payments);
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

async fn accounts(bench: &Bench, client: &Client) -> Result<(String, String), BenchError> {
    Ok((bench.funded(client, "EUR", 100_000).await?, bench.funded(client, "EUR", 0).await?))
}

#[test]
fn no_duplicate_and_none_missing_while_more_are_made() {
    run(async |bench| {
        let shop = bench.client(0);
        let (payer, payee) = accounts(bench, &shop).await?;
        let mut before = BTreeSet::new();
        for _ in 0..120 {
            before.insert(pay_here(&shop, &payer, &payee, 1).await?.id);
        }
        let enough = AtomicBool::new(false);
        let making = async {
            while !enough.load(Ordering::Relaxed) {
                pay_here(&shop, &payer, &payee, 1).await?;
            }
            Ok::<_, BenchError>(())
        };
        let listing = async {
            let filter = ListPaymentsRequest {
                page_size: 7,
                payer_account: payer.clone(),
                ..ListPaymentsRequest::default()
            };
            let mut lists = Vec::new();
            for _ in 0..5 {
                lists.push(all(&shop, filter.clone()).await);
            }
            enough.store(true, Ordering::Relaxed);
            lists.into_iter().collect::<Result<Vec<_>, _>>()
        };
        let (made, lists) = tokio::join!(making, listing);
        made?;
        for list in lists? {
            let ids: BTreeSet<String> = list.iter().map(|payment| payment.id.clone()).collect();
            assert_eq!(ids.len(), list.len(), "a duplicate");
            assert!(before.is_subset(&ids), "{} missing", before.difference(&ids).count());
            assert!(list.is_sorted_by(|newer, older| newer.id > older.id), "not newest first");
        }
        bench.check(&[]).await
    });
}

#[test]
fn filters_let_through_what_they_name() {
    run(async |bench| {
        let shop = bench.client(0);
        let (payer, payee) = accounts(bench, &shop).await?;
        let (second, _) = accounts(bench, &shop).await?;
        for amount in [1, 2, 1_000_000, 3, 2_000_000] {
            pay_here(&shop, &payer, &payee, amount).await?;
            pay_here(&shop, &second, &payee, amount).await?;
        }
        for (state, wanted) in [
            (PaymentState::Unspecified, vec![2_000_000, 3, 1_000_000, 2, 1]),
            (PaymentState::Succeeded, vec![3, 2, 1]),
            (PaymentState::Failed, vec![2_000_000, 1_000_000]),
            (PaymentState::Unknown, vec![]),
            (PaymentState::Submitted, vec![]),
        ] {
            for page_size in [1, 2, 3, 5, 500] {
                let filter = ListPaymentsRequest {
                    page_size,
                    page_token: String::new(),
                    payer_account: payer.clone(),
                    state: state.into(),
                    ..ListPaymentsRequest::default()
                };
                let list = all(&shop, filter).await?;
                let amounts: Vec<i64> = list
                    .iter()
                    .map(|payment| payment.amount.clone().unwrap_or_default().minor_units)
                    .collect();
                assert_eq!(amounts, wanted, "{state:?}, {page_size} a page");
            }
        }
        Ok(())
    });
}

#[test]
fn accounts_and_entries_page_alike() {
    run(async |bench| {
        let shop = bench.client(0);
        let (payer, payee) = accounts(bench, &shop).await?;
        for amount in 1..=20 {
            pay_here(&shop, &payer, &payee, amount).await?;
        }
        let (mut lines, mut token) = (Vec::new(), String::new());
        loop {
            let request = ListEntriesRequest { account: payee.clone(), page_size: 3, page_token: token };
            let page = shop.accounts.clone().list_entries(shop.request(request, None)).await?.into_inner();
            lines.extend(
                page.entries.iter().map(|entry| entry.amount.clone().unwrap_or_default().minor_units),
            );
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(lines, (1..=20).rev().collect::<Vec<i64>>());
        let (mut seen, mut token) = (Vec::new(), String::new());
        while !(seen.contains(&payer) && seen.contains(&payee)) {
            let request = ListAccountsRequest { page_size: 4, page_token: token };
            let page = shop.accounts.clone().list_accounts(shop.request(request, None)).await?.into_inner();
            seen.extend(page.accounts.into_iter().map(|account| account.id));
            token = page.next_page_token;
            assert!(!token.is_empty() || seen.contains(&payer), "an account is missing");
        }
        let distinct: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
        Ok(())
    });
}
