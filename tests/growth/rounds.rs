//! The rounds: both sides in turn, so that whatever slows the machine for a while slows both.

use std::time::Duration;

use harness::{
    BenchError,
    machine::Machine,
    sample::{Sample, mib},
};
use indicatif::ProgressBar;

use crate::{
    results::{Comparison, Memory, Results, Stored},
    side::Side,
    size::{Size, Trial},
};

/// Connections to the gateway; more for those numbers in flight that would not fit.
const CONNECTIONS: usize = 8;
/// Calls that a connection carries at once, well within what the gateway lets it.
const CALLS_ON_A_CONNECTION: usize = 128;

/// How long everything takes.
#[derive(Clone, Debug)]
pub struct Pace {
    /// How often each side is measured.
    pub rounds: usize,
    /// How long.
    pub lasts: Duration,
    /// With how many payments in flight.
    pub in_flight: usize,
}

/// Measures a small ledger and a large one, checks the books of both, and clears them away.
///
/// # Errors
/// When the bench itself fails, or the books do not add up.
pub async fn compare(
    trial: Trial,
    sizes: [Size; 2],
    pace: &Pace,
    bar: &ProgressBar,
    results: &mut Results,
) -> Result<(), BenchError> {
    let connections = connections(pace.in_flight);
    let mut sides =
        [Side::set(sizes[0], connections, bar).await?, Side::set(sizes[1], connections, bar).await?];
    results.machine = Machine::read(&sides[0].ledger).await?;
    let stored =
        sides.each_ref().map(|side| Stored { took: side.storing_took, database_bytes: side.database_bytes });
    bar.reset();
    bar.set_length(u64::try_from(2 * pace.rounds)?);
    let mut samples: [Vec<Sample>; 2] = [Vec::new(), Vec::new()];
    for round in 0..pace.rounds {
        // Whoever came first has to come last: nobody always runs in the other's wake.
        for place in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            bar.set_message(format!("{}, {} in flight", sizes[place], pace.in_flight));
            samples[place].push(sides[place].measure(pace.in_flight, pace.lasts).await?);
            bar.inc(1);
        }
    }
    for (side, size) in sides.into_iter().zip(sizes) {
        bar.set_message(format!("checking the books of {size}"));
        side.close().await.map_err(|error| format!("{size}: {error}"))?;
    }
    results.comparisons.push(Comparison { trial, sizes, stored, samples });
    Ok(())
}

/// Measures the memory of the services, new in each round, with ever more in flight.
///
/// # Errors
/// When the bench itself fails, or the books do not add up.
pub async fn memory(
    size: Size,
    in_flight: &[usize],
    pace: &Pace,
    bar: &ProgressBar,
    results: &mut Results,
) -> Result<(), BenchError> {
    let mut in_flight = in_flight.to_owned();
    // What was used stays in use: only what grows can be told apart.
    in_flight.sort_unstable();
    let connections = connections(in_flight.last().copied().unwrap_or_default());
    let mut memory = Memory { in_flight: in_flight.clone(), rounds: Vec::new() };
    for _ in 0..pace.rounds {
        let mut side = Side::set(size, connections, bar).await?;
        results.machine = Machine::read(&side.ledger).await?;
        let mut round = Vec::new();
        bar.reset();
        bar.set_length(u64::try_from(in_flight.len())?);
        for &calls in &in_flight {
            bar.set_message(format!("memory, {calls} in flight"));
            let sample = side.measure(calls, pace.lasts).await?;
            round.push((sample, side.peak_memory_kib()?.map(mib)));
            bar.inc(1);
        }
        memory.rounds.push(round);
        bar.set_message("checking the books");
        side.close().await?;
    }
    results.memory = Some(memory);
    Ok(())
}

fn connections(in_flight: usize) -> usize {
    CONNECTIONS.max(in_flight.div_ceil(CALLS_ON_A_CONNECTION))
}
