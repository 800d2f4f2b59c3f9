//! What the rounds come to: figures, ratios, and what those are judged by.

use harness::{
    figure::{Figure, Judged},
    sample::Sample,
};

use crate::{
    contender::{Contender, Phase, Pressure},
    rounds::{Pace, RATE_PER_S, Samples},
};

/// Everything that was measured.
#[derive(Debug)]
pub struct Results {
    samples: Samples,
    /// The numbers in flight, that of record first.
    pub in_flight: Vec<usize>,
    /// How often each phase of record was measured.
    pub rounds: usize,
}

impl Results {
    /// Of these samples.
    pub fn new(samples: Samples, pace: &Pace) -> Self {
        Self { samples, in_flight: pace.in_flight.clone(), rounds: pace.rounds }
    }

    /// The number in flight of record.
    pub fn of_record(&self) -> usize {
        self.in_flight.first().copied().unwrap_or_default()
    }

    /// The most in flight.
    pub fn most(&self) -> usize {
        self.in_flight.iter().copied().max().unwrap_or_default()
    }

    /// The samples of a phase, round by round.
    pub fn rounds_of(&self, contender: Contender, pressure: Pressure) -> impl Iterator<Item = &Sample> {
        let phase = Phase { contender, pressure };
        self.samples.iter().filter(move |(of, _)| *of == phase).map(|(_, sample)| sample)
    }

    /// A figure of a phase; none if it was not measured.
    pub fn figure(
        &self,
        contender: Contender,
        pressure: Pressure,
        of: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Figure> {
        Figure::of(self.rounds_of(contender, pressure).filter_map(of))
    }

    /// Successes a second, with so many in flight.
    pub fn per_s(&self, contender: Contender, in_flight: usize) -> Option<Figure> {
        self.figure(contender, Pressure::InFlight(in_flight), |sample| Some(sample.per_s))
    }

    /// The 99th percentile of latency at the rate at which latencies are compared, in milliseconds.
    pub fn p99_ms(&self, contender: Contender) -> Option<Figure> {
        self.figure(contender, Pressure::PerSecond(RATE_PER_S), p99)
    }

    /// The ratio of two contenders, each round's against the same round's.
    fn ratio(
        &self,
        of: Contender,
        to: Contender,
        pressure: Pressure,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Figure> {
        let pairs = self.rounds_of(of, pressure).zip(self.rounds_of(to, pressure));
        Figure::of(pairs.filter_map(|(of, to)| Some(figure(of)? / figure(to)?)))
    }

    /// Rialto's rate ÷ another's, with so many in flight.
    pub fn rate_ratio(&self, to: Contender, in_flight: usize) -> Option<Figure> {
        self.ratio(Contender::Rialto, to, Pressure::InFlight(in_flight), |sample| Some(sample.per_s))
    }

    /// The ratios of record, with their bounds (issue 3 of the project); those that were not measured are not there.
    pub fn ratios(&self) -> Vec<Judged> {
        let in_flight = self.of_record();
        let at_least = |key, title: &str, figure: Option<Figure>, bound, aim| {
            figure.map(|figure| Judged {
                key,
                title: title.to_owned(),
                figure,
                bound,
                aim,
                is_at_most: false,
            })
        };
        let pressure = Pressure::InFlight(in_flight);
        let hot =
            self.ratio(Contender::HotMerchant, Contender::Rialto, pressure, |sample| Some(sample.per_s));
        let rate = |to| self.rate_ratio(to, in_flight);
        let rate_per_s = Pressure::PerSecond(RATE_PER_S);
        let p99 = self.ratio(Contender::Rialto, Contender::EchoChain, rate_per_s, p99).map(|figure| Judged {
            key: "p99_at_1000",
            title: format!("p99 at {RATE_PER_S}/s ÷ the echo chain's"),
            figure,
            bound: 4.0,
            aim: 2.0,
            is_at_most: true,
        });
        let ratios = [
            at_least("tpcb", "payments/s ÷ TPC-B transactions/s", rate(Contender::TpcB), 1.4, 3.0),
            at_least("echo_chain", "payments/s ÷ echo chain calls/s", rate(Contender::EchoChain), 0.6, 1.2),
            at_least("naive", "payments/s ÷ the naive design's", rate(Contender::Naive), 5.0, 12.0),
            at_least("hot_merchant", "one hot merchant ÷ uniform", hot, 0.9, 1.0),
            p99,
        ];
        ratios.into_iter().flatten().collect()
    }

    /// Bytes of PostgreSQL's log per payment, with their bounds.
    pub fn wal(&self) -> Option<Judged> {
        let pressure = Pressure::InFlight(self.of_record());
        let figure = self.figure(Contender::Rialto, pressure, |sample| sample.wal_bytes)?;
        let title = "bytes of PostgreSQL's log per payment".to_owned();
        Some(Judged { key: "wal_bytes", title, figure, bound: 1_600.0, aim: 900.0, is_at_most: true })
    }

    /// CPU time per success with the number in flight of record, in microseconds, by process in the order of the hops.
    pub fn cpu_us(&self, contender: Contender) -> Vec<(&'static str, Figure)> {
        self.by_process(contender, self.of_record(), |sample| &sample.cpu_us)
    }

    /// Memory in use after the most in flight, in MiB, by process.
    pub fn memory_mib(&self) -> Vec<(&'static str, Figure)> {
        let services = ["gateway", "platform", "channel"];
        let all = self.by_process(Contender::Rialto, self.most(), |sample| &sample.memory_mib);
        all.into_iter().filter(|(process, _)| services.contains(process)).collect()
    }

    fn by_process(
        &self,
        contender: Contender,
        in_flight: usize,
        of: impl Fn(&Sample) -> &[(&'static str, f64)],
    ) -> Vec<(&'static str, Figure)> {
        let pressure = Pressure::InFlight(in_flight);
        let Some(first) = self.rounds_of(contender, pressure).next() else { return Vec::new() };
        let figure = |process: &'static str| {
            let values = self
                .rounds_of(contender, pressure)
                .filter_map(|sample| of(sample).iter().find(|(name, _)| *name == process));
            Figure::of(values.map(|(_, value)| *value)).map(|figure| (process, figure))
        };
        of(first).iter().filter_map(|(process, _)| figure(process)).collect()
    }

    /// The same in all, per success.
    pub fn cpu_us_in_all(&self, contender: Contender) -> Option<Figure> {
        let pressure = Pressure::InFlight(self.of_record());
        self.figure(contender, pressure, |sample| Some(sample.cpu_us.iter().map(|(_, us)| us).sum()))
    }

    /// What programs that are not measured took of the machine's CPU time, in percent, over all phases.
    pub fn strangers_percent(&self) -> Option<Figure> {
        Figure::of(self.samples.iter().map(|(_, sample)| sample.strangers_percent))
    }

    /// What came of calls that did not succeed: the phase, and what it was, once for each round in which it happened.
    pub fn others(&self) -> Vec<(Phase, &str)> {
        let unlike = self.samples.iter().filter(|(_, sample)| !sample.others.is_empty());
        unlike.map(|(phase, sample)| (*phase, sample.others.as_str())).collect()
    }
}

fn p99(sample: &Sample) -> Option<f64> {
    sample.latency_ms.map(|(_, p99_ms)| p99_ms)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use harness::{figure::Figure, sample::Sample};

    use super::Results;
    use crate::{
        contender::{Contender, Phase, Pressure},
        rounds::Pace,
    };

    /// Two rounds of everyone, in the second of which all but TPC-B are twice as fast.
    pub(crate) fn two_rounds() -> Results {
        let mut samples = Vec::new();
        for round in [1.0, 2.0] {
            let mut add = |contender, pressure, per_s: f64, p99_ms: f64| {
                let sample = Sample {
                    per_s,
                    latency_ms: Some((p99_ms / 2.0, p99_ms)),
                    cpu_us: vec![("load", 20.0 * round), ("postgres", 80.0)],
                    wal_bytes: Some(1_000.0),
                    strangers_percent: 20.0,
                    memory_mib: vec![("load", 9.0), ("gateway", 20.0), ("channel", 10.0 * round)],
                    ..Sample::default()
                };
                samples.push((Phase { contender, pressure }, sample));
            };
            let of_record = Pressure::InFlight(256);
            add(Contender::Rialto, of_record, 7_000.0 * round, 30.0);
            add(Contender::HotMerchant, of_record, 7_700.0 * round, 30.0);
            add(Contender::EchoChain, of_record, 10_000.0 * round, 20.0);
            add(Contender::TpcB, of_record, 4_000.0, 2.0);
            add(Contender::Naive, of_record, 1_400.0 * round, 300.0);
            add(Contender::Rialto, Pressure::PerSecond(1_000), 1_000.0, 9.0 * round);
            add(Contender::EchoChain, Pressure::PerSecond(1_000), 1_000.0, 3.0);
            add(Contender::Rialto, Pressure::InFlight(1_024), 9_000.0, 100.0);
        }
        let second = Duration::from_secs(1);
        let in_flight = vec![256, 1_024];
        Results::new(samples, &Pace { rounds: 2, lasts: second, warm_up: second, in_flight })
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let results = two_rounds();
        let ratios = results.ratios();
        let named = |key: &str| ratios.iter().find(|ratio| ratio.key == key).unwrap();
        assert_eq!(named("naive").figure, Figure { median: 5.0, min: 5.0, max: 5.0 });
        assert_eq!(named("tpcb").figure, Figure { median: 2.625, min: 1.75, max: 3.5 });
        assert_eq!(named("p99_at_1000").figure, Figure { median: 4.5, min: 3.0, max: 6.0 });
        let met =
            ["tpcb", "echo_chain", "naive", "hot_merchant", "p99_at_1000"].map(|key| named(key).is_met());
        assert_eq!(met, [true, true, true, true, false]);
        let aims = ["tpcb", "echo_chain", "hot_merchant"].map(|key| named(key).is_aim_met());
        assert_eq!(aims, [false, false, true]);
        assert!(results.wal().unwrap().is_met() && !results.wal().unwrap().is_aim_met());
    }

    #[test]
    fn memory_is_that_of_the_services_with_the_most_in_flight() {
        let memory = two_rounds().memory_mib();
        let channel = Figure { median: 15.0, min: 10.0, max: 20.0 };
        assert_eq!(memory.len(), 2);
        assert_eq!(memory[1], ("channel", channel));
        assert_eq!(two_rounds().cpu_us_in_all(Contender::Naive).unwrap().max, 120.0);
    }
}
