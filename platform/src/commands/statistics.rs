//! How payments went.

use std::time::Duration;

use common::fault::Fault;
use proto::{
    convert::{self, EVERYBODY},
    platform::reply,
    stats::{GetStatisticsRequest, GetStatisticsResponse, Group, GroupBy, Interval, Percentiles},
};

use super::{Commands, Done, participants::whose};
use crate::{
    domain::statistics::{Statistics, percentile},
    flow::intake::Caller,
    store::statistics::{self, Window},
};

/// The most payments that figures are made of.
const MAX_PAYMENTS: i64 = 500_000;
/// The most groups in one answer.
const MAX_GROUPS: usize = 1_000;

impl Commands {
    pub(super) async fn get_statistics(&self, caller: &Caller, request: GetStatisticsRequest) -> Done {
        let order = convert::statistics_order(&request, self.flow.clock().now()).map_err(Fault::invalid)?;
        let store = self.flow.store();
        let participant = whose(caller, order.participant.as_deref())?;
        let participant = Some(participant).filter(|name| name != EVERYBODY);
        if let Some(name) = participant.as_ref().filter(|name| **name != caller.participant)
            && !store.has_participant(name).await?
        {
            return Err(Fault::not_found("participant"));
        }
        let window = Window { start: order.start, end: order.end, participant, bank_id: order.bank_id };
        let courses = store.courses(&window, group_by(order.group_by), MAX_PAYMENTS + 1).await?;
        if i64::try_from(courses.len()).is_ok_and(|found| found > MAX_PAYMENTS) {
            let message =
                format!("more than {MAX_PAYMENTS} payments are in this window: ask for a shorter one");
            return Err(Fault::precondition("WINDOW_TOO_LARGE", message));
        }
        let all = Some(shown(&Statistics::of(courses.iter().map(|(_, course)| course))));
        let groups = match order.group_by {
            GroupBy::Unspecified => Vec::new(),
            _ => Statistics::by_key(&courses),
        };
        let intervals = match order.interval {
            Some(length) => Statistics::by_interval(&courses, (order.start, order.end), length),
            None => Vec::new(),
        };
        let interval = |(begins, figures): (_, Statistics)| Interval {
            start_time: Some(convert::time_to_wire(begins)),
            statistics: Some(shown(&figures)),
        };
        let intervals = intervals.into_iter().map(interval).collect();
        let group = |(key, figures)| Group { key, statistics: Some(shown(&figures)) };
        let groups = groups.into_iter().take(MAX_GROUPS).map(group).collect();
        Ok((reply::Result::GetStatistics(GetStatisticsResponse { all, groups, intervals }), false))
    }
}

fn group_by(asked: GroupBy) -> statistics::GroupBy {
    match asked {
        GroupBy::Unspecified => statistics::GroupBy::Nothing,
        GroupBy::Bank => statistics::GroupBy::Bank,
        GroupBy::Rail => statistics::GroupBy::Rail,
        GroupBy::Participant => statistics::GroupBy::Participant,
        GroupBy::Reason => statistics::GroupBy::Reason,
    }
}

fn shown(figures: &Statistics) -> proto::stats::Statistics {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    proto::stats::Statistics {
        payments: count(figures.payments),
        succeeded: count(figures.succeeded),
        failed: count(figures.failed),
        open: count(figures.payments.saturating_sub(figures.succeeded + figures.failed)),
        success_rate_ppm: count(figures.success_rate_ppm()),
        mean_time: duration(figures.mean_time()),
        serial_time: duration(figures.serial_time()),
        serial_delay: duration(figures.serial_delay()),
        wall_time: duration(figures.wall_time),
        ended_per_1000_s: count(figures.ended_per(Duration::from_secs(1_000))),
        speedup_permille: count(figures.speedup_permille()),
        time: percentiles(&figures.times),
        unknown: count(figures.unknown),
        unknown_share_ppm: count(figures.unknown_share_ppm()),
        time_to_certainty: percentiles(&figures.times_to_certainty),
    }
}

fn percentiles(sorted: &[Duration]) -> Option<Percentiles> {
    let of = |permille| percentile(sorted, permille).and_then(duration);
    (!sorted.is_empty()).then(|| Percentiles {
        p50: of(500),
        p90: of(900),
        p99: of(990),
        p999: of(999),
        max: of(1_000),
    })
}

fn duration(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}
