//! The overview: how payments go now, bank by bank, and what somebody should look at.

use std::time::{Duration, SystemTime};

use askama::Template;
use axum::{extract::State, response::Response};
use proto::{
    operations::{Alarm, Bank, ListAlarmsRequest, ListBanksRequest},
    payments::{ListPaymentsRequest, Payment, PaymentState},
    stats::{GetStatisticsRequest, GetStatisticsResponse, GroupBy, Interval, Statistics},
};
use tonic::{Code, Status};

use crate::console::{
    Console, show,
    visitor::{Frame, Visitor, call, page},
};

/// The window that is looked at, and its intervals; and those when there are too many payments in it.
const WINDOW: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(5));
const SHORT_WINDOW: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1));
/// How many payments and alarms are shown.
const SHOWN: i32 = 10;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    is_house: bool,
    window: &'static str,
    seconds: i64,
    interval_s: i64,
    all: Statistics,
    intervals: Vec<Interval>,
    banks: Vec<BankRow>,
    unknown: Vec<Payment>,
    has_more_unknown: bool,
    alarms: Vec<Alarm>,
    now: SystemTime,
}

/// A bank, and how payments to it went.
struct BankRow {
    id: String,
    bank: Option<Bank>,
    figures: Statistics,
}

impl OverviewPage {
    fn p50(figures: &Statistics) -> String {
        show::milliseconds(figures.time.as_ref().and_then(|times| times.p50.as_ref()))
    }

    fn p90(figures: &Statistics) -> String {
        show::milliseconds(figures.time.as_ref().and_then(|times| times.p90.as_ref()))
    }

    fn p99(figures: &Statistics) -> String {
        show::milliseconds(figures.time.as_ref().and_then(|times| times.p99.as_ref()))
    }

    fn success(figures: &Statistics) -> String {
        show::percent(figures.success_rate_ppm, figures.payments)
    }
}

/// Shows it.
pub(in crate::console) async fn show(visitor: Visitor, State(console): State<Console>) -> Response {
    match look(&visitor, console.clock.now()).await {
        Ok(found) => page(&found),
        Err(status) => visitor.problem(&status),
    }
}

async fn look(visitor: &Visitor, now: SystemTime) -> Result<OverviewPage, Status> {
    let alarms = ListAlarmsRequest { page_size: SHOWN, ..ListAlarmsRequest::default() };
    let unknown = ListPaymentsRequest {
        state: PaymentState::Unknown.into(),
        page_size: SHOWN,
        ..ListPaymentsRequest::default()
    };
    let (statistics, banks, unknown, alarms) = tokio::join!(
        statistics(visitor, now),
        call!(visitor, ReadOperations, ListBanks, ListBanksRequest {}),
        call!(visitor, Read, ListPayments, unknown),
        call!(visitor, ReadOperations, ListAlarms, alarms),
    );
    let ((length, interval), found) = statistics?;
    let unknown = unknown?;
    Ok(OverviewPage {
        frame: visitor.frame("overview"),
        is_house: visitor.is_house(),
        window: match (length, interval) == WINDOW {
            true => visitor.texts().last_minutes_5,
            false => visitor.texts().last_minute,
        },
        seconds: seconds(length),
        interval_s: seconds(interval),
        banks: bank_rows(banks?.banks, &found),
        all: found.all.unwrap_or_default(),
        intervals: found.intervals,
        has_more_unknown: !unknown.next_page_token.is_empty(),
        unknown: unknown.payments,
        alarms: alarms?.alarms,
        now,
    })
}

/// The figures of the window up to the last interval that is over, or of the short one.
async fn statistics(
    visitor: &Visitor,
    now: SystemTime,
) -> Result<((Duration, Duration), GetStatisticsResponse), Status> {
    let mut found = Err(Status::internal("nothing was asked"));
    for (length, interval) in [WINDOW, SHORT_WINDOW] {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let end = SystemTime::UNIX_EPOCH
            + Duration::from_secs(since_epoch.saturating_sub(since_epoch % interval.as_secs()));
        let request = GetStatisticsRequest {
            start_time: Some((end - length).into()),
            end_time: Some(end.into()),
            participant: visitor.whose(),
            group_by: GroupBy::Bank.into(),
            interval: prost_types::Duration::try_from(interval).ok(),
            ..GetStatisticsRequest::default()
        };
        found = call!(visitor, Read, GetStatistics, request).await.map(|found| ((length, interval), found));
        // There are too many payments in the window, or there is an answer.
        if !found.as_ref().is_err_and(|status| status.code() == Code::FailedPrecondition) {
            break;
        }
    }
    found
}

/// Every bank of the directory, and whatever else was paid to.
fn bank_rows(banks: Vec<Bank>, found: &GetStatisticsResponse) -> Vec<BankRow> {
    let figures = |id: &str| {
        let group = found.groups.iter().find(|group| group.key == id);
        group.and_then(|group| group.statistics).unwrap_or_default()
    };
    let known: Vec<_> = banks.iter().map(|bank| bank.id.clone()).collect();
    let others = found.groups.iter().filter(|group| !known.contains(&group.key));
    let others = others.map(|group| (group.key.clone(), None));
    let banks = banks.into_iter().map(|bank| (bank.id.clone(), Some(bank)));
    banks.chain(others).map(|(id, bank)| BankRow { figures: figures(&id), id, bank }).collect()
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
