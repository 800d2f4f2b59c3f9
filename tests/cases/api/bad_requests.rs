//! The other calls refuse what is wrong with them: accounts, deposits, reads and lists.

use harness::{
    client::{Client, money},
    system::BANKS,
};
use proto::{
    accounts::{
        CreateAccountRequest, DepositRequest, GetAccountRequest, ListAccountsRequest, ListEntriesRequest,
    },
    payments::{GetPaymentRequest, ListPaymentsRequest, get_payment_request::Key},
};
use tonic::Code;

use crate::{
    bad_values,
    bench::{Refused, refused, run, unique},
};

#[test]
fn accounts_that_are_wrong_are_not_opened() {
    run(async |bench| {
        let shop = bench.client(0);
        let good = |id: &str| CreateAccountRequest {
            request_id: id.to_owned(),
            display_name: "Ada".to_owned(),
            currency: "EUR".to_owned(),
            iban: String::new(),
        };
        let mut rows = vec![(
            "empty".to_owned(),
            CreateAccountRequest::default(),
            Refused::invalid(&["request_id", "display_name", "currency"]),
        )];
        let mut row = |field: &str, name: &str, request| {
            rows.push((format!("{field}: {name}"), request, Refused::invalid(&[field])));
        };
        for (name, value) in bad_values::request_ids() {
            row("request_id", name, good(&value));
        }
        for (name, value) in bad_values::texts() {
            row("display_name", name, CreateAccountRequest { display_name: value, ..good("bad-account") });
        }
        for (name, value) in bad_values::currencies() {
            row("currency", name, CreateAccountRequest { currency: value, ..good("bad-account") });
        }
        for (name, value) in bad_values::ibans().into_iter().filter(|(_, value)| !value.is_empty()) {
            row("iban", name, CreateAccountRequest { iban: value, ..good("bad-account") });
        }
        let mut problems = Vec::new();
        for (name, request, expected) in rows {
            let found = shop.accounts.clone().create_account(shop.request(request, None)).await;
            note(&mut problems, &name, refused(found), &expected);
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        let mut database = bench.database().await?;
        let opened: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM accounts WHERE request_id IN ('', 'bad-account') OR request_id LIKE '% %'",
        )
        .fetch_one(&mut database)
        .await?;
        assert_eq!(opened, 0);
        Ok(())
    });
}

#[test]
fn an_iban_belongs_to_one_account() {
    run(async |bench| {
        let (shop, other) = (bench.client(0), bench.client(1));
        let iban = harness::names::iban("NL", "RIAL0000004711");
        let holder = shop.open_account(&unique("holder"), "Ada", "EUR", &iban).await?;
        let in_use = Refused::new(Code::AlreadyExists, "IBAN_IN_USE");
        for client in [&shop, &other] {
            let again = client.open_account(&unique("holder"), "Eve", "EUR", &iban.to_lowercase()).await;
            assert_eq!(refused(again)?, in_use);
        }
        assert_eq!(holder.iban, iban);
        Ok(())
    });
}

#[test]
fn deposits_that_are_wrong_are_not_booked() {
    run(async |bench| {
        let shop = bench.client(0);
        let account = bench.funded(&shop, "EUR", 0).await?;
        let foreign = bench.funded(&bench.client(1), "EUR", 0).await?;
        let good = || DepositRequest {
            request_id: "bad-deposit".to_owned(),
            account: account.clone(),
            amount: Some(money(1, "EUR")),
            bank_id: "aurora".to_owned(),
            reference: String::new(),
        };
        let mut rows = vec![
            (
                "empty".to_owned(),
                DepositRequest::default(),
                Refused::invalid(&["request_id", "account", "amount", "bank_id"]),
            ),
            (
                "no such bank".to_owned(),
                DepositRequest { bank_id: "no-such-bank".to_owned(), ..good() },
                Refused { reason: "BANK_NOT_IN_DIRECTORY".to_owned(), ..Refused::invalid(&["bank_id"]) },
            ),
        ];
        for (name, account, bank, currency, code, reason) in [
            ("another's account", &foreign, "aurora", "EUR", Code::NotFound, "NOT_FOUND"),
            ("no account", &format!("acc_{}", "9".repeat(32)), "aurora", "EUR", Code::NotFound, "NOT_FOUND"),
            ("dollars", &account, "aurora", "USD", Code::FailedPrecondition, "CURRENCY_MISMATCH"),
            ("no euros there", &account, "sakura", "EUR", Code::FailedPrecondition, "CURRENCY_NOT_SUPPORTED"),
        ] {
            let (account, bank_id) = (account.clone(), bank.to_owned());
            let request = DepositRequest { account, bank_id, amount: Some(money(1, currency)), ..good() };
            rows.push((name.to_owned(), request, Refused::new(code, reason)));
        }
        let mut row = |field: &str, name: &str, request| {
            rows.push((format!("{field}: {name}"), request, Refused::invalid(&[field])));
        };
        for (name, request_id) in bad_values::request_ids() {
            row("request_id", name, DepositRequest { request_id, ..good() });
        }
        for (name, account) in bad_values::ids("acc_") {
            row("account", name, DepositRequest { account, ..good() });
        }
        for (name, bank_id) in bad_values::bank_ids() {
            row("bank_id", name, DepositRequest { bank_id, ..good() });
        }
        for (name, reference) in bad_values::texts() {
            row("reference", name, DepositRequest { reference, ..good() });
        }
        for (name, value) in bad_values::currencies() {
            row("amount.currency", name, DepositRequest { amount: Some(money(1, &value)), ..good() });
        }
        for (name, value) in bad_values::AMOUNTS {
            row("amount.minor_units", name, DepositRequest { amount: Some(money(value, "EUR")), ..good() });
        }
        let mut problems = Vec::new();
        for (name, request, expected) in rows {
            let found = shop.accounts.clone().deposit(shop.request(request, None)).await;
            note(&mut problems, &name, refused(found), &expected);
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert_eq!(shop.account(&account).await?.balance.unwrap_or_default().posted_minor_units, 0);
        Ok(())
    });
}

#[test]
fn reads_that_are_wrong_are_refused() {
    run(async |bench| {
        let shop = bench.client(0);
        let mut problems = Vec::new();
        let get = async |key| {
            refused(shop.payments.clone().get_payment(shop.request(GetPaymentRequest { key }, None)).await)
        };
        for (name, id) in bad_values::ids("pay_") {
            note(&mut problems, name, get(Some(Key::Id(id))).await, &Refused::invalid(&["id"]));
        }
        for (name, id) in bad_values::request_ids() {
            note(
                &mut problems,
                name,
                get(Some(Key::RequestId(id))).await,
                &Refused::invalid(&["request_id"]),
            );
        }
        note(&mut problems, "no key", get(None).await, &Refused::invalid(&["key"]));
        let not_found = Refused::new(Code::NotFound, "NOT_FOUND");
        let nobody = Key::Id(format!("pay_{}", "9".repeat(32)));
        note(&mut problems, "no payment", get(Some(nobody)).await, &not_found);
        let never = Key::RequestId("'; DROP TABLE payments; --".replace(' ', "+"));
        note(&mut problems, "no request", get(Some(never)).await, &not_found);
        for (name, id) in bad_values::ids("acc_") {
            let found = shop.accounts.clone().get_account(shop.request(GetAccountRequest { id }, None)).await;
            note(&mut problems, name, refused(found), &Refused::invalid(&["id"]));
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(())
    });
}

/// Lists of every kind, each with its first page's token.
async fn lists(
    shop: &Client,
    account: &str,
    page_size: i32,
    page_token: &str,
) -> [(&'static str, Result<String, tonic::Status>); 3] {
    let page_token = page_token.to_owned();
    let payments =
        ListPaymentsRequest { page_size, page_token: page_token.clone(), ..ListPaymentsRequest::default() };
    let accounts = ListAccountsRequest { page_size, page_token: page_token.clone() };
    let entries = ListEntriesRequest { account: account.to_owned(), page_size, page_token };
    let payments = shop.payments.clone().list_payments(shop.request(payments, None)).await;
    let accounts = shop.accounts.clone().list_accounts(shop.request(accounts, None)).await;
    let entries = shop.accounts.clone().list_entries(shop.request(entries, None)).await;
    [
        ("payments", payments.map(|page| page.into_inner().next_page_token)),
        ("accounts", accounts.map(|page| page.into_inner().next_page_token)),
        ("entries", entries.map(|page| page.into_inner().next_page_token)),
    ]
}

#[test]
fn page_sizes_and_page_tokens_are_checked_by_every_list() {
    run(async |bench| {
        let (shop, other) = (bench.client(0), bench.client(1));
        let account = bench.funded(&shop, "EUR", 1_000).await?;
        let others = bench.funded(&other, "EUR", 1_000).await?;
        for _ in 0..2 {
            bench.pay(&shop, &account, &BANKS[0].account(1), 10).await?;
            bench.pay(&other, &others, &BANKS[0].account(1), 10).await?;
            bench.funded(&shop, "EUR", 0).await?;
            bench.funded(&other, "EUR", 0).await?;
        }
        let mut problems = Vec::new();
        for (list, found) in lists(&shop, &account, -1, "").await {
            note(&mut problems, list, refused(found), &Refused::invalid(&["page_size"]));
        }
        for (list, found) in lists(&shop, &account, i32::MIN, "garbage").await {
            note(&mut problems, list, refused(found), &Refused::invalid(&["page_size", "page_token"]));
        }
        for size in [0, 1_000_000_000, i32::MAX] {
            for (list, found) in lists(&shop, &account, size, "").await {
                assert!(found.is_ok(), "{list} {size}: {found:?}");
            }
        }
        let bad_token = Refused::invalid(&["page_token"]);
        let own: Vec<String> =
            lists(&shop, &account, 1, "").await.into_iter().map(|(_, token)| token.unwrap()).collect();
        let strange = lists(&other, &others, 1, "").await.into_iter().map(|(_, token)| token.unwrap());
        let mut garbage: Vec<String> =
            ["x", "A", "AAAA", "%00", "ÄÖ", "' OR 1=1", "\0", "=="].map(str::to_owned).to_vec();
        garbage.push("A".repeat(60_000));
        garbage.push("A".repeat(43));
        for token in &own {
            garbage.extend([
                token[1..].to_owned(),
                format!("{token}A"),
                format!(" {token}"),
                format!("{token}="),
            ]);
            garbage.push(token.to_uppercase());
            let mut tampered = token.clone().into_bytes();
            tampered[20] = if tampered[20] == b'A' { b'B' } else { b'A' };
            garbage.push(String::from_utf8(tampered)?);
        }
        for token in garbage.into_iter().chain(strange) {
            for (list, found) in lists(&shop, &account, 1, &token).await {
                note(&mut problems, &format!("{list} {token:.60}"), refused(found), &bad_token);
            }
        }
        // Each kind's token in the lists of the two other kinds.
        for (at, token) in own.iter().enumerate() {
            for (place, (list, found)) in lists(&shop, &account, 1, token).await.into_iter().enumerate() {
                if at != place {
                    note(&mut problems, &format!("{list}, token {at}"), refused(found), &bad_token);
                }
            }
        }
        let filtered = ListPaymentsRequest {
            page_size: 1,
            page_token: own[0].clone(),
            payer_account: account.clone(),
            state: 0,
            original_payment: String::new(),
        };
        for request in
            [filtered.clone(), ListPaymentsRequest { payer_account: String::new(), state: 3, ..filtered }]
        {
            let found = shop.payments.clone().list_payments(shop.request(request, None)).await;
            note(&mut problems, "another filter", refused(found), &bad_token);
        }
        let second = bench.funded(&shop, "EUR", 0).await?;
        for (list, found) in lists(&shop, &second, 1, &own[2]).await {
            note(&mut problems, &format!("{list}, another account"), refused(found), &bad_token);
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(())
    });
}

#[test]
fn filters_are_checked() {
    run(async |bench| {
        let shop = bench.client(0);
        let mut problems = Vec::new();
        for state in [-1, 10, 99, i32::MAX] {
            let request = ListPaymentsRequest { state, ..ListPaymentsRequest::default() };
            let found = shop.payments.clone().list_payments(shop.request(request, None)).await;
            note(&mut problems, &format!("state {state}"), refused(found), &Refused::invalid(&["state"]));
        }
        for (name, id) in bad_values::ids("acc_").into_iter().filter(|(_, id)| !id.is_empty()) {
            let request = ListPaymentsRequest { payer_account: id.clone(), ..ListPaymentsRequest::default() };
            let found = shop.payments.clone().list_payments(shop.request(request, None)).await;
            note(&mut problems, name, refused(found), &Refused::invalid(&["payer_account"]));
            let request = ListEntriesRequest { account: id, ..ListEntriesRequest::default() };
            let found = shop.accounts.clone().list_entries(shop.request(request, None)).await;
            note(&mut problems, name, refused(found), &Refused::invalid(&["account"]));
        }
        let all = ListPaymentsRequest {
            page_size: -1,
            page_token: "x".to_owned(),
            payer_account: "x".to_owned(),
            state: 77,
            original_payment: "pay_".to_owned(),
        };
        let found = shop.payments.clone().list_payments(shop.request(all, None)).await;
        let fields = ["payer_account", "original_payment", "state", "page_size", "page_token"];
        note(&mut problems, "everything at once", refused(found), &Refused::invalid(&fields));
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(())
    });
}

fn note(
    problems: &mut Vec<String>,
    name: &str,
    found: Result<Refused, harness::BenchError>,
    expected: &Refused,
) {
    match found {
        Ok(found) if found == *expected => {}
        Ok(found) => problems.push(format!("{name}: {found:?}, not {expected:?}")),
        Err(error) => problems.push(format!("{name}: {error}")),
    }
}
