//! What came of a load, for people and for programs.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use harness::load::{Measured, SLOT};
use indicatif::{HumanCount, HumanFloatCount};
use proto::operations::Settings;
use serde_json::{Value, json};

use crate::{
    args::{Args, Pace, SpreadName},
    settings,
};

/// The percentiles that are told.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// What came of a load.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What was asked for.
    pub args: &'a Args,
    /// What callers felt.
    pub measured: &'a Measured,
    /// The processor time of the load itself.
    pub cpu: Duration,
    /// The settings of the server.
    pub settings: &'a Settings,
}

impl Report<'_> {
    /// What was done, in a line.
    pub fn title(&self) -> String {
        let pace = match self.args.pace() {
            Pace::InFlight(in_flight) => format!("{} payments in flight", HumanCount(count(in_flight))),
            Pace::PerSecond(per_s) => format!("{per_s} payments/s asked for"),
        };
        let to = match self.args.spread {
            SpreadName::Uniform => "merchants paid evenly",
            SpreadName::Zipf => "merchants paid by Zipf's law",
            SpreadName::One => "one hot merchant",
        };
        format!("{pace}, {to}, {:.1} s", self.measured.lasted.as_secs_f64())
    }

    /// What came of it, in a line.
    pub fn subtitle(&self) -> String {
        format!(
            "{} payments/s · p50 {}, p99 {} · {}",
            per_s(self.measured.goodput_per_s()),
            ms(self.measured.latency_ms(50.0)),
            ms(self.measured.latency_ms(99.0)),
            settings::in_short(self.settings)
        )
    }

    /// Tables.
    pub fn for_people(&self) -> String {
        let shares = [(self.args.on_us, "on us"), (self.args.refused, "refused"), (self.args.slow, "slow")];
        let shares: Vec<String> = shares
            .iter()
            .filter(|(percent, _)| *percent > 0)
            .map(|(percent, what)| format!(", {percent} % {what}"))
            .collect();
        let (figures, server) = (table(&self.rows(), true), table(&settings::rows(self.settings), false));
        format!("{}{}\n{figures}\nThe server:\n{server}", self.title(), shares.concat())
    }

    fn rows(&self) -> Vec<(String, String)> {
        let measured = self.measured;
        let counted = |number: &u64| HumanCount(*number).to_string();
        let mut rows = vec![("payments/s that succeeded".to_owned(), per_s(measured.goodput_per_s()))];
        rows.extend(
            PERCENTILES
                .iter()
                .map(|(name, percent)| (format!("latency {name}"), ms(measured.latency_ms(*percent)))),
        );
        rows.push(("latency max".to_owned(), ms(measured.max_ms())));
        rows.push(("calls".to_owned(), counted(&measured.due)));
        rows.extend(measured.states.iter().map(|(state, number)| (format!("  {state}"), counted(number))));
        rows.extend(
            measured.reasons.iter().map(|(reason, number)| (format!("    for {reason}"), counted(number))),
        );
        rows.extend(
            measured.errors.iter().map(|(reason, number)| (format!("  error {reason}"), counted(number))),
        );
        rows.push(("unknown".to_owned(), format!("{:.3} %", measured.unknown_percent())));
        rows.push((
            "processor time of the load".to_owned(),
            format!("{:.1} µs/call", self.cpu_us_per_call()),
        ));
        rows
    }

    fn cpu_us_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.measured.due.max(1)) as f64
    }

    /// JSON.
    pub fn json(&self) -> Value {
        let (args, measured) = (self.args, self.measured);
        let (in_flight, rate_per_s) = match args.pace() {
            Pace::InFlight(in_flight) => (Some(in_flight), None),
            Pace::PerSecond(per_s) => (None, Some(per_s)),
        };
        json!({
            "load": {
                "in_flight": in_flight,
                "rate_per_s": rate_per_s,
                "connections": args.connections(),
                "spread": args.spread.name(),
                "payers": args.payers,
                "payees": args.payees,
                "on_us_percent": args.on_us,
                "refused_percent": args.refused,
                "slow_percent": args.slow,
                "cpu_us_per_call": self.cpu_us_per_call(),
            },
            "lasted_s": measured.lasted.as_secs_f64(),
            "was_interrupted": measured.lasted < args.duration,
            "payments_per_s": measured.goodput_per_s(),
            "latency_ms": {
                "p50": measured.latency_ms(50.0),
                "p90": measured.latency_ms(90.0),
                "p99": measured.latency_ms(99.0),
                "p99_9": measured.latency_ms(99.9),
                "max": measured.max_ms(),
            },
            "calls": measured.due,
            "succeeded": measured.good,
            "states": measured.states,
            "reasons": measured.reasons,
            "errors": measured.errors,
            "unknown_percent": measured.unknown_percent(),
            "throughput": { "slot_s": SLOT.as_secs_f64(), "payments_per_s": measured.goodput_by_slot_per_s() },
            "settings": settings::json(self.settings),
        })
    }
}

fn table(rows: &[(impl AsRef<str>, String)], is_figures: bool) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    for (name, value) in rows {
        table.add_row([name.as_ref(), value]);
    }
    if let Some(column) = table.column_mut(1).filter(|_| is_figures) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A rate with the digits that mean something.
fn per_s(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}") } else { HumanFloatCount(rate.round()).to_string() }
}

/// Milliseconds with the digits that mean something.
pub fn ms(ms: f64) -> String {
    let digits = if ms < 10.0 {
        2
    } else if ms < 100.0 {
        1
    } else {
        0
    };
    format!("{ms:.digits$} ms")
}
