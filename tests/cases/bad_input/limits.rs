//! Limits that are not set.

use proto::limits::{
    GetAccountLimitsRequest, GetParticipantLimitsRequest, Limits, SetAccountLimitsRequest,
    SetParticipantLimitsRequest,
};

use crate::{
    bench::{Given, Row, invalid, nobody, not_found},
    values,
};

const SET_ACCOUNT: &str = "/rialto.limits.v1.LimitService/SetAccountLimits";
const GET_ACCOUNT: &str = "/rialto.limits.v1.LimitService/GetAccountLimits";
const SET_PARTICIPANT: &str = "/rialto.limits.v1.LimitService/SetParticipantLimits";
const GET_PARTICIPANT: &str = "/rialto.limits.v1.LimitService/GetParticipantLimits";

/// Everything that is wrong with limits.
pub fn rows(given: &Given) -> Vec<Row> {
    let all_negative = Limits {
        payment_minor_units: Some(-1),
        hour_minor_units: Some(-1),
        hour_payments: Some(-1),
        day_minor_units: Some(-1),
        day_payments: Some(i64::MIN),
        unsigned_payment_minor_units: Some(-1),
    };
    let set = |account: &str, limits| SetAccountLimitsRequest { account: account.to_owned(), limits };
    let get = |account: &str| GetAccountLimitsRequest { account: account.to_owned() };
    let none = nobody("acc_");
    let mut rows = vec![
        given.row(47, SET_ACCOUNT, "empty", &set("", None), invalid(&["account", "limits"])),
        given.row(
            49,
            SET_ACCOUNT,
            "less than nothing",
            &set(&given.euros, Some(all_negative)),
            invalid(&[
                "limits.payment_minor_units",
                "limits.hour_minor_units",
                "limits.hour_payments",
                "limits.day_minor_units",
                "limits.day_payments",
                "limits.unsigned_payment_minor_units",
            ]),
        ),
        given.row(0, SET_ACCOUNT, "no account", &set(&none, Some(Limits::default())), not_found()),
        given.row(40, SET_ACCOUNT, "another's", &set(&given.foreign, Some(Limits::default())), not_found()),
        given.row(
            40,
            SET_ACCOUNT,
            "the house's",
            &set(&given.settlement, Some(Limits::default())),
            not_found(),
        ),
        given.row(0, GET_ACCOUNT, "no account", &get(&none), not_found()),
        given.row(40, GET_ACCOUNT, "another's", &get(&given.foreign), not_found()),
    ];
    for (name, bad) in values::ids("acc_") {
        rows.push(given.row(
            58,
            SET_ACCOUNT,
            name,
            &set(&bad, Some(Limits::default())),
            invalid(&["account"]),
        ));
        rows.push(given.row(58, GET_ACCOUNT, name, &get(&bad), invalid(&["account"])));
    }
    rows.extend(participant_rows(given, all_negative));
    rows
}

fn participant_rows(given: &Given, all_negative: Limits) -> Vec<Row> {
    let set = |participant: &str, currency: &str, limits| SetParticipantLimitsRequest {
        participant: participant.to_owned(),
        currency: currency.to_owned(),
        limits,
    };
    let get = |participant: &str, currency: &str| GetParticipantLimitsRequest {
        participant: participant.to_owned(),
        currency: currency.to_owned(),
    };
    let some = || Some(Limits { day_payments: Some(1), ..Limits::default() });
    let empty = set("", "", None);
    let mut rows = vec![
        given.house_row(
            47,
            SET_PARTICIPANT,
            "empty",
            &empty,
            invalid(&["participant", "currency", "limits"]),
        ),
        given.house_row(
            49,
            SET_PARTICIPANT,
            "less than nothing",
            &set("demo-shop", "EUR", Some(Limits { day_payments: Some(-1), ..all_negative })),
            invalid(&[
                "limits.payment_minor_units",
                "limits.hour_minor_units",
                "limits.hour_payments",
                "limits.day_minor_units",
                "limits.day_payments",
                "limits.unsigned_payment_minor_units",
            ]),
        ),
        given.house_row(0, SET_PARTICIPANT, "nobody", &set("nobody-at-all", "EUR", some()), not_found()),
        given.house_row(0, GET_PARTICIPANT, "nobody", &get("nobody-at-all", "EUR"), not_found()),
        given.row(40, GET_PARTICIPANT, "another", &get("other-shop", "EUR"), not_found()),
    ];
    for (name, participant) in values::participants() {
        let request = set(&participant, "EUR", some());
        rows.push(given.house_row(0, SET_PARTICIPANT, name, &request, invalid(&["participant"])));
        if !participant.is_empty() {
            let request = get(&participant, "EUR");
            rows.push(given.house_row(0, GET_PARTICIPANT, name, &request, invalid(&["participant"])));
        }
    }
    for (name, currency) in values::currencies() {
        let request = set("demo-shop", &currency, some());
        rows.push(given.house_row(55, SET_PARTICIPANT, name, &request, invalid(&["currency"])));
        rows.push(given.row(55, GET_PARTICIPANT, name, &get("", &currency), invalid(&["currency"])));
    }
    rows
}
