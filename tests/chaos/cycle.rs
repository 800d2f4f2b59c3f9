//! One cycle: load, faults in it, heal, quiescence, judgement.

use std::time::Duration;

use harness::BenchError;
use tokio::time::Instant;

use crate::{
    bench::Bench,
    cells::Cell,
    check::{Checker, Harm, Violation, snapshots::Snapshots},
    load::Load,
    plan::{LOAD, Plan},
    strike,
};

/// How long after the last fault every payment must have come to its end.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How often to look whether all is quiet.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a cycle came to.
#[derive(Debug, Default)]
pub struct Judged {
    /// The cells that were hit.
    pub hit: Vec<Cell>,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// How long each payment took from the first intent to the first sight of its end.
    pub certain_after: Vec<Duration>,
    /// Payments whose end was not seen in time.
    pub open: usize,
    /// From the end of the last fault to quiescence.
    pub quiet_after: Duration,
}

/// Runs one cycle.
///
/// # Errors
/// When the bench itself fails.
pub async fn run(
    bench: &Bench,
    checker: &mut Checker,
    snapshots: &Snapshots,
    plan: &Plan,
    seed: u64,
    cycle: u64,
) -> Result<Judged, BenchError> {
    bench.outages.measure(plan.measures());
    let load = Load::begin(&bench.world, seed, cycle);
    let (hit, ()) = tokio::try_join!(strike::carry_out(bench, plan), async {
        tokio::time::sleep(LOAD).await;
        Ok(())
    })?;
    let healed = Instant::now();
    let healed_at = bench.world.journal.now();
    load.end().await?;
    let ends = &bench.world.open_ends;
    while ends.count() > 0 && healed.elapsed() < STUCK_AFTER {
        tokio::time::sleep(LOOK_EVERY).await;
        ends.forget_those_that_came_to_nothing(healed_at);
    }
    let mut judged = Judged { hit, quiet_after: healed.elapsed(), ..Judged::default() };
    judged.open = ends.count();
    judged.violations.extend(ends.names().into_iter().map(|request_id| Violation {
        invariant: "I6",
        harm: Harm::Stuck,
        request_id,
        found: format!("what came of it cannot be read {STUCK_AFTER:?} after the last fault"),
    }));
    ends.clear();
    judged.certain_after = ends.take_certain_after();
    bench.world.journal.flush().await?;
    judged.violations.extend(checker.judge(&bench.pids()).await?);
    judged.violations.extend(snapshots.take().1);
    Ok(judged)
}
