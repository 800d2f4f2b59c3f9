//! What a run came to, for programs and for people.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use harness::system::Service;
use serde::Serialize;

use crate::{
    bench::{Outages, Part, Recovered},
    cells::{Cell, Hits},
    check::{Harm, Violation},
    cycle::Judged,
    restarts::Restart,
};

/// What programs read. The keys are a contract.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What the run was drawn from.
    pub seed: u64,
    /// Cycles that were run.
    pub cycles: u64,
    /// Payments that were asked for.
    pub payments: usize,
    /// Violations by which something is lost: what a caller was told, or should have been, is not so.
    pub lost: usize,
    /// Violations by which something was done twice.
    pub doubled: usize,
    /// Violations by which something does not come to its end.
    pub stuck: usize,
    /// Violations by which money does not add up.
    pub wrong_totals: usize,
    /// Payments whose end was not seen.
    pub open_unknown: usize,
    /// Within this time 99 % of the payments were certain, from the intent to the sight of the end; faults included.
    pub time_to_certainty_p99_ms: u64,
    /// Cells of the table fault × step that were hit.
    pub cells_hit: usize,
    /// Cells of the table.
    pub cells_total: usize,
    /// What became of the planted bugs.
    pub planted: Vec<Planted>,
    /// How long restarts took.
    pub restarts: Vec<Restart>,
}

/// What became of a planted bug.
#[derive(Clone, Debug, Serialize)]
pub struct Planted {
    /// Its name.
    pub bug: &'static str,
    /// Whether the bench found it.
    pub found: bool,
    /// After how many seconds, or how long it was looked for.
    pub seconds: f64,
}

/// A run so far.
#[derive(Debug)]
pub struct Tally {
    /// What programs read.
    pub report: Report,
    /// The table fault × step.
    pub hits: Hits,
    census: Vec<(String, i64)>,
    certain_after: Vec<Duration>,
    quiet_after: Vec<Duration>,
    after_the_platforms_death: Vec<Duration>,
}

impl Tally {
    /// Nothing yet, of these cells.
    pub fn new(seed: u64, cells: &[Cell]) -> Self {
        Self {
            report: Report { seed, ..Report::default() },
            hits: Hits::none(cells),
            census: Vec::new(),
            certain_after: Vec::new(),
            quiet_after: Vec::new(),
            after_the_platforms_death: Vec::new(),
        }
    }

    /// Adds a cycle.
    pub fn add(&mut self, judged: Judged, payments: usize) {
        let report = &mut self.report;
        report.cycles += 1;
        report.payments = payments;
        report.open_unknown += judged.open;
        for violation in &judged.violations {
            *match violation.harm {
                Harm::Lost => &mut report.lost,
                Harm::Doubled => &mut report.doubled,
                Harm::Stuck => &mut report.stuck,
                Harm::WrongTotals => &mut report.wrong_totals,
            } += 1;
        }
        judged.hit.into_iter().for_each(|cell| self.hits.hit(cell));
        self.census = judged.census;
        self.certain_after.extend(judged.certain_after);
        self.quiet_after.push(judged.quiet_after);
        if let Some((Part::Service(Service::Platform), after)) = judged.lone_death {
            self.after_the_platforms_death.push(after);
        }
        (report.cells_hit, report.cells_total) = self.hits.count();
        report.time_to_certainty_p99_ms =
            u64::try_from(percentile(&mut self.certain_after, 99).as_millis()).unwrap_or(u64::MAX);
    }

    /// The run for people.
    pub fn for_people(&mut self, outages: &Outages, snapshots: u64) -> String {
        let Report { seed, cycles, payments, lost, doubled, stuck, wrong_totals, open_unknown, .. } =
            &self.report;
        let mut text = format!("{}\n", steps(&self.hits));
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        let p = |durations: &mut Vec<Duration>| {
            let [p50, p99, max] = [50, 99, 100].map(|percent| shown(percentile(durations, percent)));
            format!("p50 {p50}, p99 {p99}, max {max}")
        };
        let cells = format!("{} of {} hit", self.report.cells_hit, self.report.cells_total);
        for (what, value) in [
            ("seed", seed.to_string()),
            ("cycles, payments", format!("{cycles}, {payments}")),
            ("lost, doubled, stuck, wrong totals", format!("{lost}, {doubled}, {stuck}, {wrong_totals}")),
            ("open", open_unknown.to_string()),
            ("fault × step", cells),
            ("snapshots of all balances during the faults", snapshots.to_string()),
            ("intent → certainty, faults included", p(&mut self.certain_after)),
            ("last fault over → every payment certain", p(&mut self.quiet_after)),
        ] {
            table.add_row([what, &value]);
        }
        table.add_row(["came to", &came_to(&self.census)]);
        let moved_on = ("platform's crash → every payment certain", self.after_the_platforms_death.clone());
        for (what, mut durations) in recoveries(outages).into_iter().chain([moved_on]) {
            if durations.is_empty() {
                continue;
            }
            table.add_row([what, &format!("{} × {}", durations.len(), p(&mut durations))]);
        }
        let _ = writeln!(text, "{table}");
        if lost + doubled + stuck + wrong_totals == 0 && *cycles > 0 {
            let hundredths = 30_000 / cycles;
            let _ = write!(
                text,
                "No violation in {cycles} cycles: with 95 % confidence fewer than {}.{:02} % of such cycles have one (3/n).",
                hundredths / 100,
                hundredths % 100
            );
        }
        text
    }
}

/// What payments came to, a line for each kind.
fn came_to(census: &[(String, i64)]) -> String {
    let mut by_kind: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (what, count) in census {
        let (kind, state) = what.split_once(' ').unwrap_or((what, ""));
        by_kind.entry(kind).or_default().push(format!("{count} {state}"));
    }
    let line = |(kind, states): (&str, Vec<String>)| format!("{kind}: {}", states.join(", "));
    by_kind.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn recoveries(outages: &Outages) -> Vec<(&'static str, Vec<Duration>)> {
    let measured = outages.measured();
    let kinds = [
        (Recovered::Serving(Service::Gateway), "gateway's crash → serving again"),
        (Recovered::Serving(Service::Platform), "platform's crash → serving again"),
        (Recovered::Serving(Service::Channel), "channel's crash → serving again"),
        (Recovered::GoodPayment, "PostgreSQL accepts connections → good payment"),
    ];
    kinds
        .into_iter()
        .map(|(kind, what)| {
            (what, measured.iter().filter(|(of, _)| *of == kind).map(|(_, after)| *after).collect::<Vec<_>>())
        })
        .collect()
}

fn steps(hits: &Hits) -> String {
    const SHOWN: usize = 4;
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["Step", "Faults hit", "Hits", "Never hit"]);
    for step in hits.by_step() {
        let mut never: Vec<&str> = step.never.iter().copied().take(SHOWN).collect();
        if step.never.len() > SHOWN {
            never.push("…");
        }
        let hit = format!("{} of {}", step.cells_hit, step.cells);
        table.add_row([step.step, &hit, &step.hits.to_string(), &never.join(", ")]);
    }
    table.to_string()
}

/// The smallest duration that so many percent do not exceed.
fn percentile(durations: &mut [Duration], percent: usize) -> Duration {
    durations.sort_unstable();
    let rank = (durations.len() * percent).div_ceil(100).max(1);
    durations.get(rank - 1).copied().unwrap_or_default()
}

fn shown(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// The planted bugs as a table: each with what became of it, and what gave it away.
pub fn planted(bugs: &[(&str, Planted, String)]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["Bug", "", "Seconds", "What is wrong", "Given away by"]);
    for (about, Planted { bug, found, seconds }, given_away) in bugs {
        let found = if *found { "found" } else { "NOT FOUND" };
        table.add_row([*bug, found, &format!("{seconds:.1}"), about, given_away]);
    }
    table.to_string()
}

/// A violation with all that is known of it, and how to see it again.
pub fn violation(violation: &Violation, about: &[String]) -> String {
    let mut text = format!("VIOLATION {violation}\n");
    for line in about {
        let _ = writeln!(text, "    {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Report, percentile};
    use std::time::Duration;

    #[test]
    fn percentiles_are_by_rank() {
        let mut durations: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        let ms = [50, 99, 100].map(|percent| percentile(&mut durations, percent).as_millis());
        assert_eq!(ms, [100, 198, 200]);
        assert_eq!(percentile(&mut [], 99), Duration::ZERO);
    }

    #[test]
    fn programs_find_the_keys_that_they_know() {
        let json = serde_json::to_value(Report::default()).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        let mut expected = [
            "seed",
            "cycles",
            "payments",
            "lost",
            "doubled",
            "stuck",
            "wrong_totals",
            "open_unknown",
            "time_to_certainty_p99_ms",
            "cells_hit",
            "cells_total",
            "planted",
            "restarts",
        ];
        expected.sort_unstable();
        let mut found: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}
