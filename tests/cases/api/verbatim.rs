//! What is allowed is taken as it is, returned as it is, and carried to the bank as it is.

use std::collections::BTreeMap;

use harness::{
    BenchError,
    client::{money, payee_by_iban, payee_by_number},
    system::{BANKS, Service},
};
use proto::payments::{
    CreatePaymentRequest, Payment, PaymentState,
    payee::{Account, Bank},
};
use tonic::Code;

use crate::bench::{Refused, euros, refused, run, unique};

/// Texts that look dangerous and are not.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "a",
        "Zoë & Söhne <GmbH>",
        "]]> <!-- x --> <?y?> &amp; &#0;",
        "\"double\" 'single' `back`",
        "'; DROP TABLE payments; --",
        "100 % _sure_ \\ /",
        "日本 太郎",
        "Ελλάδα Россия עברית عربي",
        "👍🏽 🇩🇪 ❤️",
        "e\u{301} NFD",
        "é NFC",
        " leading and trailing spaces ",
        "=1+1",
        "{\"json\": true} ${env} %s %n",
        "\u{E000} private use",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("😀".repeat(140));
    texts.push("&".repeat(140));
    texts.push("\u{301}".repeat(140));
    texts
}

async fn books(bench: &crate::bench::Bench, bank: &str) -> Result<Vec<serde_json::Value>, BenchError> {
    let url = format!("http://{}/{bank}/books", bench.system.address(Service::Bank));
    Ok(reqwest::get(url).await?.json().await?)
}

#[test]
fn texts_come_back_as_they_were() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 100_000).await?;
        let mut payments = Vec::new();
        for text in texts() {
            let request = CreatePaymentRequest {
                payee: Some(payee_by_iban(&text, &BANKS[0].account(1))),
                remittance_information: text.clone(),
                metadata: BTreeMap::from([("__proto__".to_owned(), text.clone())]),
                ..euros(&unique("verbatim"), &payer, "", 7)
            };
            let made =
                shop.pay(request.clone(), None).await.map_err(|status| format!("{text}: {status}"))?.payment;
            assert_eq!(made.state(), PaymentState::Succeeded, "{text}: {made:?}");
            let read = shop.payment(&made.id).await?;
            for payment in [&made, &read] {
                assert_eq!(payment.payee, request.payee);
                assert_eq!(payment.remittance_information, text);
                assert_eq!(payment.metadata["__proto__"], text);
            }
            payments.push(made);
        }
        bench.check(&payments).await
    });
}

#[test]
fn an_account_holders_name_is_kept_and_carried_to_the_bank() {
    run(async |bench| {
        let shop = bench.client(0);
        let mut payments = Vec::new();
        for name in texts() {
            let account = shop.open_account(&unique("named"), &name, "EUR", "").await?;
            assert_eq!(shop.account(&account.id).await?.display_name, name);
            shop.deposit(&unique("deposit"), &account.id, 10, "EUR", "aurora").await?;
            let paid = bench.pay(&shop, &account.id, &BANKS[0].account(1), 10).await?.payment;
            assert_eq!(paid.state(), PaymentState::Succeeded, "{name}");
            payments.push(paid);
        }
        bench.check(&payments).await
    });
}

#[test]
fn limits_are_reached_and_not_passed() {
    run(async |bench| {
        const MOST: i64 = 9_999_999_999_999;
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", MOST).await?;
        let yen = bench.funded(&shop, "JPY", MOST).await?;
        shop.deposit(&unique("deposit"), &payer, 1_000_000, "EUR", "aurora").await?;
        let good = || euros(&unique("limit"), &payer, &BANKS[0].account(1), 1);
        let entries = |count: usize, length: usize| -> BTreeMap<String, String> {
            (0..count).map(|n| (format!("{n:02}{}", "k".repeat(38)), "v".repeat(length))).collect()
        };
        let request_id = unique(&"r".repeat(250)).chars().rev().take(255).collect::<String>();
        let rows = [
            CreatePaymentRequest { request_id, ..good() },
            CreatePaymentRequest { request_id: "!".repeat(255), ..good() },
            CreatePaymentRequest { end_to_end_id: "x".repeat(35), ..good() },
            CreatePaymentRequest { end_to_end_id: "A-?:().,'+ /b1".to_owned(), ..good() },
            CreatePaymentRequest { metadata: entries(20, 164), ..good() },
            // 16 entries of 40 + 216 bytes: 4,096 in all.
            CreatePaymentRequest { metadata: entries(16, 216), ..good() },
            CreatePaymentRequest {
                metadata: BTreeMap::from([("k".to_owned(), "😀".repeat(256))]), ..good()
            },
            CreatePaymentRequest { metadata: BTreeMap::from([("k".to_owned(), String::new())]), ..good() },
            CreatePaymentRequest {
                metadata: BTreeMap::from([("k".to_owned(), "4111111111111112".to_owned())]),
                ..good()
            },
            CreatePaymentRequest { amount: Some(money(MOST, "EUR")), ..good() },
            CreatePaymentRequest {
                payer_account: yen,
                payee: Some(payee_by_number("Hideki", &"9".repeat(34), Bank::Bic("SAKUJPJ0".to_owned()))),
                amount: Some(money(MOST, "JPY")),
                ..good()
            },
        ];
        let mut payments: Vec<Payment> = Vec::new();
        let _sakura = bench.sakura.lock().await;
        for request in rows {
            let paid = shop.pay(request.clone(), None).await?.payment;
            assert_eq!(paid.state(), PaymentState::Succeeded, "{paid:?}");
            assert_eq!((&paid.metadata, &paid.request_id), (&request.metadata, &request.request_id));
            if !request.end_to_end_id.is_empty() {
                assert_eq!(paid.end_to_end_id, request.end_to_end_id);
            }
            payments.push(paid);
        }
        for bank in ["aurora", "sakura"] {
            let books = books(bench, bank).await?;
            for payment in payments.iter().filter(|payment| payment.bank_id == bank) {
                let entry = books.iter().find(|entry| entry["uetr"] == payment.uetr.as_str());
                let reference = entry.and_then(|entry| entry["end_to_end_id"].as_str());
                assert_eq!(reference, Some(payment.end_to_end_id.as_str()));
            }
        }
        bench.check(&payments).await
    });
}

#[test]
fn the_iban_is_normalised_and_nothing_else_is() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let iban = BANKS[0].account(1);
        let spaced: String = iban
            .chars()
            .enumerate()
            .flat_map(|(at, c)| [(at % 4 == 0).then_some(' '), Some(c.to_ascii_lowercase())])
            .flatten()
            .collect();
        let request = euros(&unique("normal"), &payer, &spaced, 5);
        let paid = shop.pay(request.clone(), None).await?.payment;
        assert_eq!(
            paid.payee.as_ref().and_then(|payee| payee.account.clone()),
            Some(Account::Iban(iban.clone()))
        );
        // The same order, written plainly, is the same order; with the name in the other normal form it is not.
        let plain =
            CreatePaymentRequest { payee: Some(payee_by_iban("Blaise Seller", &iban)), ..request.clone() };
        assert!(shop.pay(plain, None).await?.replayed);
        let request_id = unique("normal");
        let named = |name: &str| CreatePaymentRequest {
            payee: Some(payee_by_iban(name, &iban)),
            ..euros(&request_id, &payer, &iban, 5)
        };
        let composed = shop.pay(named("é"), None).await?;
        assert!(!composed.replayed);
        let reused = Refused::new(Code::FailedPrecondition, "REQUEST_ID_REUSED");
        assert_eq!(refused(shop.pay(named("e\u{301}"), None).await)?, reused);
        Ok(())
    });
}
