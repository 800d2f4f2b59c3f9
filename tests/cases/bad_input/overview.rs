//! What asks for figures, trial balances and stories.

use proto::{
    operations::{GetPaymentStoryRequest, GetTrialBalanceRequest},
    stats::GetStatisticsRequest,
};

use crate::{
    bench::{Given, Row, invalid, nobody, not_found},
    values,
};

const STATISTICS: &str = "/rialto.stats.v1.StatsService/GetStatistics";
const STORY: &str = "/rialto.operations.v1.OperationsService/GetPaymentStory";
const TRIAL_BALANCE: &str = "/rialto.operations.v1.OperationsService/GetTrialBalance";

/// Every row.
pub fn rows(given: &Given) -> Vec<Row> {
    let mut rows = statistics_rows(given);
    rows.extend(operations_rows(given));
    rows
}

fn statistics_rows(given: &Given) -> Vec<Row> {
    let time = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let length = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let good = || GetStatisticsRequest {
        start_time: time(1_790_000_000, 0),
        end_time: time(1_790_000_060, 0),
        ..Default::default()
    };
    let row = |number, name: &str, request: GetStatisticsRequest, fields: &[&'static str]| {
        given.row(number, STATISTICS, name, &request, invalid(fields))
    };
    let mut rows = vec![
        row(47, "nothing", GetStatisticsRequest::default(), &["start_time"]),
        row(
            112,
            "the wrong way round",
            GetStatisticsRequest { end_time: time(1_789_999_999, 0), ..good() },
            &["end_time"],
        ),
        row(
            112,
            "a hundred years",
            GetStatisticsRequest { end_time: time(4_900_000_000, 0), ..good() },
            &["end_time"],
        ),
        row(
            112,
            "31 days and 1 s",
            GetStatisticsRequest { end_time: time(1_790_000_001 + 31 * 86_400, 0), ..good() },
            &["end_time"],
        ),
        row(0, "no such group", GetStatisticsRequest { group_by: 99, ..good() }, &["group_by"]),
        row(0, "no bank's id", GetStatisticsRequest { bank_id: "';--".to_owned(), ..good() }, &["bank_id"]),
        row(
            0,
            "no participant's name",
            GetStatisticsRequest { participant: "**".to_owned(), ..good() },
            &["participant"],
        ),
        row(
            0,
            "everything",
            GetStatisticsRequest {
                start_time: time(-1, 0),
                end_time: time(0, -1),
                participant: "X".to_owned(),
                bank_id: "X ".to_owned(),
                group_by: -1,
                interval: length(-1, 0),
            },
            &["start_time", "end_time", "participant", "bank_id", "group_by", "interval"],
        ),
    ];
    for (name, seconds, nanos) in [
        ("none", 0, 0),
        ("a millisecond", 0, 1_000_000),
        ("a nanosecond too little", 0, 999_999_999),
        ("negative", -1, 0),
        ("the smallest", i64::MIN, i32::MIN),
        ("two signs", 1, -1),
        ("too many nanoseconds", 1, 1_000_000_000),
    ] {
        let request = GetStatisticsRequest { interval: length(seconds, nanos), ..good() };
        rows.push(row(113, &format!("an interval: {name}"), request, &["interval"]));
    }
    let many = GetStatisticsRequest { end_time: time(1_790_000_501, 0), interval: length(1, 0), ..good() };
    rows.push(row(113, "501 intervals", many, &["interval"]));
    for (name, seconds, nanos) in [
        ("before 1970", -1, 0),
        ("the year 10000", 253_402_300_800, 0),
        ("the smallest", i64::MIN, i32::MIN),
        ("negative nanoseconds", 1_790_000_000, -1),
        ("too many nanoseconds", 1_790_000_000, 1_000_000_000),
    ] {
        let start = GetStatisticsRequest { start_time: time(seconds, nanos), ..good() };
        rows.push(row(77, name, start, &["start_time"]));
        rows.push(row(
            77,
            name,
            GetStatisticsRequest { end_time: time(seconds, nanos), ..good() },
            &["end_time"],
        ));
    }
    for (name, participant) in [("everybody's", "*"), ("another's", "other-shop")] {
        let request = GetStatisticsRequest { participant: participant.to_owned(), ..good() };
        rows.push(given.row(40, STATISTICS, name, &request, not_found()));
    }
    let nobody = GetStatisticsRequest { participant: "nobody-there".to_owned(), ..good() };
    rows.push(given.house_row(0, STATISTICS, "nobody's", &nobody, not_found()));
    rows
}

fn operations_rows(given: &Given) -> Vec<Row> {
    let story = |payment: &str| GetPaymentStoryRequest { payment: payment.to_owned() };
    let mut rows: Vec<Row> = values::ids("pay_")
        .iter()
        .map(|(name, id)| given.row(58, STORY, *name, &story(id), invalid(&["payment"])))
        .collect();
    rows.push(given.row(40, STORY, "another's", &story(&given.foreign_paid), not_found()));
    rows.push(given.row(59, STORY, "nobody's", &story(&nobody("pay_")), not_found()));
    rows.push(given.house_row(40, STORY, "a shop's, by the house", &story(&given.foreign_paid), not_found()));
    let balance = |participant: &str| GetTrialBalanceRequest { participant: participant.to_owned() };
    for participant in ["**", "X", "';--", "-", &"a".repeat(60_000)] {
        let name = format!("{participant:.20}");
        rows.push(given.row(0, TRIAL_BALANCE, name, &balance(participant), invalid(&["participant"])));
    }
    for (name, participant) in [("everybody's", "*"), ("another's", "other-shop")] {
        rows.push(given.row(40, TRIAL_BALANCE, name, &balance(participant), not_found()));
    }
    rows.push(given.house_row(0, TRIAL_BALANCE, "nobody's", &balance("nobody-there"), not_found()));
    rows
}
