//! What callers felt without something, and during it.

use harness::load::Measured;

/// The same callers, twice.
pub struct Beside {
    /// Without it.
    pub without: Measured,
    /// During it.
    pub during: Measured,
}

impl Beside {
    /// The goodput during it, in percent of that without.
    pub fn goodput_percent(&self) -> f64 {
        self.during.goodput_per_s() * 100.0 / self.without.goodput_per_s().max(1.0)
    }

    /// How many times as long the slowest of a hundred took.
    pub fn p99_ratio(&self) -> f64 {
        self.during.latency_ms(99.0) / self.without.latency_ms(99.0).max(0.001)
    }

    /// Both, for people.
    pub fn for_people(&self) -> String {
        format!("without {}\n  during it {}", for_people(&self.without), for_people(&self.during))
    }
}

/// What was felt once, for people.
pub fn for_people(measured: &Measured) -> String {
    format!(
        "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms, others {}",
        measured.goodput_per_s(),
        measured.latency_ms(50.0),
        measured.latency_ms(99.0),
        measured.others()
    )
}
