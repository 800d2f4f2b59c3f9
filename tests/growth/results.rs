//! What the rounds come to: figures of both sides, ratios, and what those are judged by.

use std::time::Duration;

use harness::{
    figure::{Figure, Judged},
    machine::Machine,
    sample::Sample,
};

use crate::size::{Size, Trial, of};

/// How storing a past went.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// How long it took.
    pub took: Duration,
    /// How large the database was then, in bytes.
    pub database_bytes: i64,
}

/// A small ledger and a large one, measured in turn.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What grew.
    pub trial: Trial,
    /// The small size and the large one.
    pub sizes: [Size; 2],
    /// How it was stored.
    pub stored: [Stored; 2],
    /// Round by round.
    pub samples: [Vec<Sample>; 2],
}

/// The memory of the services.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Payments in flight, fewest first.
    pub in_flight: Vec<usize>,
    /// Round by round, for each number in flight: what was measured, and the most memory of each service so far, in MiB.
    pub rounds: Vec<Vec<(Sample, [f64; 3])>>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The comparisons.
    pub comparisons: Vec<Comparison>,
    /// The memory; none if it was not measured.
    pub memory: Option<Memory>,
    /// Where it was measured.
    pub machine: Machine,
}

/// A figure of a sample that both sides have.
#[derive(Clone, Debug)]
pub struct Row {
    /// For programs.
    pub key: String,
    /// For people, with its unit.
    pub title: String,
    /// Of the small side and the large one.
    pub figures: [Figure; 2],
    /// Large ÷ small, each round's against the same round's; none where that says nothing.
    pub ratio: Option<Figure>,
}

impl Comparison {
    /// The two sides' names, by what grew.
    pub fn names(&self) -> [String; 2] {
        self.sizes.map(|size| match self.trial {
            Trial::Accounts => of(size.accounts, "account"),
            Trial::Banks => of(size.banks, "bank"),
            Trial::Retention if size.is_archived => of(size.payments, "archived payment"),
            Trial::Payments | Trial::Retention | Trial::Memory => of(size.payments, "payment"),
        })
    }

    /// What it is called, for programs.
    pub fn key(&self) -> &'static str {
        match self.trial {
            Trial::Payments => "payments",
            Trial::Accounts => "accounts",
            Trial::Banks => "banks",
            Trial::Retention => "retention",
            Trial::Memory => "memory",
        }
    }

    fn row(&self, key: &str, title: &str, of: impl Fn(&Sample) -> Option<f64>) -> Option<Row> {
        let [small, large] = self.samples.each_ref().map(|rounds| Figure::of(rounds.iter().filter_map(&of)));
        let rounds = self.samples[0].iter().zip(&self.samples[1]);
        let ratios = rounds.filter_map(|(small, large)| Some(of(large)? / of(small)?));
        Some(Row {
            key: key.to_owned(),
            title: title.to_owned(),
            figures: [small?, large?],
            ratio: Figure::of(ratios),
        })
    }

    /// Every figure.
    pub fn rows(&self) -> Vec<Row> {
        let in_all = |of: &[(&str, f64)]| of.iter().map(|(_, value)| value).sum::<f64>();
        let mut rows = vec![
            self.per_s(),
            self.row("p50_ms", "p50, ms", |sample| sample.latency_ms.map(|(p50_ms, _)| p50_ms)),
            self.row("p99_ms", "p99, ms", |sample| sample.latency_ms.map(|(_, p99_ms)| p99_ms)),
            self.row("wal_bytes_per_payment", "bytes of PostgreSQL's log per payment", |sample| {
                sample.wal_bytes
            }),
            self.whole_pages(),
            self.row("cpu_us_per_payment", "CPU time per payment, µs", |sample| {
                Some(in_all(&sample.cpu_us))
            }),
        ];
        let processes = |of: fn(&Sample) -> &[(&'static str, f64)]| {
            let first = self.samples[0].first().map(of).unwrap_or_default();
            first.iter().map(|(process, _)| *process).collect::<Vec<_>>()
        };
        let value_of = |all: &[(&str, f64)], process: &str| {
            all.iter().find(|(name, _)| *name == process).map(|(_, value)| *value)
        };
        for process in processes(|sample| &sample.cpu_us) {
            let (key, title) = (format!("cpu_us_per_payment_{process}"), format!("– of {process}"));
            rows.push(self.row(&key, &title, |sample| value_of(&sample.cpu_us, process)));
        }
        for process in ["gateway", "platform", "channel"] {
            let (key, title) = (format!("memory_mib_{process}"), format!("memory of {process}, MiB"));
            rows.push(self.row(&key, &title, |sample| value_of(&sample.memory_mib, process)));
        }
        rows.into_iter().flatten().collect()
    }

    /// Without a ratio, since small tables have next to none.
    fn whole_pages(&self) -> Option<Row> {
        let title = "– whole pages in it per payment";
        let row = self.row("wal_full_pages_per_payment", title, |sample| sample.wal_full_pages)?;
        Some(Row { ratio: None, ..row })
    }

    fn per_s(&self) -> Option<Row> {
        self.row("payments_per_s", "payments/s", |sample| Some(sample.per_s))
    }
}

impl Memory {
    /// The most memory of the service of this place with so many in flight (by place), in MiB; of all three if there is no place.
    pub fn mib(&self, in_flight: usize, service: Option<usize>) -> Option<Figure> {
        self.figure(in_flight, |(_, memory)| match service {
            Some(place) => memory[place],
            None => memory.iter().sum(),
        })
    }

    /// Payments a second meanwhile.
    pub fn per_s(&self, in_flight: usize) -> Option<Figure> {
        self.figure(in_flight, |(sample, _)| sample.per_s)
    }

    fn figure(&self, in_flight: usize, of: impl Fn(&(Sample, [f64; 3])) -> f64) -> Option<Figure> {
        Figure::of(self.rounds.iter().filter_map(|round| round.get(in_flight).map(&of)))
    }

    /// What came of calls that did not succeed, in each round in which there were any: how many were in flight, and what it was.
    pub fn others(&self) -> Vec<(usize, &str)> {
        let all = self.rounds.iter().flat_map(|round| self.in_flight.iter().zip(round));
        let unlike = all.filter(|(_, (sample, _))| !sample.others.is_empty());
        unlike.map(|(in_flight, (sample, _))| (*in_flight, sample.others.as_str())).collect()
    }
}

impl Results {
    /// What is required (issue 3 of the project), as far as it was measured.
    pub fn judged(&self) -> Vec<Judged> {
        let comparisons = self.comparisons.iter().filter(|comparison| comparison.trial == Trial::Payments);
        let rate = comparisons.filter_map(|comparison| {
            let [small, large] = comparison.names();
            Some(Judged {
                key: "payments",
                title: format!("payments/s with {large} stored ÷ with {small}"),
                figure: comparison.per_s()?.ratio?,
                bound: 0.8,
                aim: 0.95,
                is_at_most: false,
            })
        });
        let memory = self.memory.iter().filter_map(|memory| {
            let most = memory.in_flight.len().checked_sub(1)?;
            Some(Judged {
                key: "memory_mib",
                title: format!("memory of the three services at {} in flight, MiB", memory.in_flight[most]),
                figure: memory.mib(most, None)?,
                bound: 400.0,
                aim: 150.0,
                is_at_most: true,
            })
        });
        rate.chain(memory).collect()
    }

    /// What programs that are not measured took of the machine's CPU time, in percent, over all.
    pub fn strangers_percent(&self) -> Option<Figure> {
        let compared = self.comparisons.iter().flat_map(|comparison| comparison.samples.iter().flatten());
        let remembered = self.memory.iter().flat_map(|memory| memory.rounds.iter().flatten());
        let all = compared.chain(remembered.map(|(sample, _)| sample));
        Figure::of(all.map(|sample| sample.strangers_percent))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use harness::{figure::Figure, machine::Machine, sample::Sample};

    use super::{Comparison, Memory, Results, Stored};
    use crate::size::{Size, Trial};

    /// Two rounds, in the second of which the large side is half as fast as the small one.
    pub(crate) fn two_rounds() -> Results {
        let sample = |per_s: f64, wal_bytes: f64| Sample {
            per_s,
            latency_ms: Some((1_000.0 / per_s, 4_000.0 / per_s)),
            wal_bytes: Some(wal_bytes),
            wal_full_pages: Some(0.0),
            cpu_us: vec![("load", 20.0), ("postgres", wal_bytes / 10.0)],
            memory_mib: vec![("gateway", 10.0), ("platform", 20.0), ("channel", 30.0)],
            strangers_percent: 8.0,
            ..Sample::default()
        };
        let small = Size { payments: 10_000, accounts: 1_000, banks: 3, is_archived: false };
        let comparison = Comparison {
            trial: Trial::Payments,
            sizes: [small, Size { payments: 10_000_000, ..small }],
            stored: [1, 400]
                .map(|seconds| Stored { took: Duration::from_secs(seconds), database_bytes: 1 << 30 }),
            samples: [
                vec![sample(4_000.0, 2_000.0), sample(1_000.0, 2_000.0)],
                vec![sample(4_000.0, 8_000.0), sample(500.0, 3_000.0)],
            ],
        };
        let refused = Sample { others: "7 OVERLOADED".to_owned(), ..sample(3_000.0, 2_000.0) };
        let round = vec![(sample(100.0, 2_000.0), [10.0, 20.0, 30.0]), (refused, [100.0, 200.0, 150.0])];
        let memory = Memory { in_flight: vec![1, 4_096], rounds: vec![round.clone(), round] };
        Results { comparisons: vec![comparison], memory: Some(memory), machine: Machine::default() }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let results = two_rounds();
        let rows = results.comparisons[0].rows();
        let row = |key: &str| rows.iter().find(|row| row.key == key).unwrap();
        assert_eq!(row("payments_per_s").ratio, Some(Figure { median: 0.75, min: 0.5, max: 1.0 }));
        assert_eq!(row("wal_bytes_per_payment").ratio, Some(Figure { median: 2.75, min: 1.5, max: 4.0 }));
        assert_eq!(row("wal_full_pages_per_payment").ratio, None);
        assert_eq!(row("cpu_us_per_payment").figures[1].max, 820.0);
        assert_eq!(row("cpu_us_per_payment_postgres").ratio.unwrap().max, 4.0);
        assert_eq!(row("memory_mib_channel").figures[0].median, 30.0);
        assert_eq!(results.comparisons[0].names(), ["10,000 payments", "10,000,000 payments"]);
    }

    #[test]
    fn what_misses_its_bound_is_said() {
        let judged = two_rounds().judged();
        let met: Vec<_> = judged.iter().map(|judged| (judged.key, judged.is_met())).collect();
        assert_eq!(met, [("payments", false), ("memory_mib", false)]);
        assert_eq!(judged[1].figure.median, 450.0);
        let mut good = two_rounds();
        good.comparisons[0].samples[1][1].per_s = 700.0;
        good.memory.as_mut().unwrap().rounds.iter_mut().for_each(|round| round[1].1[0] = 50.0);
        assert!(good.judged().iter().all(harness::figure::Judged::is_met));
        assert!(Results::default().judged().is_empty());
    }

    #[test]
    fn refusals_are_counted_where_they_happened() {
        let results = two_rounds();
        let memory = results.memory.unwrap();
        assert_eq!(memory.others(), [(4_096, "7 OVERLOADED"); 2]);
        assert_eq!(memory.mib(0, Some(1)).unwrap().median, 20.0);
        assert_eq!(memory.per_s(1).unwrap().median, 3_000.0);
    }
}
