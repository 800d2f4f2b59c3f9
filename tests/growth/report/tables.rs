//! For people, on the screen and as Markdown.

use std::fmt::Write;

use comfy_table::{
    CellAlignment, Table,
    presets::{ASCII_MARKDOWN, UTF8_BORDERS_ONLY},
};
use harness::figure::{Figure, number};

use crate::{
    results::{Comparison, Memory, Results},
    rounds::Pace,
    side::SERVICES,
};

/// A machine on which other programs take no more is quiet.
const QUIET_PERCENT: f64 = 5.0;
/// What stands where there is no figure.
const NOTHING: &str = "—";
const BYTES_OF_A_GIB: f64 = 1_073_741_824.0;

/// The tables for the screen.
pub fn for_people(results: &Results, pace: &Pace) -> String {
    let mut text = String::new();
    for (title, mut table) in tables(results, pace) {
        table.load_style(UTF8_BORDERS_ONLY);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{title}\n{table}");
    }
    let _ = writeln!(text, "\n{}", lines(results, pace).join("\n"));
    text
}

/// The same as Markdown.
pub fn markdown(results: &Results, pace: &Pace) -> String {
    let mut text = String::new();
    for (title, mut table) in tables(results, pace) {
        table.load_style(ASCII_MARKDOWN);
        let _ = writeln!(text, "**{title}**\n\n{table}\n");
    }
    for line in lines(results, pace) {
        let _ = writeln!(text, "- {line}");
    }
    text
}

/// Where and how it was measured, and what else is to be known.
fn lines(results: &Results, pace: &Pace) -> Vec<String> {
    let Pace { rounds, lasts, in_flight } = pace;
    let mut lines = results.machine.lines();
    lines.push(format!(
        "{rounds} rounds of {} s each, {in_flight} in flight; everyone shares the cores, the load included",
        lasts.as_secs()
    ));
    for comparison in &results.comparisons {
        for (stored, size) in comparison.stored.iter().zip(comparison.sizes) {
            let gib = gib(stored.database_bytes);
            let took_s = stored.took.as_secs();
            lines.push(format!("{size}: {} GiB, stored in {took_s} s", number(gib)));
        }
        for (samples, name) in comparison.samples.iter().zip(comparison.names()) {
            let others = samples.iter().filter(|sample| !sample.others.is_empty());
            lines.extend(
                others.map(|sample| format!("{name}: in one round there were also {}", sample.others)),
            );
        }
    }
    for (in_flight, what) in results.memory.iter().flat_map(Memory::others) {
        lines.push(format!("{in_flight} in flight: in one round there were also {what}"));
    }
    lines.extend(results.strangers_percent().map(|percent| {
        let warning = if percent.median > QUIET_PERCENT {
            ": not a quiet machine, do not judge by these figures"
        } else {
            ""
        };
        format!("other programs took {percent} % of the CPU time{warning}")
    }));
    lines
}

fn gib(bytes: i64) -> f64 {
    bytes as f64 / BYTES_OF_A_GIB
}

fn tables(results: &Results, pace: &Pace) -> Vec<(String, Table)> {
    let mut tables = Vec::new();
    if !results.judged().is_empty() {
        tables.push(("What is required: median (least–most)".to_owned(), judged(results)));
    }
    for comparison in &results.comparisons {
        let [small, large] = comparison.names();
        let title = format!("{large} against {small}, {} in flight", pace.in_flight);
        tables.push((title, compared(comparison)));
    }
    let memory = results.memory.iter();
    tables.extend(memory.map(|memory| ("The most memory in use, MiB".to_owned(), remembered(memory))));
    tables
}

fn table(header: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.set_header(header.into_iter().collect::<Vec<_>>());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn judged(results: &Results) -> Table {
    let mut table = table(["", "measured", "required", "aim", ""].map(str::to_owned));
    for judged in results.judged() {
        table.add_row(judged.cells());
    }
    table
}

fn compared(comparison: &Comparison) -> Table {
    let [small, large] = comparison.names();
    let mut table = table([String::new(), small, large, "large ÷ small".to_owned()]);
    for row in comparison.rows() {
        let [small, large] = row.figures.map(|figure| figure.to_string());
        table.add_row([row.title, small, large, shown(row.ratio)]);
    }
    table
}

fn shown(figure: Option<Figure>) -> String {
    figure.map_or_else(|| NOTHING.to_owned(), |figure| figure.to_string())
}

fn remembered(memory: &Memory) -> Table {
    let titles = memory.in_flight.iter().map(|calls| format!("{calls} in flight"));
    let mut table = table(std::iter::once(String::new()).chain(titles));
    let mut add = |title: &str, of: &dyn Fn(usize) -> Option<Figure>| {
        let figures = (0..memory.in_flight.len()).map(|place| shown(of(place)));
        table.add_row(std::iter::once(title.to_owned()).chain(figures));
    };
    for (at, service) in SERVICES.into_iter().enumerate() {
        add(service.name(), &|place| memory.mib(place, Some(at)));
    }
    add("in all", &|place| memory.mib(place, None));
    add("payments/s meanwhile", &|place| memory.per_s(place));
    table
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{for_people, markdown};
    use crate::{results::tests::two_rounds, rounds::Pace};

    fn pace() -> Pace {
        Pace { rounds: 2, lasts: Duration::from_secs(5), in_flight: 256 }
    }

    #[test]
    fn people_see_both_sides_the_ratio_and_the_verdict() {
        let text = for_people(&two_rounds(), &pace());
        let line = |start: &str| text.lines().find(|line| line.contains(start)).unwrap();
        for part in ["0.75 (0.50–1.00)", "≥ 0.80", "≥ 0.95", "MISSED"] {
            assert!(line("payments/s with 10,000,000").contains(part), "{part}: {text}");
        }
        assert!(line("bytes of PostgreSQL's log").contains("2.75 (1.50–4.00)"), "{text}");
        assert!(line("in all").contains("450 (450–450)"), "{text}");
        assert!(text.contains("1.00 GiB, stored in 400 s"), "{text}");
        assert!(text.contains("4096 in flight: in one round there were also 7 OVERLOADED"), "{text}");
        assert!(text.contains("8.00 (8.00–8.00) % of the CPU time: not a quiet"), "{text}");
    }

    #[test]
    fn markdown_is_made_of_tables() {
        let text = markdown(&two_rounds(), &pace());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 20 && rows.iter().all(|row| row.ends_with('|')), "{text}");
    }
}
