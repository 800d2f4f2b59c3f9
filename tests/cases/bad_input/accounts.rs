//! Accounts that are not opened.

use proto::accounts::CreateAccountRequest;
use tonic::Code;

use crate::{
    bench::{Given, Row, invalid, refused, unique},
    values::{self, Bad},
};

const CREATE: &str = "/rialto.accounts.v1.AccountService/CreateAccount";

/// Everything that is wrong with an account.
pub fn rows(given: &Given) -> Vec<Row> {
    let good = || CreateAccountRequest {
        request_id: unique("bad-account"),
        display_name: "Kanariana Gelbvogel".to_owned(),
        currency: "EUR".to_owned(),
        iban: String::new(),
    };
    let mut rows = vec![
        given.row(
            47,
            CREATE,
            "empty",
            &CreateAccountRequest::default(),
            invalid(&["request_id", "display_name", "currency"]),
        ),
        given.row(
            47,
            CREATE,
            "everything at once",
            &CreateAccountRequest {
                request_id: " ".to_owned(),
                display_name: "\u{202E}".to_owned(),
                currency: "eur".to_owned(),
                iban: "DE00".to_owned(),
            },
            invalid(&["request_id", "display_name", "currency", "iban"]),
        ),
        // An IBAN belongs to one account, however it is written.
        given.row(
            62,
            CREATE,
            "an IBAN in use",
            &CreateAccountRequest { iban: given.own_iban.to_lowercase(), ..good() },
            refused(Code::AlreadyExists, "IBAN_IN_USE"),
        ),
    ];
    let mut each =
        |number, field: &'static str, bad: Vec<Bad>, put: fn(&mut CreateAccountRequest, String)| {
            for (name, value) in bad {
                let mut request = good();
                put(&mut request, value);
                rows.push(given.row(number, CREATE, format!("{field}: {name}"), &request, invalid(&[field])));
            }
        };
    each(85, "request_id", values::request_ids(), |request, value| request.request_id = value);
    each(64, "display_name", values::texts(), |request, value| request.display_name = value);
    each(55, "currency", values::currencies(), |request, value| request.currency = value);
    let ibans = values::ibans().into_iter().filter(|(_, value)| !value.is_empty()).collect();
    each(62, "iban", ibans, |request, value| request.iban = value);
    rows
}
