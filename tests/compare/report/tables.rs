//! For people, on the screen and as Markdown.

use std::fmt::Write;

use comfy_table::{
    CellAlignment, Table,
    presets::{ASCII_MARKDOWN, UTF8_BORDERS_ONLY},
};

use harness::figure::{Figure, number};

use crate::{
    contender::{Contender, Pressure},
    results::Results,
    rounds::RATE_PER_S,
    settings::Settings,
};

/// A machine on which other programs take no more is quiet.
const QUIET_PERCENT: f64 = 5.0;
/// What stands where nothing was measured.
const NOTHING: &str = "—";

/// The tables for the screen.
pub fn for_people(results: &Results, settings: &Settings) -> String {
    let mut text = String::new();
    for (title, mut table) in tables(results) {
        table.load_style(UTF8_BORDERS_ONLY);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{title}\n{table}");
    }
    let _ = writeln!(text, "\n{}", settings.lines().join("\n"));
    for line in odd(results) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The same as Markdown.
pub fn markdown(results: &Results, settings: &Settings) -> String {
    let mut text = String::new();
    for (title, mut table) in tables(results) {
        table.load_style(ASCII_MARKDOWN);
        let _ = writeln!(text, "**{title}**\n\n{table}\n");
    }
    for line in settings.lines().into_iter().chain(odd(results)) {
        let _ = writeln!(text, "- {line}");
    }
    text
}

/// Whether the machine had something else to do, and a line for each round in which not everything succeeded.
fn odd(results: &Results) -> Vec<String> {
    let strangers = results.strangers_percent().map(|percent| {
        let warning = if percent.median > QUIET_PERCENT {
            ": not a quiet machine, do not judge by these figures"
        } else {
            ""
        };
        format!("other programs took {percent} % of the CPU time{warning}")
    });
    let others = results.others().into_iter();
    let others = others.map(|(phase, what)| format!("{phase}: in one round there were also {what}"));
    strangers.into_iter().chain(others).collect()
}

fn tables(results: &Results) -> Vec<(String, Table)> {
    let n = results.of_record();
    vec![
        (format!("Ratios, {n} in flight: median (least–most), rounds: {}", results.rounds), ratios(results)),
        ("Payments, calls or transactions a second".to_owned(), rates(results)),
        (format!("CPU time per payment, call or transaction, in µs, {n} in flight: medians"), cpu(results)),
        ("Latency, PostgreSQL's log and memory".to_owned(), others(results)),
    ]
}

fn table(header: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.set_header(header.into_iter().collect::<Vec<_>>());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn shown(figure: Option<Figure>) -> String {
    figure.map_or_else(|| NOTHING.to_owned(), |figure| figure.to_string())
}

fn median(figure: Option<Figure>) -> String {
    figure.map_or_else(|| NOTHING.to_owned(), |figure| number(figure.median))
}

fn ratios(results: &Results) -> Table {
    let mut table = table(["", "measured", "required", "aim", ""].map(str::to_owned));
    for judged in results.ratios().into_iter().chain(results.wal()) {
        table.add_row(judged.cells());
    }
    table
}

fn rates(results: &Results) -> Table {
    let mut numbers = results.in_flight.clone();
    numbers.sort_unstable();
    let mut table = Table::new();
    let titles = numbers.iter().map(|calls| format!("{calls} in flight"));
    table.set_header(std::iter::once(String::new()).chain(titles));
    for contender in Contender::ALL {
        let figures = numbers.iter().map(|&calls| shown(results.per_s(contender, calls)));
        table.add_row(std::iter::once(contender.title().to_owned()).chain(figures));
    }
    for to in [Contender::EchoChain, Contender::Naive] {
        let figures = numbers.iter().map(|&calls| shown(results.rate_ratio(to, calls)));
        table.add_row(std::iter::once(format!("Rialto ÷ {}", to.title())).chain(figures));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn table_by_contender() -> Table {
    let titles = Contender::ALL.map(|contender| contender.short_title().to_owned());
    table(std::iter::once(String::new()).chain(titles))
}

fn cpu(results: &Results) -> Table {
    let mut table = table_by_contender();
    let all = Contender::ALL.map(|contender| results.cpu_us(contender));
    for process in ["load", "gateway", "platform", "channel", "bank", "postgres"] {
        let figures = all.iter().map(|figures| {
            median(figures.iter().find(|(name, _)| *name == process).map(|(_, figure)| *figure))
        });
        table.add_row(std::iter::once(process.to_owned()).chain(figures));
    }
    let sums = Contender::ALL.map(|contender| median(results.cpu_us_in_all(contender)));
    table.add_row(std::iter::once("in all".to_owned()).chain(sums));
    table
}

fn others(results: &Results) -> Table {
    let mut table = table_by_contender();
    let n = results.of_record();
    let pressure = Pressure::InFlight(n);
    let mut add = |title: String, of: &dyn Fn(Contender) -> Option<Figure>| {
        table.add_row(std::iter::once(title).chain(Contender::ALL.map(|contender| shown(of(contender)))));
    };
    add(format!("p50, {n} in flight, ms"), &|contender| {
        results.figure(contender, pressure, |sample| sample.latency_ms.map(|(p50_ms, _)| p50_ms))
    });
    add(format!("p99, {n} in flight, ms"), &|contender| {
        results.figure(contender, pressure, |sample| sample.latency_ms.map(|(_, p99_ms)| p99_ms))
    });
    add(format!("p99 at {RATE_PER_S}/s, ms"), &|contender| results.p99_ms(contender));
    add("bytes of PostgreSQL's log per payment".to_owned(), &|contender| {
        results.figure(contender, pressure, |sample| sample.wal_bytes)
    });
    let most = results.most();
    for (process, figure) in results.memory_mib() {
        let of = |contender| (contender == Contender::Rialto).then_some(figure);
        add(format!("memory of {process} after {most} in flight, MiB"), &of);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{for_people, markdown};
    use crate::{results::tests::two_rounds, settings::tests::some};

    #[test]
    fn people_see_the_figure_the_bound_and_the_verdict() {
        let text = for_people(&two_rounds(), &some());
        let line = |start: &str| text.lines().find(|line| line.contains(start)).unwrap();
        for part in ["5.00 (5.00–5.00)", "≥ 5.00", "≥ 12.0", " met"] {
            assert!(line("÷ the naive design's").contains(part), "{part}: {text}");
        }
        assert!(line("p99 at 1000/s ÷").contains("MISSED"), "{text}");
        assert!(line("hot merchant ÷").contains("aim met"), "{text}");
        assert!(line("memory of channel after 1024").contains("15.0 (10.0–20.0)"), "{text}");
        assert!(text.contains("no pgbench"), "{text}");
        assert!(
            text.contains("other programs took 20.0 (20.0–20.0) % of the CPU time: not a quiet"),
            "{text}"
        );
    }

    #[test]
    fn markdown_is_made_of_tables() {
        let text = markdown(&two_rounds(), &some());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 20 && rows.iter().all(|row| row.ends_with('|')), "{text}");
        assert!(text.contains("**Payments, calls or transactions a second**\n\n|"), "{text}");
    }
}
