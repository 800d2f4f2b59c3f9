//! What came of a run, for people and programs.

use std::fmt;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;

/// What callers felt while something happened.
#[derive(Clone, Debug, Serialize)]
pub struct Felt {
    /// What happened.
    pub event: String,
    /// Payments that were due.
    pub due: u64,
    /// Of them, those that failed even after a second try, or were still on their way when their callers were answered; and why.
    pub others: String,
    /// Calls that failed twice.
    pub failed: u64,
    /// Calls that were made twice.
    pub retried: u64,
    /// Milliseconds that half and 99 % of the payments took.
    pub p50_ms: f64,
    /// See `p50_ms`.
    pub p99_ms: f64,
    /// That divided by the same of the time before, when nothing happened; none if nothing is compared.
    pub p99_ratio: Option<f64>,
    /// Of the processes of the kind that was scaled out, by how many percent the one that is farthest from an even share is off; none
    /// if nothing was.
    pub unevenness_percent: Option<f64>,
}

/// Everything that came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Event by event.
    pub felt: Vec<Felt>,
    /// Payments in all.
    pub payments: u64,
    /// What is wrong with the books; nothing if there is nothing.
    pub wrong: Vec<String>,
    /// By how much p99 may grow during an event; none if it is not judged.
    pub max_p99_ratio: Option<f64>,
    /// By how many percent a share may be off.
    pub max_unevenness_percent: f64,
}

impl Report {
    /// Whether nothing was lost or doubled, and every figure is within its bound.
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.felt.iter().all(|felt| self.complaints(felt).is_empty())
    }

    fn complaints(&self, felt: &Felt) -> Vec<&'static str> {
        let is_slow = felt.p99_ratio.zip(self.max_p99_ratio).is_some_and(|(ratio, most)| ratio > most);
        let is_uneven = felt.unevenness_percent.is_some_and(|percent| percent > self.max_unevenness_percent);
        let all = [(felt.failed > 0, "FAILED"), (is_slow, "SLOW"), (is_uneven, "UNEVEN")];
        all.into_iter().filter_map(|(is_so, complaint)| is_so.then_some(complaint)).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header([
            "",
            "What happened",
            "Due",
            "Failed twice",
            "Made twice",
            "p50, ms",
            "p99, ms",
            "÷ before",
            "Off an even share",
            "Not succeeded at once",
        ]);
        let figure =
            |value: Option<f64>, unit: &str| value.map_or(String::new(), |value| format!("{value:.1}{unit}"));
        for felt in &self.felt {
            let complaints = self.complaints(felt);
            table.add_row([
                if complaints.is_empty() { "ok".to_owned() } else { complaints.join(", ") },
                felt.event.clone(),
                felt.due.to_string(),
                felt.failed.to_string(),
                felt.retried.to_string(),
                format!("{:.1}", felt.p50_ms),
                format!("{:.1}", felt.p99_ms),
                figure(felt.p99_ratio, ""),
                figure(felt.unevenness_percent, " %"),
                felt.others.clone(),
            ]);
        }
        writeln!(f, "{table}")?;
        match self.wrong.as_slice() {
            [] => write!(f, "{} payments: every one once, every book adds up", self.payments),
            wrong => write!(f, "{} payments. WRONG:\n  {}", self.payments, wrong.join("\n  ")),
        }
    }
}
