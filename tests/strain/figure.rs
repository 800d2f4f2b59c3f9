//! A figure, and the bound that it is judged by.

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;

/// What a figure must be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// It is told, and not judged.
    Told,
}

/// A figure of a trial.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it says, with its unit.
    pub name: String,
    /// The median.
    pub value: f64,
    /// What it must be.
    pub bound: Bound,
    /// What else is known, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remark: String,
}

impl Figure {
    /// A figure that is judged.
    pub fn judged(name: impl Into<String>, value: f64, bound: Bound) -> Self {
        Self { name: name.into(), value, bound, remark: String::new() }
    }

    /// A figure that is only told.
    pub fn told(name: impl Into<String>, value: f64) -> Self {
        Self::judged(name, value, Bound::Told)
    }

    /// With a remark.
    pub fn remarked(mut self, remark: impl Into<String>) -> Self {
        self.remark = remark.into();
        self
    }

    /// Whether it is within its bound.
    pub fn is_good(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.value >= bound,
            Bound::AtMost(bound) => self.value <= bound,
            Bound::Told => true,
        }
    }
}

/// The median of some figures; 0 of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Figures, for people.
pub fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["", "Figure", "Median", "Bound", "Remark"]);
    for figure in figures {
        let bound = match figure.bound {
            Bound::AtLeast(bound) => format!("≥ {bound}"),
            Bound::AtMost(bound) => format!("≤ {bound}"),
            Bound::Told => String::new(),
        };
        let mark = match (figure.is_good(), figure.bound) {
            (false, _) => "MISSED",
            (true, Bound::Told) => "",
            (true, _) => "ok",
        };
        let value = format!("{:.2}", figure.value);
        table.add_row([mark, figure.name.as_str(), value.as_str(), bound.as_str(), figure.remark.as_str()]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Bound, Figure, table};

    #[test]
    fn a_figure_beyond_its_bound_is_missed() {
        assert!(Figure::judged("a", 1.2, Bound::AtMost(1.2)).is_good());
        assert!(!Figure::judged("a", 1.21, Bound::AtMost(1.2)).is_good());
        assert!(!Figure::judged("a", 94.9, Bound::AtLeast(95.0)).is_good());
        assert!(table(&[Figure::judged("a", 94.9, Bound::AtLeast(95.0))]).contains("MISSED"));
    }
}
