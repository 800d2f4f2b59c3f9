//! Deposits that are not proposed, and decisions on them that nobody makes.

use harness::client::money;
use proto::accounts::{
    ApproveDepositRequest, DepositRequest, GetDepositRequest, ListDepositsRequest, RejectDepositRequest,
};

use crate::{
    bench::{Given, Refused, Row, invalid, nobody, not_found, precondition},
    values::{self, Bad},
};

const DEPOSIT: &str = "/rialto.accounts.v1.AccountService/Deposit";
const APPROVE: &str = "/rialto.accounts.v1.AccountService/ApproveDeposit";
const REJECT: &str = "/rialto.accounts.v1.AccountService/RejectDeposit";
const GET: &str = "/rialto.accounts.v1.AccountService/GetDeposit";
const LIST: &str = "/rialto.accounts.v1.AccountService/ListDeposits";

/// Everything that is wrong with a deposit, and with what is decided on one.
pub fn rows(given: &Given) -> Vec<Row> {
    let mut rows = proposal_rows(given);
    rows.extend(decision_rows(given));
    rows
}

fn decision_rows(given: &Given) -> Vec<Row> {
    let approve = |number, name: &str, deposit: &str, amount, refused: Refused| {
        let request = ApproveDepositRequest { deposit: deposit.to_owned(), amount };
        given.row(number, APPROVE, name, &request, refused)
    };
    let reject = |number, name: &str, deposit: &str, reason: &str, refused: Refused| {
        let request = RejectDepositRequest { deposit: deposit.to_owned(), reason: reason.to_owned() };
        given.row(number, REJECT, name, &request, refused)
    };
    let get = |number, name: &str, id: &str, refused| {
        given.row(number, GET, name, &GetDepositRequest { id: id.to_owned() }, refused)
    };
    let one = || Some(money(1, "EUR"));
    let (id, none) = (given.proposed.as_str(), nobody("dep_"));
    let bad_list = ListDepositsRequest { page_size: -1, page_token: "x".to_owned(), state: 99 };
    let mut rows = vec![
        approve(47, "empty", "", None, invalid(&["deposit", "amount"])),
        approve(
            47,
            "everything at once",
            "dep_",
            Some(money(0, "euro")),
            invalid(&["deposit", "amount.minor_units", "amount.currency"]),
        ),
        approve(0, "no deposit", &none, one(), not_found()),
        approve(
            0,
            "what its own operator has proposed",
            id,
            Some(money(100, "EUR")),
            precondition("SECOND_OPERATOR_REQUIRED"),
        ),
        reject(47, "empty", "", "", invalid(&["deposit", "reason"])),
        reject(0, "no deposit", &none, "no", not_found()),
        get(0, "no deposit", &none, not_found()),
        given.row(109, LIST, "everything at once", &bad_list, invalid(&["state", "page_size", "page_token"])),
    ];
    for (name, bad) in values::ids("dep_") {
        rows.push(approve(58, name, &bad, one(), invalid(&["deposit"])));
        rows.push(reject(58, name, &bad, "no", invalid(&["deposit"])));
        rows.push(get(58, name, &bad, invalid(&["id"])));
    }
    for (name, value) in values::AMOUNTS {
        rows.push(approve(49, name, id, Some(money(value, "EUR")), invalid(&["amount.minor_units"])));
    }
    for (name, currency) in values::currencies() {
        rows.push(approve(55, name, id, Some(money(1, &currency)), invalid(&["amount.currency"])));
    }
    for (name, reason) in values::texts() {
        rows.push(reject(64, name, id, &reason, invalid(&["reason"])));
    }
    rows
}

fn proposal_rows(given: &Given) -> Vec<Row> {
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
    let one_more = precondition("TOO_MANY_PENDING_DEPOSITS");
    rows.push(given.row(0, DEPOSIT, "one more than may be pending", &good(), one_more));
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
