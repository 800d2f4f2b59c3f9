//! Payments that do not come to be, whole or for a check alone.

use std::collections::BTreeMap;

use crate::{
    bench::{Given, Refused, Row, invalid, nobody, not_found, precondition},
    values,
};
use harness::client::{money, payee_by_number, payee_on_ledger};
use proto::payments::{
    CaptureMode, CreatePaymentRequest, Payee,
    payee::{Account, Bank},
};

const CREATE: &str = "/rialto.payments.v1.PaymentService/CreatePayment";

/// A request that must be refused, and how.
struct Bad {
    number: u16,
    name: String,
    request: CreatePaymentRequest,
    refused: Refused,
}

/// Everything that is wrong with a payment: each as it is, and with `validate_only`.
pub fn rows(given: &Given) -> Vec<Row> {
    let mut bad = field_rows(given);
    bad.extend(metadata_rows(given));
    bad.extend(shape_rows(given));
    bad.extend(time_rows(given));
    bad.extend(present_state_rows(given));
    let both = bad.into_iter().flat_map(|row| {
        [false, true].map(|validate_only| {
            let request = CreatePaymentRequest { validate_only, ..row.request.clone() };
            given.row(row.number, CREATE, &row.name, &request, row.refused.clone())
        })
    });
    let mut rows: Vec<Row> = both.collect();
    // Only a whole request can be a repeat of another one.
    let reused = CreatePaymentRequest { amount: Some(money(1_001, "EUR")), ..given.paid_request.clone() };
    rows.push(given.row(
        86,
        CREATE,
        "another amount under the same id",
        &reused,
        precondition("REQUEST_ID_REUSED"),
    ));
    rows
}

impl Given {
    fn bad(
        &self,
        number: u16,
        name: impl Into<String>,
        refused: Refused,
        spoil: impl FnOnce(&mut CreatePaymentRequest),
    ) -> Bad {
        let mut request = self.good();
        spoil(&mut request);
        Bad { number, name: name.into(), request, refused }
    }

    /// A row for every value that must not stand in `field`.
    fn each<V: std::fmt::Debug>(
        &self,
        number: u16,
        field: &'static str,
        values: impl IntoIterator<Item = (&'static str, V)>,
        put: impl Fn(&mut CreatePaymentRequest, V),
    ) -> Vec<Bad> {
        let row = |(name, value): (&str, V)| {
            self.bad(number, format!("{field}: {name}"), invalid(&[field]), |request| put(request, value))
        };
        values.into_iter().map(row).collect()
    }
}

fn payee(request: &mut CreatePaymentRequest) -> &mut Payee {
    request.payee.as_mut().unwrap()
}

/// Every text field with everything that must not stand in it.
fn field_rows(given: &Given) -> Vec<Bad> {
    let mut rows = given.each(85, "request_id", values::request_ids(), |r, v| r.request_id = v);
    rows.extend(given.each(58, "payer_account", values::ids("acc_"), |r, v| r.payer_account = v));
    rows.extend(given.each(64, "payee.name", values::texts(), |r, v| payee(r).name = v));
    rows.extend(given.each(64, "payee.name", [("empty", String::new())], |r, v| payee(r).name = v));
    rows.extend(
        given.each(62, "payee.iban", values::ibans(), |r, v| payee(r).account = Some(Account::Iban(v))),
    );
    rows.extend(given.each(58, "payee.ledger_account", values::ids("acc_"), |r, v| {
        payee(r).account = Some(Account::LedgerAccount(v));
    }));
    rows.extend(given.each(0, "payee.account_number", values::account_numbers(), |r, v| {
        r.payee = Some(payee_by_number("Ada", &v, Bank::BankId("sakura".to_owned())));
    }));
    rows.extend(
        given.each(82, "payee.bank_id", values::bank_ids(), |r, v| payee(r).bank = Some(Bank::BankId(v))),
    );
    rows.extend(given.each(82, "payee.bic", values::bics(), |r, v| payee(r).bank = Some(Bank::Bic(v))));
    rows.extend(
        given.each(49, "amount.minor_units", values::AMOUNTS, |r, v| r.amount = Some(money(v, "EUR"))),
    );
    rows.extend(
        given.each(55, "amount.currency", values::currencies(), |r, v| r.amount = Some(money(1, &v))),
    );
    rows.extend(
        given.each(65, "remittance_information", values::texts(), |r, v| r.remittance_information = v),
    );
    rows.extend(given.each(68, "end_to_end_id", values::references(), |r, v| r.end_to_end_id = v));
    rows
}

fn labels(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn metadata_rows(given: &Given) -> Vec<Bad> {
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
        ("a card number and when it ends", labels(&[("k", "4111111111111111 12/27")])),
        ("a number and a card number", labels(&[("k", "order 7 4111 1111 1111 1111")])),
        ("a card number in full-width digits", labels(&[("k", "４１１１１１１１１１１１１１１１")])),
        ("a card number with dots", labels(&[("k", "4111.1111.1111.1111")])),
        ("a card number with no-break spaces", labels(&[("k", "4111\u{A0}1111\u{A0}1111\u{A0}1111")])),
        ("a card number as a key", labels(&[("4111111111111111", "card")])),
        ("a value with a right-to-left override", labels(&[("k", "a\u{202E}b")])),
        ("a value with a zero-width space", labels(&[("k", "a\u{200B}b")])),
        ("a value with a non-character", labels(&[("k", "a\u{FFFE}b")])),
    ];
    given.each(70, "metadata", values, |request, value| request.metadata = value)
}

/// What is missing, what does not fit together, and everything at once.
fn shape_rows(given: &Given) -> Vec<Bad> {
    let row = |name: &str, fields: &[&'static str], spoil: fn(&mut CreatePaymentRequest)| {
        given.bad(47, name, invalid(fields), spoil)
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
    rows.push(given.bad(0, "pays itself, by id", invalid(&["payee.ledger_account"]), |r| {
        r.payee = Some(payee_on_ledger("Ada", &own));
    }));
    rows.push(given.bad(0, "pays itself, by IBAN", invalid(&["payee"]), |r| {
        payee(r).account = Some(Account::Iban(given.own_iban.clone()));
    }));
    rows.push(given.bad(0, "a ledger account and a bank", invalid(&["payee.bank"]), |r| {
        r.payee = Some(payee_on_ledger("Ada", &foreign));
        payee(r).bank = Some(Bank::BankId("aurora".to_owned()));
    }));
    rows
}

/// Well-formed, and yet no payment comes to be.
fn present_state_rows(given: &Given) -> Vec<Bad> {
    type Spoil<'a> = Box<dyn FnOnce(&mut CreatePaymentRequest) + 'a>;
    let no_bank = |field: &'static str| Refused { reason: "BANK_NOT_IN_DIRECTORY", ..invalid(&[field]) };
    let nobody = nobody("acc_");
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
    rows.into_iter().map(|(name, refused, spoil)| given.bad(59, name, refused, spoil)).collect()
}

/// Times that are none, or too near or too far.
fn time_rows(given: &Given) -> Vec<Bad> {
    let held = |seconds: i64, nanos: i32| {
        move |request: &mut CreatePaymentRequest| {
            request.set_capture(CaptureMode::Manual);
            request.expire_time = Some(prost_types::Timestamp { seconds, nanos });
        }
    };
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let mut rows: Vec<Bad> = [
        ("before 1970", -1, 0),
        ("year 0", -62_135_596_800, 0),
        ("year 10000", 253_402_300_800, 0),
        ("the smallest", i64::MIN, 0),
        ("the largest", i64::MAX, 0),
        ("nanos -1", now + 3_600, -1),
        ("a whole second of nanos", now + 3_600, 1_000_000_000),
        ("the largest nanos", now + 3_600, i32::MAX),
        ("a second ago", now - 1, 0),
        ("now", now, 0),
        ("in ten years", now + 10 * 365 * 86_400, 0),
    ]
    .into_iter()
    .map(|(name, seconds, nanos)| {
        given.bad(77, format!("expire_time: {name}"), invalid(&["expire_time"]), held(seconds, nanos))
    })
    .collect();
    rows.push(given.bad(77, "a time without an authorization", invalid(&["expire_time"]), |r| {
        r.expire_time = Some(prost_types::Timestamp { seconds: now + 3_600, nanos: 0 });
    }));
    for capture in [-1, 3, i32::MAX, i32::MIN] {
        rows.push(given.bad(0, format!("capture {capture}"), invalid(&["capture"]), |r| r.capture = capture));
    }
    rows
}
