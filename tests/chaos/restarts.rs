//! Restarts: how soon all is well again after one part has died, and whether that is as soon as promised.

use std::time::Duration;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use harness::{BenchError, system::Service};
use indicatif::{ProgressBar, ProgressStyle};
use platform::directory::{LEASE_MARGIN, SEND_WINDOW};
use serde::Serialize;

use crate::{
    bench::{Recovered, TIMES},
    check::Violation,
    cycle::Stage,
    plan::{LONE_DEATHS, Plan},
};

/// From a service's crash until it serves, and until a payment that is asked for then is answered well.
const SERVES_WITHIN: Duration = Duration::from_secs(1);
/// From PostgreSQL's accepting connections until a payment that is asked for then is answered well.
const PAYS_WITHIN: Duration = Duration::from_secs(5);
/// How long after the end of their lease payments may take to move on.
const MOVES_ON_WITHIN: Duration = Duration::from_secs(2);

/// How soon one thing was well again.
#[derive(Clone, Debug, Serialize)]
pub struct Restart {
    /// From what to what.
    pub measure: String,
    /// How often it was measured.
    pub count: usize,
    /// How often it should have been: each time that was not measured, it was not well again at all.
    pub deaths: usize,
    /// The median.
    pub median_ms: u64,
    /// The longest.
    pub max_ms: u64,
    /// What is promised.
    pub target_ms: u64,
}

impl Restart {
    fn of(measure: String, mut took: Vec<Duration>, deaths: u64, target: Duration) -> Self {
        took.sort_unstable();
        let ms = |duration: Option<&Duration>| {
            duration.map_or(0, |duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
        };
        Self {
            measure,
            count: took.len(),
            deaths: usize::try_from(deaths).unwrap_or(usize::MAX),
            median_ms: ms(took.get(took.len() / 2)),
            max_ms: ms(took.last()),
            target_ms: ms(Some(&target)),
        }
    }

    /// Whether it was always as soon as promised.
    pub fn is_met(&self) -> bool {
        self.count == self.deaths && self.max_ms <= self.target_ms
    }
}

/// Has each part die alone so many times, under load. Returns how soon all was well again, and what was violated.
///
/// # Errors
/// When the bench itself fails.
pub async fn measure(
    stage: &mut Stage,
    seed: u64,
    rounds: u64,
) -> Result<(Vec<Restart>, Vec<Violation>), BenchError> {
    let style = ProgressStyle::with_template("{bar:30} death {pos}/{len}, {elapsed} (left {eta})")?;
    let parts = u64::try_from(LONE_DEATHS.len())?;
    let bar = ProgressBar::new(rounds * parts).with_style(style);
    let (mut moved_on, mut violations) = (Vec::new(), Vec::new());
    for (cycle, part) in (0..rounds * parts).zip(LONE_DEATHS.into_iter().cycle()) {
        let judged = stage.run(&Plan::of_lone_death(seed, cycle, part), seed, cycle).await?;
        moved_on.extend(judged.lone_death);
        violations.extend(judged.violations);
        bar.inc(1);
    }
    bar.finish();
    let measured = stage.bench.outages.measured();
    let took = |what| measured.iter().filter(|(of, _)| *of == what).map(|(_, took)| *took).collect();
    let mut restarts = Vec::new();
    let mut add = |measure, took, target| restarts.push(Restart::of(measure, took, rounds, target));
    for service in [Service::Gateway, Service::Platform, Service::Channel] {
        let crash = format!("{}'s crash", service.name());
        add(format!("{crash} → serving"), took(Recovered::Serving(service)), SERVES_WITHIN);
        add(format!("{crash} → good payment"), took(Recovered::GoodPaymentAfter(service)), SERVES_WITHIN);
    }
    add(
        "PostgreSQL accepts connections → good payment".to_owned(),
        took(Recovered::GoodPayment),
        PAYS_WITHIN,
    );
    let lease = Duration::from_millis(u64::from(TIMES.answer_timeout_ms)) + SEND_WINDOW + LEASE_MARGIN;
    for part in LONE_DEATHS {
        let took = moved_on.iter().filter(|(of, _)| *of == part).map(|(_, took)| *took).collect();
        add(format!("{}'s crash → every payment certain", part.name()), took, lease + MOVES_ON_WITHIN);
    }
    Ok((restarts, violations))
}

/// The restarts as a table.
pub fn for_people(restarts: &[Restart]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["Restart", "Measured", "Median", "Max", "Promised", ""]);
    for restart in restarts {
        let Restart { measure, count, deaths, median_ms, max_ms, target_ms } = restart;
        let kept = if restart.is_met() { "kept" } else { "MISSED" };
        let ms = |ms: &u64| format!("{ms} ms");
        let measured = format!("{count} of {deaths}");
        table.add_row([measure, &measured, &ms(median_ms), &ms(max_ms), &ms(target_ms), kept]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::Restart;
    use std::time::Duration;

    #[test]
    fn a_promise_is_kept_only_if_it_always_is() {
        let restart = |took: &[u64]| {
            let took = took.iter().map(|ms| Duration::from_millis(*ms)).collect();
            Restart::of(String::new(), took, 3, Duration::from_millis(100))
        };
        let kept = restart(&[100, 20, 30]);
        assert_eq!((kept.median_ms, kept.max_ms, kept.is_met()), (30, 100, true));
        assert!(!restart(&[20, 30, 101]).is_met(), "one was too late");
        assert!(!restart(&[20, 30]).is_met(), "one never came back");
    }
}
