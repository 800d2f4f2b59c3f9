//! What a service's `/metrics` say (Prometheus text format 0.0.4).

use std::collections::{BTreeMap, BTreeSet};

use crate::BenchError;

/// What was scraped.
#[derive(Debug, Default)]
pub struct Scrape {
    /// The type of each family.
    pub types: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    /// Reads the text.
    ///
    /// # Errors
    /// When a line is not what it should be.
    pub fn read(text: &str) -> Result<Self, BenchError> {
        let mut scrape = Self::default();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').ok_or(line)?;
                scrape.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').ok_or(line)?;
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.strip_suffix('}').ok_or(line)?;
                let labels = labels.split_terminator("\",").map(|label| {
                    let (name, value) = label.split_once("=\"")?;
                    Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
                });
                let labels: Option<_> = labels.collect();
                let (name, labels) = (name.to_owned(), labels.ok_or(line)?);
                scrape.samples.push(Sample { name, labels, value: value.parse()? });
            }
        }
        Ok(scrape)
    }

    /// The sum of the samples of this name that have these labels; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(name, value)| sample.labels.get(*name).is_some_and(|own| own == value))
        };
        self.samples.iter().filter(has).map(|sample| sample.value).sum()
    }

    /// The names of the labels that samples of a family have; without the bounds of buckets.
    pub fn labels(&self, family: &str) -> BTreeSet<&str> {
        let of_family = |sample: &&Sample| {
            sample
                .name
                .strip_prefix(family)
                .is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        };
        let samples = self.samples.iter().filter(of_family);
        samples
            .flat_map(|sample| sample.labels.keys().map(String::as_str))
            .filter(|name| *name != "le")
            .collect()
    }
}

/// The metrics of `docs/telemetry.md`, by the names that Prometheus gives them: types and labels.
///
/// # Errors
/// When a row of its table can't be read.
pub fn documented() -> Result<BTreeMap<String, (String, Vec<String>)>, BenchError> {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/telemetry.md");
    let text = std::fs::read_to_string(document)?;
    let metrics = text.split("## Traces").next().unwrap_or_default();
    let rows = metrics.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut told = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [name, kind, labels, ..] = cells[..] else { return Err(row.into()) };
        let (kind, unit) = kind.split_once(", ").unwrap_or((kind, ""));
        let unit = if unit == "s" { "_seconds" } else { "" };
        let total = if kind == "counter" { "_total" } else { "" };
        let under = |name: &str| name.replace('.', "_");
        let mut labels: Vec<String> = labels.split('`').skip(1).step_by(2).map(under).collect();
        labels.sort();
        told.insert(format!("{}{unit}{total}", under(name.trim_end_matches('`'))), (kind.to_owned(), labels));
    }
    Ok(told)
}
