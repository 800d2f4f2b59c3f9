//! Reads and lists that are refused, and page tokens that are not the list's.

use std::collections::BTreeMap;

use harness::{BenchError, client::Client};
use proto::{
    accounts::{GetAccountRequest, ListAccountsRequest, ListEntriesRequest},
    audit::{GetConsistencyProofRequest, GetInclusionProofRequest, GetPaymentReceiptRequest},
    operations::ListAlarmsRequest,
    participants::{ListApiKeysRequest, ListParticipantsRequest},
    payments::{
        GetPaymentRequest, ListPaymentsRequest, WaitPaymentRequest, WatchPaymentsRequest,
        get_payment_request::Key,
    },
};

use crate::{
    bench::{Given, Row, invalid, nobody, not_found, precondition},
    values,
};

const GET_PAYMENT: &str = "/rialto.payments.v1.PaymentService/GetPayment";
const PAYMENTS: &str = "/rialto.payments.v1.PaymentService/ListPayments";
const WAIT_PAYMENT: &str = "/rialto.payments.v1.PaymentService/WaitPayment";
const WATCH_PAYMENTS: &str = "/rialto.payments.v1.PaymentService/WatchPayments";
const GET_ACCOUNT: &str = "/rialto.accounts.v1.AccountService/GetAccount";
const ACCOUNTS: &str = "/rialto.accounts.v1.AccountService/ListAccounts";
const ENTRIES: &str = "/rialto.accounts.v1.AccountService/ListEntries";
const ALARMS: &str = "/rialto.operations.v1.OperationsService/ListAlarms";
const API_KEYS: &str = "/rialto.participants.v1.ParticipantService/ListApiKeys";
const PARTICIPANTS: &str = "/rialto.participants.v1.ParticipantService/ListParticipants";
const INCLUSION: &str = "/rialto.audit.v1.AuditService/GetInclusionProof";
const CONSISTENCY: &str = "/rialto.audit.v1.AuditService/GetConsistencyProof";
const RECEIPT: &str = "/rialto.audit.v1.AuditService/GetPaymentReceipt";

/// The tokens of the first pages of lists that have more than one.
pub async fn tokens(client: &Client, account: &str) -> Result<BTreeMap<&'static str, String>, BenchError> {
    let payments = ListPaymentsRequest { page_size: 1, ..ListPaymentsRequest::default() };
    let accounts = ListAccountsRequest { page_size: 1, page_token: String::new() };
    let entries = ListEntriesRequest { account: account.to_owned(), page_size: 1, page_token: String::new() };
    let payments = client.payments.clone().list_payments(client.request(payments, None)).await?;
    let accounts = client.accounts.clone().list_accounts(client.request(accounts, None)).await?;
    let entries = client.accounts.clone().list_entries(client.request(entries, None)).await?;
    let found = BTreeMap::from([
        (PAYMENTS, payments.into_inner().next_page_token),
        (ACCOUNTS, accounts.into_inner().next_page_token),
        (ENTRIES, entries.into_inner().next_page_token),
    ]);
    assert!(found.values().all(|token| !token.is_empty()), "{found:?}");
    Ok(found)
}

/// Everything that is wrong with a read.
pub fn rows(given: &Given) -> Vec<Row> {
    let mut rows = get_rows(given);
    rows.extend(page_rows(given));
    rows.extend(filter_rows(given));
    rows.extend(audit_rows(given));
    rows.extend(wait_rows(given));
    rows.extend(watch_rows(given));
    rows
}

fn wait_rows(given: &Given) -> Vec<Row> {
    use proto::payments::wait_payment_request::Key;
    let wait = |number, name: &str, key, after_sequence, refused| {
        given.row(number, WAIT_PAYMENT, name, &WaitPaymentRequest { key, after_sequence }, refused)
    };
    let id = |id: &str| Some(Key::Id(id.to_owned()));
    let mut rows = vec![
        wait(73, "no key", None, 0, invalid(&["key"])),
        wait(0, "a negative sequence", id(&given.paid), -1, invalid(&["after_sequence"])),
        wait(0, "the smallest sequence", id(&given.paid), i64::MIN, invalid(&["after_sequence"])),
        wait(0, "no payment", id(&nobody("pay_")), 0, not_found()),
        wait(40, "another's payment", id(&given.foreign_paid), 0, not_found()),
    ];
    rows.extend(
        values::ids("pay_")
            .into_iter()
            .map(|(name, id)| wait(58, name, Some(Key::Id(id)), 0, invalid(&["id"]))),
    );
    rows.extend(
        values::request_ids()
            .into_iter()
            .map(|(name, id)| wait(85, name, Some(Key::RequestId(id)), 0, invalid(&["request_id"]))),
    );
    rows
}

fn watch_rows(given: &Given) -> Vec<Row> {
    let watch = |number, name: &str, request: WatchPaymentsRequest, refused| {
        given.row(number, WATCH_PAYMENTS, name, &request, refused)
    };
    let all = WatchPaymentsRequest::default;
    let mut rows = Vec::new();
    let positions =
        ["x", "Earliest", "earliest ", "0", "-1", "AAAA", "';--", &"A".repeat(32), &"A".repeat(60_000)];
    let tokens = given.tokens.values().map(String::as_str);
    for from in positions.into_iter().chain(tokens) {
        let request = WatchPaymentsRequest { from_position: from.to_owned(), ..all() };
        rows.push(watch(110, &format!("position {from:.40}"), request, invalid(&["from_position"])));
    }
    for state in [0, -1, 10, i32::MAX] {
        let request = WatchPaymentsRequest { states: vec![3, state], ..all() };
        rows.push(watch(0, &format!("state {state}"), request, invalid(&["states[1]"])));
    }
    for count in [17, 10_000] {
        let request = WatchPaymentsRequest { states: vec![3; count], ..all() };
        rows.push(watch(76, &format!("{count} states"), request, invalid(&["states"])));
    }
    for (name, account) in values::ids("acc_").into_iter().filter(|(_, id)| !id.is_empty()) {
        rows.push(watch(58, name, WatchPaymentsRequest { account, ..all() }, invalid(&["account"])));
    }
    for (number, name, account) in
        [(40, "another's account", given.foreign.clone()), (59, "no account", nobody("acc_"))]
    {
        rows.push(watch(number, name, WatchPaymentsRequest { account, ..all() }, not_found()));
    }
    let everything =
        WatchPaymentsRequest { from_position: "x".to_owned(), states: vec![99], account: "y".to_owned() };
    rows.push(watch(0, "everything", everything, invalid(&["account", "states[0]", "from_position"])));
    rows
}

fn get_rows(given: &Given) -> Vec<Row> {
    let payment = |number, name: &str, key, refused| {
        given.row(number, GET_PAYMENT, name, &GetPaymentRequest { key }, refused)
    };
    let id = |id: &str| Some(Key::Id(id.to_owned()));
    let mut rows = vec![
        payment(73, "no key", None, invalid(&["key"])),
        payment(0, "no payment", id(&nobody("pay_")), not_found()),
        payment(40, "another's payment", id(&given.foreign_paid), not_found()),
        payment(0, "an account's id", id(&given.euros), invalid(&["id"])),
        payment(83, "SQL", Some(Key::RequestId("';DROP+TABLE+payments;--%_".to_owned())), not_found()),
        payment(
            95,
            "in capitals",
            Some(Key::RequestId(given.paid_request.request_id.to_uppercase())),
            not_found(),
        ),
    ];
    rows.extend(
        values::ids("pay_")
            .into_iter()
            .map(|(name, id)| payment(58, name, Some(Key::Id(id)), invalid(&["id"]))),
    );
    rows.extend(
        values::request_ids()
            .into_iter()
            .map(|(name, id)| payment(85, name, Some(Key::RequestId(id)), invalid(&["request_id"]))),
    );
    let account = |number, name: &str, id: &str, refused| {
        given.row(number, GET_ACCOUNT, name, &GetAccountRequest { id: id.to_owned() }, refused)
    };
    rows.push(account(40, "another's account", &given.foreign, not_found()));
    rows.push(account(59, "no account", &nobody("acc_"), not_found()));
    rows.push(account(0, "a payment's id", &given.paid, invalid(&["id"])));
    rows.push(account(0, "a settlement account", &given.settlement, not_found()));
    rows.extend(values::ids("acc_").iter().map(|(name, id)| account(58, name, id, invalid(&["id"]))));
    rows
}

impl Given {
    /// The same page of every list.
    fn pages(
        &self,
        number: u16,
        name: &str,
        page_size: i32,
        page_token: &str,
        fields: &[&'static str],
    ) -> Vec<Row> {
        let token = || page_token.to_owned();
        let expected = || invalid(fields);
        let entries = |account: &str| ListEntriesRequest {
            account: account.to_owned(),
            page_size,
            page_token: token(),
        };
        vec![
            self.row(
                number,
                PAYMENTS,
                name,
                &ListPaymentsRequest { page_size, page_token: token(), ..ListPaymentsRequest::default() },
                expected(),
            ),
            self.row(
                number,
                ACCOUNTS,
                name,
                &ListAccountsRequest { page_size, page_token: token() },
                expected(),
            ),
            self.row(number, ENTRIES, name, &entries(&self.euros), expected()),
            self.row(number, ALARMS, name, &ListAlarmsRequest { page_size, page_token: token() }, expected()),
            self.row(
                number,
                API_KEYS,
                name,
                &ListApiKeysRequest { page_size, page_token: token(), ..ListApiKeysRequest::default() },
                expected(),
            ),
            self.house_row(
                number,
                PARTICIPANTS,
                name,
                &ListParticipantsRequest { page_size, page_token: token() },
                expected(),
            ),
        ]
    }
}

fn page_rows(given: &Given) -> Vec<Row> {
    let mut rows = given.pages(109, "page size -1", -1, "", &["page_size"]);
    rows.extend(given.pages(
        109,
        "the smallest page and garbage",
        i32::MIN,
        "garbage",
        &["page_size", "page_token"],
    ));
    let mut garbage: Vec<(String, String)> =
        ["x", "A", "AAAA", "%00", "ÄÖ", "' OR 1=1", "\0", "==", "😀", "\u{202E}"]
            .map(|text| (format!("{text:?}"), text.to_owned()))
            .to_vec();
    garbage.push(("60,000 letters".to_owned(), "A".repeat(60_000)));
    garbage.push(("as long as a token".to_owned(), "A".repeat(43)));
    garbage.push(("the longest".to_owned(), "A".repeat(80)));
    for (list, token) in &given.tokens {
        let mut tampered = token.clone().into_bytes();
        tampered[20] = if tampered[20] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        // The last letter has bits that are none of the token's: they must be as they were.
        let (before, last) = token.split_at(token.len() - 1);
        let mut others = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars().map(|c| c.to_string()).filter(|c| c != last);
        garbage.extend([
            (format!("cut in front, {list}"), token[1..].to_owned()),
            (format!("cut behind, {list}"), before.to_owned()),
            (format!("longer, {list}"), format!("{token}A")),
            (format!("a space, {list}"), format!(" {token}")),
            (format!("padded, {list}"), format!("{token}=")),
            (format!("in capitals, {list}"), token.to_uppercase()),
            (format!("tampered, {list}"), tampered),
            (format!("another last letter, {list}"), format!("{before}{}", others.next().unwrap())),
            (format!("twice, {list}"), format!("{token}{token}")),
        ]);
    }
    garbage.extend(given.foreign_tokens.iter().map(|token| ("another's".to_owned(), token.clone())));
    for (name, token) in garbage {
        rows.extend(given.pages(110, &name, 1, &token, &["page_token"]));
    }
    // Each list's token in every other list.
    for (of, token) in &given.tokens {
        let pages = given.pages(110, &format!("the token of {of}"), 1, token, &["page_token"]);
        rows.extend(pages.into_iter().filter(|row| row.path != *of));
    }
    rows
}

fn filter_rows(given: &Given) -> Vec<Row> {
    let payments = |number, name: &str, request, fields: &[&'static str]| {
        given.row(number, PAYMENTS, name, &request, invalid(fields))
    };
    let all = ListPaymentsRequest::default;
    let token = given.tokens[PAYMENTS].clone();
    let mut rows = vec![
        payments(
            0,
            "everything at once",
            ListPaymentsRequest {
                page_size: -1,
                page_token: "x".to_owned(),
                payer_account: "x".to_owned(),
                state: 77,
                original_payment: "pay_".to_owned(),
                start_time: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }),
                end_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
            },
            &[
                "start_time",
                "end_time",
                "payer_account",
                "original_payment",
                "state",
                "page_size",
                "page_token",
            ],
        ),
        payments(
            110,
            "another filter",
            ListPaymentsRequest { page_token: token.clone(), payer_account: given.euros.clone(), ..all() },
            &["page_token"],
        ),
        payments(
            110,
            "another state",
            ListPaymentsRequest { page_token: token, state: 3, ..all() },
            &["page_token"],
        ),
    ];
    for state in [-1, 10, 99, i32::MAX, i32::MIN] {
        rows.push(payments(0, &format!("state {state}"), ListPaymentsRequest { state, ..all() }, &["state"]));
    }
    for (name, id) in values::ids("acc_").into_iter().filter(|(_, id)| !id.is_empty()) {
        rows.push(payments(58, name, ListPaymentsRequest { payer_account: id, ..all() }, &["payer_account"]));
    }
    for (name, id) in values::ids("pay_").into_iter().filter(|(_, id)| !id.is_empty()) {
        rows.push(payments(
            58,
            name,
            ListPaymentsRequest { original_payment: id, ..all() },
            &["original_payment"],
        ));
    }
    for (name, seconds, nanos) in [
        ("before 1970", -1, 0),
        ("the year 10000", 253_402_300_800, 0),
        ("the smallest", i64::MIN, i32::MIN),
        ("too many nanoseconds", 1_790_000_000, 1_000_000_000),
    ] {
        let time = || Some(prost_types::Timestamp { seconds, nanos });
        rows.push(payments(77, name, ListPaymentsRequest { start_time: time(), ..all() }, &["start_time"]));
        rows.push(payments(77, name, ListPaymentsRequest { end_time: time(), ..all() }, &["end_time"]));
    }
    let entries = |account: &str, page_token: &str| ListEntriesRequest {
        account: account.to_owned(),
        page_size: 1,
        page_token: page_token.to_owned(),
    };
    for (name, id) in values::ids("acc_") {
        rows.push(given.row(58, ENTRIES, name, &entries(&id, ""), invalid(&["account"])));
    }
    rows.push(given.row(40, ENTRIES, "another's account", &entries(&given.foreign, ""), not_found()));
    rows.push(given.row(59, ENTRIES, "no account", &entries(&nobody("acc_"), ""), not_found()));
    let of_euros = &given.tokens[ENTRIES];
    rows.push(given.row(
        110,
        ENTRIES,
        "another account",
        &entries(&given.yen, of_euros),
        invalid(&["page_token"]),
    ));
    rows
}

/// Nothing is sealed meanwhile: what is malformed whatever there is, is refused as such.
fn audit_rows(given: &Given) -> Vec<Row> {
    let receipt = |payment: &str| GetPaymentReceiptRequest { payment: payment.to_owned() };
    let mut rows: Vec<Row> = values::ids("pay_")
        .iter()
        .map(|(name, id)| given.row(58, RECEIPT, *name, &receipt(id), invalid(&["payment"])))
        .collect();
    rows.push(given.row(40, RECEIPT, "another's", &receipt(&given.foreign_paid), not_found()));
    rows.push(given.row(
        0,
        RECEIPT,
        "not over",
        &receipt(&given.authorized),
        precondition("PAYMENT_NOT_OVER"),
    ));
    let malformed = || invalid(&["size"]);
    let nothing = || precondition("NOTHING_SEALED");
    for (size, other, refused) in [
        (-1, 0, malformed()),
        (i64::MIN, 0, malformed()),
        (i64::MAX, i64::MAX, nothing()),
        (7, -3, nothing()),
        (0, i64::MIN, nothing()),
    ] {
        let inclusion = GetInclusionProofRequest { leaf: other, size };
        let consistency = GetConsistencyProofRequest { old_size: other, size };
        rows.push(given.row(0, INCLUSION, format!("size {size}"), &inclusion, refused.clone()));
        rows.push(given.row(0, CONSISTENCY, format!("size {size}"), &consistency, refused));
    }
    rows
}
