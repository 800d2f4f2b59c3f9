//! One bank is sick: the payments of the others must hardly feel it.

use std::time::Duration;

use harness::{
    BenchError,
    load::{Load, Measured, together},
    system::BANKS,
};
use serde_json::{Value, json};

use crate::{
    beside::Beside,
    figure::{Bound, Figure, median},
    say,
    stage::{Stage, plan},
};

/// The bank that falls ill, by its number in [`BANKS`].
const SICK: usize = 0;
/// How much of what the system can carry is asked of it.
const SHARE: f64 = 0.5;
const IN_FLIGHT: usize = 128;
/// Places at each bank: fewer than what a sick one would take before it is known to be sick.
const MAX_IN_FLIGHT: u32 = 128;
const PEAK_LASTS: Duration = Duration::from_secs(6);
const LASTS: Duration = Duration::from_secs(8);
/// What was begun with the sick bank is over by then.
const REST: Duration = Duration::from_secs(4);

/// Ways to be sick: the name, and the bank's script.
fn illnesses() -> [(&'static str, Value); 4] {
    [
        ("dead", json!([{"on": "any", "behaviour": "down"}])),
        ("silent", json!([{"on": "any", "behaviour": "hang"}])),
        ("slow", json!([{"on": "payment", "behaviour": {"delay": {"ms": 1_500}}}])),
        (
            "erratic",
            json!([
                {"on": "any", "share": 5, "behaviour": {"http_error": {"status": 500}}},
                {"on": "any", "behaviour": {"delay": {"ms": 100}}}
            ]),
        ),
    ]
}

/// Measures so many rounds of each illness whose name contains `only`.
///
/// # Errors
/// When the bench itself fails, or the books do not add up afterwards.
pub async fn run(only: &str, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let mut figures = Vec::new();
    for (illness, script) in illnesses().into_iter().filter(|(name, _)| name.contains(only)) {
        figures.extend(beside(illness, &script, rounds).await?);
    }
    Ok(figures)
}

async fn beside(illness: &str, script: &Value, rounds: usize) -> Result<[Figure; 3], BenchError> {
    let stage = Stage::set("isolation", plan(), |setup| setup.max_in_flight = MAX_IN_FLIGHT).await?;
    stage.load.closed(IN_FLIGHT, PEAK_LASTS).await;
    let per_s = stage.load.closed(IN_FLIGHT, PEAK_LASTS).await.goodput_per_s() * SHARE;
    let mut measured = Vec::new();
    for number in 1..=rounds {
        let round = round(&stage, per_s, script).await?;
        say(&format!("isolation, bank {illness}, round {number} of {rounds}: {}", round.for_people()));
        measured.push(round);
    }
    stage.close().await?;
    let of = |figure: fn(&Beside) -> f64| median(measured.iter().map(figure));
    Ok([
        Figure::told(
            format!("isolation, a bank that is {illness}: payments/s asked for, to three banks"),
            per_s,
        ),
        Figure::judged(
            format!("isolation, a bank that is {illness}: goodput of the others, %"),
            of(Beside::goodput_percent),
            Bound::AtLeast(99.0),
        ),
        Figure::judged(
            format!("isolation, a bank that is {illness}: p99 of the others ÷ without"),
            of(Beside::p99_ratio),
            Bound::AtMost(1.2),
        )
        .remarked(format!("{:.0} ms without", of(|round| round.without.latency_ms(99.0)))),
    ])
}

async fn round(stage: &Stage, per_s: f64, script: &Value) -> Result<Beside, BenchError> {
    let sick_bank = BANKS[SICK].id;
    let without = of_the_others(&stage.load, per_s).await;
    stage.script(sick_bank, script).await?;
    let during = of_the_others(&stage.load, per_s).await;
    stage.script(sick_bank, &json!([])).await?;
    tokio::time::sleep(REST).await;
    Ok(Beside { without, during })
}

async fn of_the_others(load: &Load, per_s: f64) -> Measured {
    let mut by_bank = load.open_loop_by_bank(per_s, LASTS).await;
    by_bank.remove(SICK);
    together(&by_bank)
}
