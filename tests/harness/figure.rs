//! A figure of several rounds, and what it is judged by.

use std::fmt;

use serde::Serialize;

/// The median of some rounds, with the least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Figure {
    /// Of these rounds; none if there is none.
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut rounds: Vec<f64> = rounds.into_iter().collect();
        rounds.sort_by(f64::total_cmp);
        let (min, max) = (*rounds.first()?, *rounds.last()?);
        let upper = rounds.len() / 2;
        let lower = (rounds.len() - 1) / 2;
        Some(Self { median: f64::midpoint(*rounds.get(lower)?, *rounds.get(upper)?), min, max })
    }
}

/// A figure with what it must be.
#[derive(Clone, Debug)]
pub struct Judged {
    /// For programs.
    pub key: &'static str,
    /// For people.
    pub title: String,
    /// The figure.
    pub figure: Figure,
    /// What the median must reach, or stay within.
    pub bound: f64,
    /// What it ought to reach, or stay within.
    pub aim: f64,
    /// Whether less is better.
    pub is_at_most: bool,
}

impl Judged {
    /// Whether the median is within the bound.
    pub fn is_met(&self) -> bool {
        self.is_within(self.bound)
    }

    /// Whether it is as good as it ought to be.
    pub fn is_aim_met(&self) -> bool {
        self.is_within(self.aim)
    }

    /// For a table: what it is, the figure, the bound, the aim, and the verdict.
    pub fn cells(&self) -> [String; 5] {
        let sign = if self.is_at_most { "≤" } else { "≥" };
        let verdict = match (self.is_met(), self.is_aim_met()) {
            (false, _) => "MISSED",
            (true, false) => "met",
            (true, true) => "aim met",
        };
        let limit = |limit: f64| format!("{sign} {}", number(limit));
        let figure = self.figure.to_string();
        [self.title.clone(), figure, limit(self.bound), limit(self.aim), verdict.to_owned()]
    }

    fn is_within(&self, limit: f64) -> bool {
        if self.is_at_most { self.figure.median <= limit } else { self.figure.median >= limit }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, min, max } = self;
        write!(f, "{} ({}–{})", number(*median), number(*min), number(*max))
    }
}

/// A number with three digits that mean something, thousands apart.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1_000.0 {
        let digits = format!("{value:.0}");
        let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        format!("{sign}{grouped}")
    } else if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, number};

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        let figure = Figure::of([5.0, 1.0, 9.0]).unwrap();
        assert_eq!(figure, Figure { median: 5.0, min: 1.0, max: 9.0 });
        assert_eq!(Figure::of([4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0);
        assert_eq!(Figure::of([7.0]).unwrap(), Figure { median: 7.0, min: 7.0, max: 7.0 });
        assert_eq!(Figure::of([]), None);
    }

    #[test]
    fn numbers_are_as_long_as_they_mean_something() {
        let all = [0.714, 12.34, 256.4, 999.6, 7_681.2, 1_234_567.0, -4_000.0].map(number);
        assert_eq!(all, ["0.71", "12.3", "256", "1000", "7,681", "1,234,567", "-4,000"]);
        assert_eq!(Figure::of([1.0, 2_000.0, 3.0]).unwrap().to_string(), "3.00 (1.00–2,000)");
    }
}
