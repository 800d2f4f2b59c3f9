//! One cycle: load, faults in it, heal, quiescence, judgement.

use std::{path::Path, time::Duration};

use harness::{BenchError, system::PARTICIPANTS};
use tokio::time::Instant;

use crate::{
    bench::{Bench, BenchSetup, Part},
    cells::Cell,
    check::{Checker, Harm, Violation, snapshots::Snapshots},
    load::Load,
    plan::{LOAD, Plan},
    strike,
    watcher::Watcher,
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
    /// How many payments of each kind came to which state so far, and how many alarms there were.
    pub census: Vec<(String, i64)>,
    /// From the end of the last fault to quiescence.
    pub quiet_after: Duration,
    /// Where nothing else happened: who died, and how long from then to quiescence.
    pub lone_death: Option<(Part, Duration)>,
}

/// Where cycles are run, and by whom they are judged.
#[derive(Debug)]
pub struct Stage {
    /// The system under torment.
    pub bench: Bench,
    /// The checker.
    pub checker: Checker,
    /// The snapshots of all balances.
    pub snapshots: Snapshots,
    watcher: Watcher,
}

impl Stage {
    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not come up.
    pub async fn set(setup: BenchSetup) -> Result<Self, BenchError> {
        let folder = setup.folder.clone();
        let bench = Bench::start(setup).await?;
        let checker = Checker::new(folder, bench.database(), bench.data_key());
        let snapshots = Snapshots::begin(bench.database());
        let watcher = Watcher::begin(bench.world.watcher(), bench.database(), PARTICIPANTS[0]);
        Ok(Self { bench, checker, snapshots, watcher })
    }

    /// Runs one cycle with the plan's faults.
    ///
    /// # Errors
    /// When the bench itself fails.
    pub async fn run(&mut self, plan: &Plan, seed: u64, cycle: u64) -> Result<Judged, BenchError> {
        self.bench.outages.measure(plan.measures());
        let load = Load::begin(&self.bench.world, seed, cycle);
        let (hit, ()) = tokio::try_join!(strike::carry_out(&self.bench, plan), working())?;
        let mut judged = self.judge(load, hit).await?;
        let from_death = |from| LOAD.saturating_sub(from) + judged.quiet_after;
        judged.lone_death = plan.lone_death().map(|(part, from)| (part, from_death(from)));
        Ok(judged)
    }

    /// Ends the load after the last fault, waits for quiescence, and judges.
    ///
    /// # Errors
    /// When the bench itself fails.
    pub async fn judge(&mut self, load: Load, hit: Vec<Cell>) -> Result<Judged, BenchError> {
        let healed = Instant::now();
        let world = &self.bench.world;
        let healed_at = world.journal.now();
        load.end().await?;
        let ends = &world.open_ends;
        while healed.elapsed() < STUCK_AFTER && (ends.count() > 0 || !self.bench.is_quiet().await) {
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
        world.journal.flush().await?;
        judged.violations.extend(self.checker.judge(&self.bench.pids()).await?);
        judged.violations.extend(self.watcher.judge().await?);
        judged.census = self.checker.census().to_vec();
        judged.violations.extend(self.snapshots.take().1);
        Ok(judged)
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        self.bench.folder()
    }
}

/// Completes when the callers have worked long enough.
pub async fn working() -> Result<(), BenchError> {
    tokio::time::sleep(LOAD).await;
    Ok(())
}
