//! Deposits that are not booked.

use harness::client::money;
use proto::accounts::DepositRequest;

use crate::{
    bench::{Given, Refused, Row, invalid, nobody, not_found, precondition},
    values::{self, Bad},
};

const DEPOSIT: &str = "/rialto.accounts.v1.AccountService/Deposit";

/// Everything that is wrong with a deposit.
pub fn rows(given: &Given) -> Vec<Row> {
    let good = || DepositRequest {
        request_id: "bad-deposit".to_owned(),
        account: given.euros.clone(),
        amount: Some(money(1, "EUR")),
        bank_id: "aurora".to_owned(),
        reference: String::new(),
    };
    let mut rows = vec![
        given.row(
            47,
            DEPOSIT,
            "empty",
            &DepositRequest::default(),
            invalid(&["request_id", "account", "amount", "bank_id"]),
        ),
        given.row(
            82,
            DEPOSIT,
            "no such bank",
            &DepositRequest { bank_id: "no-such-bank".to_owned(), ..good() },
            Refused { reason: "BANK_NOT_IN_DIRECTORY", ..invalid(&["bank_id"]) },
        ),
    ];
    for (number, name, account, bank, currency, expected) in [
        (40, "another's account", &given.foreign, "aurora", "EUR", not_found()),
        (59, "no account", &nobody("acc_"), "aurora", "EUR", not_found()),
        (61, "dollars", &given.euros, "aurora", "USD", precondition("CURRENCY_MISMATCH")),
        (56, "no euros there", &given.euros, "sakura", "EUR", precondition("CURRENCY_NOT_SUPPORTED")),
    ] {
        let (account, bank_id) = (account.clone(), bank.to_owned());
        let request = DepositRequest { account, bank_id, amount: Some(money(1, currency)), ..good() };
        rows.push(given.row(number, DEPOSIT, name, &request, expected));
    }
    let mut each = |number, field: &'static str, bad: Vec<Bad>, put: fn(&mut DepositRequest, String)| {
        for (name, value) in bad {
            let mut request = good();
            put(&mut request, value);
            rows.push(given.row(number, DEPOSIT, format!("{field}: {name}"), &request, invalid(&[field])));
        }
    };
    each(85, "request_id", values::request_ids(), |request, value| request.request_id = value);
    each(58, "account", values::ids("acc_"), |request, value| request.account = value);
    each(82, "bank_id", values::bank_ids(), |request, value| request.bank_id = value);
    each(64, "reference", values::texts(), |request, value| request.reference = value);
    each(55, "amount.currency", values::currencies(), |request, value| {
        request.amount = Some(money(1, &value))
    });
    for (name, value) in values::AMOUNTS {
        let request = DepositRequest { amount: Some(money(value, "EUR")), ..good() };
        rows.push(given.row(
            49,
            DEPOSIT,
            format!("amount: {name}"),
            &request,
            invalid(&["amount.minor_units"]),
        ));
    }
    rows
}
