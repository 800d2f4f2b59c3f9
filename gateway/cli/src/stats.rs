//! How payments went.

use clap::ValueEnum;
use common::clock::Clock;
use proto::stats::{GetStatisticsRequest, GetStatisticsResponse, GroupBy, Statistics};

use crate::{
    failure::Failure,
    gateway_link::{ANSWER_TIMEOUT, Gateway, within},
    moment::{self, Moment},
    screen::{Rows, Screen},
};

/// How payments went.
#[derive(clap::Args, Debug)]
pub struct Stats {
    /// From when on payments came to be: so long ago (1h, 7days), or a time (2026-11-29T06:00:00Z).
    #[arg(long, default_value = "1h", value_parser = moment::parse)]
    since: Moment,
    /// Before when. Absent: now.
    #[arg(long, value_parser = moment::parse)]
    until: Option<Moment>,
    /// Besides the figures of all, those of each.
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Whose payments. Absent: yours. `*`: everybody's (the house only).
    #[arg(long, default_value = "", hide_default_value = true)]
    participant: String,
    /// Only those to this bank, by its id.
    #[arg(long, default_value = "", hide_default_value = true)]
    bank: String,
}

/// What to tell apart.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum By {
    /// Banks.
    Bank,
    /// Rails.
    Rail,
    /// Participants.
    Participant,
    /// Why payments are as they are.
    Reason,
}

impl Stats {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        let now = Clock::system().now();
        let group_by = match self.by {
            None => GroupBy::Unspecified,
            Some(By::Bank) => GroupBy::Bank,
            Some(By::Rail) => GroupBy::Rail,
            Some(By::Participant) => GroupBy::Participant,
            Some(By::Reason) => GroupBy::Reason,
        };
        let request = GetStatisticsRequest {
            start_time: Some(self.since.when(now)?),
            end_time: self.until.map(|until| until.when(now)).transpose()?,
            participant: self.participant.clone(),
            bank_id: self.bank.clone(),
            group_by: group_by.into(),
            interval: None,
        };
        let answer = gateway.stats.clone().get_statistics(within(ANSWER_TIMEOUT, request)).await;
        screen.show(&answer.map_err(Failure::read)?.into_inner(), rows)
    }
}

fn rows(answer: &GetStatisticsResponse) -> Rows {
    let all = answer.all.iter().map(|figures| ("all", figures));
    let named = |key: &'_ str| if key.is_empty() { "-".to_owned() } else { key.to_owned() };
    let groups =
        answer.groups.iter().filter_map(|group| Some((group.key.as_str(), group.statistics.as_ref()?)));
    let heading = [
        "",
        "PAYMENTS",
        "SUCCEEDED",
        "FAILED",
        "OPEN",
        "SUCCESS",
        "UNKNOWN",
        "MEAN",
        "P50",
        "P99",
        "ONE BY ONE",
        "REALLY",
        "SPEED-UP",
        "ENDED/S",
    ];
    Rows::below(heading, all.chain(groups).map(|(key, figures)| row(named(key), figures)))
}

fn row(key: String, figures: &Statistics) -> [String; 14] {
    let time = figures.time.unwrap_or_default();
    [
        key,
        figures.payments.to_string(),
        figures.succeeded.to_string(),
        figures.failed.to_string(),
        figures.open.to_string(),
        percent(figures.success_rate_ppm),
        percent(figures.unknown_share_ppm),
        seconds(figures.mean_time.as_ref()),
        seconds(time.p50.as_ref()),
        seconds(time.p99.as_ref()),
        seconds(figures.serial_time.as_ref()),
        seconds(figures.wall_time.as_ref()),
        thousandths(figures.speedup_permille),
        thousandths(figures.ended_per_1000_s),
    ]
}

/// Parts per million as a percentage.
fn percent(ppm: i64) -> String {
    format!("{}.{:04} %", ppm / 10_000, ppm % 10_000)
}

fn thousandths(count: i64) -> String {
    format!("{}.{:03}", count / 1000, count % 1000)
}

fn seconds(duration: Option<&prost_types::Duration>) -> String {
    let read = duration.and_then(proto::convert::duration);
    read.map_or_else(|| "-".to_owned(), |time| format!("{}.{:06} s", time.as_secs(), time.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_without_floats() {
        assert_eq!(percent(1_000_000), "100.0000 %");
        assert_eq!(percent(999_705), "99.9705 %");
        assert_eq!(thousandths(31_005), "31.005");
        let duration = prost_types::Duration { seconds: 2, nanos: 5_000_000 };
        assert_eq!(seconds(Some(&duration)), "2.005000 s");
        assert_eq!(seconds(None), "-");
    }
}
