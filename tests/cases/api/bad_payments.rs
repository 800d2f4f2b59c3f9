//! CreatePayment refuses what is wrong, names every field at once, and writes nothing.

use std::collections::BTreeMap;

use harness::{
    client::{Client, money, payee_by_number, payee_on_ledger},
    system::BANKS,
};
use proto::payments::{
    CreatePaymentRequest, Payee,
    payee::{Account, Bank},
};
use sqlx::Connection;
use tonic::Code;

use crate::{
    bad_values,
    bench::{Bench, Done, Refused, euros, refused, run, unique},
};

/// A request that must be refused, and how.
struct Row {
    name: String,
    request: CreatePaymentRequest,
    refused: Refused,
}

/// Accounts that rows name.
struct Given {
    euros: String,
    yen: String,
    own_iban: String,
    foreign: String,
    settlement: String,
}

impl Given {
    async fn make(bench: &Bench, shop: &Client) -> Result<Self, harness::BenchError> {
        let own_iban = harness::names::iban("NL", &format!("RIAL{:010}", 77));
        let name = unique("iban-holder");
        let euros = shop.open_account(&name, "Ada Buyer", "EUR", &own_iban).await?.id;
        shop.deposit(&unique("deposit"), &euros, 1_000_000, "EUR", "aurora").await?;
        let mut database = bench.database().await?;
        let settlement: String = sqlx::query_scalar(
            "SELECT 'acc_' || replace(id::text, '-', '') FROM accounts WHERE bank_id = 'aurora' AND currency = 'EUR'",
        )
        .fetch_one(&mut database)
        .await?;
        Ok(Self {
            euros,
            yen: bench.funded(shop, "JPY", 1_000).await?,
            own_iban,
            foreign: bench.funded(&bench.client(1), "EUR", 1_000).await?,
            settlement,
        })
    }

    fn good(&self) -> CreatePaymentRequest {
        euros(&unique("bad"), &self.euros, &BANKS[0].account(1), 100)
    }

    fn row(&self, name: String, refused: Refused, spoil: impl FnOnce(&mut CreatePaymentRequest)) -> Row {
        let mut request = self.good();
        spoil(&mut request);
        Row { name, request, refused }
    }

    /// A row for every value that must not stand in `field`.
    fn each<V: std::fmt::Debug>(
        &self,
        field: &'static str,
        values: impl IntoIterator<Item = (&'static str, V)>,
        put: impl Fn(&mut CreatePaymentRequest, V),
    ) -> Vec<Row> {
        let row = |(name, value): (&str, V)| {
            self.row(format!("{field}: {name}"), Refused::invalid(&[field]), |request| put(request, value))
        };
        values.into_iter().map(row).collect()
    }
}

fn payee(request: &mut CreatePaymentRequest) -> &mut Payee {
    request.payee.as_mut().unwrap()
}

/// Every text field with everything that must not stand in it.
fn field_rows(given: &Given) -> Vec<Row> {
    let mut rows = given.each("request_id", bad_values::request_ids(), |r, v| r.request_id = v);
    rows.extend(given.each("payer_account", bad_values::ids("acc_"), |r, v| r.payer_account = v));
    rows.extend(given.each("payee.name", bad_values::texts(), |r, v| payee(r).name = v));
    rows.extend(given.each("payee.name", [("empty", String::new())], |r, v| payee(r).name = v));
    rows.extend(
        given.each("payee.iban", bad_values::ibans(), |r, v| payee(r).account = Some(Account::Iban(v))),
    );
    rows.extend(given.each("payee.ledger_account", bad_values::ids("acc_"), |r, v| {
        payee(r).account = Some(Account::LedgerAccount(v));
    }));
    rows.extend(given.each("payee.account_number", bad_values::account_numbers(), |r, v| {
        r.payee = Some(payee_by_number("Ada", &v, Bank::BankId("sakura".to_owned())));
    }));
    rows.extend(
        given.each("payee.bank_id", bad_values::bank_ids(), |r, v| payee(r).bank = Some(Bank::BankId(v))),
    );
    rows.extend(given.each("payee.bic", bad_values::bics(), |r, v| payee(r).bank = Some(Bank::Bic(v))));
    rows.extend(
        given.each("amount.minor_units", bad_values::AMOUNTS, |r, v| r.amount = Some(money(v, "EUR"))),
    );
    rows.extend(
        given.each("amount.currency", bad_values::currencies(), |r, v| r.amount = Some(money(1, &v))),
    );
    rows.extend(
        given.each("remittance_information", bad_values::texts(), |r, v| r.remittance_information = v),
    );
    rows.extend(given.each("end_to_end_id", bad_values::references(), |r, v| r.end_to_end_id = v));
    rows
}

fn labels(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn metadata_rows(given: &Given) -> Vec<Row> {
    let full = |length: usize| (0..16).map(|n| (format!("k{n:02}"), "x".repeat(length))).collect();
    let values: Vec<(&'static str, BTreeMap<String, String>)> = vec![
        ("21 entries", (0..21).map(|n| (format!("k{n}"), String::new())).collect()),
        ("a key of 41 characters", labels(&[(&"k".repeat(41), "v")])),
        ("an empty key", labels(&[("", "v")])),
        ("a key with a space", labels(&[("a b", "v")])),
        ("a key that is not ASCII", labels(&[("ключ", "v")])),
        ("a key with a quote", labels(&[("a'b", "v")])),
        ("a key with a NUL", labels(&[("a\0", "v")])),
        ("a value of 257 characters", labels(&[("k", &"v".repeat(257))])),
        ("a value with a line feed", labels(&[("k", "a\nb")])),
        ("a value with a NUL", labels(&[("k", "a\0b")])),
        // 16 keys of 3 bytes and values of 254: 4,112 bytes.
        ("4,112 bytes in all", full(254)),
        ("a card number", labels(&[("k", "4111111111111111")])),
        ("a card number with spaces", labels(&[("k", "card: 5500 0000 0000 0004, thanks")])),
        ("a card number with hyphens", labels(&[("k", "3400-000000-00009")])),
        ("a card number in letters", labels(&[("k", "x4111111111111111x")])),
    ];
    given.each("metadata", values, |request, value| request.metadata = value)
}

/// What is missing, what does not fit together, and everything at once.
fn shape_rows(given: &Given) -> Vec<Row> {
    let row = |name: &str, fields: &[&str], spoil: fn(&mut CreatePaymentRequest)| {
        given.row(name.to_owned(), Refused::invalid(fields), spoil)
    };
    let mut rows = vec![
        row("an empty message", &["request_id", "payer_account", "payee", "amount"], |r| {
            *r = CreatePaymentRequest::default();
        }),
        row(
            "an empty payee and amount",
            &["payee.name", "payee.account", "amount.minor_units", "amount.currency"],
            |r| {
                r.payee = Some(Payee::default());
                r.amount = Some(money(0, ""));
            },
        ),
        row("no payee", &["payee"], |r| r.payee = None),
        row("no amount", &["amount"], |r| r.amount = None),
        row("a payee without an account", &["payee.account"], |r| payee(r).account = None),
        row("a bank without an account", &["payee.account"], |r| {
            payee(r).account = None;
            payee(r).bank = Some(Bank::BankId("aurora".to_owned()));
        }),
        row("an account number without a bank", &["payee.bank"], |r| {
            payee(r).account = Some(Account::AccountNumber("1".to_owned()));
        }),
        row(
            "everything at once",
            &[
                "request_id",
                "payer_account",
                "payee.name",
                "payee.bic",
                "payee.iban",
                "amount.minor_units",
                "amount.currency",
                "remittance_information",
                "end_to_end_id",
                "metadata",
                "metadata",
                "capture",
            ],
            |r| {
                *r = CreatePaymentRequest {
                    request_id: " ".to_owned(),
                    payer_account: "acc_".to_owned(),
                    payee: Some(Payee {
                        name: "\u{202E}".to_owned(),
                        account: Some(Account::Iban("DE00".to_owned())),
                        bank: Some(Bank::Bic("x".to_owned())),
                    }),
                    amount: Some(money(-1, "eur")),
                    remittance_information: "\0".to_owned(),
                    end_to_end_id: "//".to_owned(),
                    metadata: labels(&[("", "4111111111111111")]),
                    validate_only: false,
                    capture: 7,
                    expire_time: None,
                };
            },
        ),
    ];
    let (own, foreign) = (given.euros.clone(), given.foreign.clone());
    rows.push(given.row("pays itself, by id".to_owned(), Refused::invalid(&["payee.ledger_account"]), |r| {
        r.payee = Some(payee_on_ledger("Ada", &own));
    }));
    rows.push(given.row("pays itself, by IBAN".to_owned(), Refused::invalid(&["payee"]), |r| {
        payee(r).account = Some(Account::Iban(given.own_iban.clone()));
    }));
    rows.push(given.row("a ledger account and a bank".to_owned(), Refused::invalid(&["payee.bank"]), |r| {
        r.payee = Some(payee_on_ledger("Ada", &foreign));
        payee(r).bank = Some(Bank::BankId("aurora".to_owned()));
    }));
    rows
}

/// Well-formed, and yet no payment comes to be.
fn present_state_rows(given: &Given) -> Vec<Row> {
    type Spoil<'a> = Box<dyn FnOnce(&mut CreatePaymentRequest) + 'a>;
    let not_found = || Refused::new(Code::NotFound, "NOT_FOUND");
    let precondition = |reason| Refused::new(Code::FailedPrecondition, reason);
    let no_bank =
        |field: &str| Refused { reason: "BANK_NOT_IN_DIRECTORY".to_owned(), ..Refused::invalid(&[field]) };
    let nobody = format!("acc_{}", "9".repeat(32));
    let bank_id = |id: &str| Some(Bank::BankId(id.to_owned()));
    let rows: Vec<(&str, Refused, Spoil<'_>)> = vec![
        ("another's account", not_found(), Box::new(|r| r.payer_account.clone_from(&given.foreign))),
        ("no such account", not_found(), Box::new(|r| r.payer_account.clone_from(&nobody))),
        (
            "a settlement account pays",
            not_found(),
            Box::new(|r| r.payer_account.clone_from(&given.settlement)),
        ),
        ("no such payee here", not_found(), Box::new(|r| r.payee = Some(payee_on_ledger("Ada", &nobody)))),
        (
            "a settlement account is paid",
            not_found(),
            Box::new(|r| {
                r.payee = Some(payee_on_ledger("Ada", &given.settlement));
            }),
        ),
        (
            "dollars from euros",
            precondition("CURRENCY_MISMATCH"),
            Box::new(|r| r.amount = Some(money(1, "USD"))),
        ),
        (
            "euros to yen",
            precondition("CURRENCY_MISMATCH"),
            Box::new(|r| {
                r.payee = Some(payee_on_ledger("Ada", &given.yen));
            }),
        ),
        (
            "a currency that the bank does not take",
            precondition("CURRENCY_NOT_SUPPORTED"),
            Box::new(|r| {
                r.payee = Some(payee_by_number("Ada", "1", Bank::BankId("sakura".to_owned())));
            }),
        ),
        (
            "the same, by IBAN",
            precondition("CURRENCY_NOT_SUPPORTED"),
            Box::new(|r| {
                r.payer_account.clone_from(&given.yen);
                r.amount = Some(money(1, "JPY"));
            }),
        ),
        (
            "no bank has this IBAN",
            no_bank("payee.iban"),
            Box::new(|r| {
                payee(r).account = Some(Account::Iban("GB29NWBK60161331926819".to_owned()));
            }),
        ),
        (
            "a country whose IBANs have no bank here",
            no_bank("payee.iban"),
            Box::new(|r| {
                payee(r).account = Some(Account::Iban("NO9386011117947".to_owned()));
            }),
        ),
        ("no such bank id", no_bank("payee.bank_id"), Box::new(|r| payee(r).bank = bank_id("no-such-bank"))),
        (
            "no such BIC",
            no_bank("payee.bic"),
            Box::new(|r| {
                payee(r).bank = Some(Bank::Bic("INGDDEFFXXX".to_owned()));
            }),
        ),
        (
            "a branch that the directory lacks",
            no_bank("payee.bic"),
            Box::new(|r| {
                payee(r).bank = Some(Bank::Bic("AURODEF0123".to_owned()));
            }),
        ),
    ];
    rows.into_iter().map(|(name, refused, spoil)| given.row(name.to_owned(), refused, spoil)).collect()
}

#[test]
fn what_is_wrong_is_refused_and_writes_nothing() {
    run(async |bench| {
        let shop = bench.client(0);
        let given = Given::make(bench, &shop).await?;
        let mut rows = field_rows(&given);
        rows.extend(metadata_rows(&given));
        rows.extend(shape_rows(&given));
        rows.extend(present_state_rows(&given));
        assert!(rows.len() >= 60, "{} rows", rows.len());
        let mut problems = Vec::new();
        let mut ids = Vec::new();
        for row in &rows {
            ids.push(row.request.request_id.clone());
            for validate_only in [false, true] {
                let request = CreatePaymentRequest { validate_only, ..row.request.clone() };
                match refused(shop.pay(request, None).await) {
                    Ok(refused) if refused == row.refused => {}
                    Ok(refused) => problems.push(format!("{}: {refused:?}, not {:?}", row.name, row.refused)),
                    Err(error) => problems.push(format!("{}: {error}", row.name)),
                }
            }
        }
        assert!(problems.is_empty(), "of {} rows:\n{}", rows.len(), problems.join("\n"));
        nothing_written(bench, &given, &ids).await
    });
}

async fn nothing_written(bench: &Bench, given: &Given, request_ids: &[String]) -> Done {
    let mut database = bench.database().await?;
    let found: i64 = sqlx::query_scalar(
        // What a bank gives back is paid from its settlement account, and others ask for refunds meanwhile.
        "SELECT count(*) FROM payments WHERE request_id = ANY($1) \
         OR (kind <> 'REFUND' AND 'acc_' || replace(payer_account::text, '-', '') = ANY($2))",
    )
    .bind(request_ids.iter().filter(|id| !id.contains('\0')).collect::<Vec<_>>())
    .bind([&given.euros, &given.yen, &given.foreign, &given.settlement])
    .fetch_one(&mut database)
    .await?;
    assert_eq!(found, 0, "payments were written");
    let balances: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT debits_pending, debits_posted FROM accounts WHERE 'acc_' || replace(id::text, '-', '') = ANY($1)",
    )
    .bind([&given.euros, &given.yen, &given.foreign])
    .fetch_all(&mut database)
    .await?;
    assert_eq!(balances, [(0, 0); 3], "money moved");
    database.close().await?;
    Ok(())
}

#[test]
fn a_card_number_is_refused_as_a_metadata_key_too() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let request = CreatePaymentRequest {
            metadata: labels(&[("4111111111111111", "card")]),
            ..euros(&unique("card"), &payer, &BANKS[0].account(1), 1)
        };
        assert_eq!(refused(shop.pay(request, None).await)?, Refused::invalid(&["metadata"]));
        Ok(())
    });
}
