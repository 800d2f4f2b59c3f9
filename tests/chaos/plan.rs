//! What a cycle's faults are: drawn from the seed, and from nothing else.

use std::time::Duration;

use harness::{
    detour::Link,
    system::{BANKS, Service},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{
    bench::Part,
    cells::{CRASH_POINTS, Cell, ProcessFault, StepFault},
};

/// How long callers are at work in a cycle.
pub const LOAD: Duration = Duration::from_millis(LOAD_MS);
const LOAD_MS: u64 = 1_600;
/// Longer than a lease at the bench's banks: 400 ms for the answer, and 4 s of the platform's.
pub const OUTLASTS_LEASES_MS: u64 = 4_700;
/// Faults in a cycle.
const STRIKES: usize = 3;
/// Each so-manieth cycle has one death only, so that it can be measured how fast the system is back.
const LONE_DEATH_EVERY: u64 = 10;
/// Who dies so, in turn.
pub const LONE_DEATHS: [Part; 4] = [
    Part::Service(Service::Platform),
    Part::Database,
    Part::Service(Service::Gateway),
    Part::Service(Service::Channel),
];

/// One fault of a cycle.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// Which.
    pub cell: Cell,
    /// When it begins.
    pub from: Duration,
    /// When it ends.
    pub until: Duration,
    /// Which bank it is about, by its number in [`BANKS`].
    pub bank: usize,
    /// After how many bytes or passes it happens.
    pub count: u64,
}

/// The faults of one cycle.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of their beginning.
    pub strikes: Vec<Strike>,
}

impl Plan {
    /// Draws the plan of a cycle. All cells are dealt like a deck of cards, which is shuffled anew when it is used up.
    pub fn draw(seed: u64, cycle: u64, cells: &[Cell]) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ cycle.wrapping_mul(0xD134_2543_DE82_EF95));
        let lone_deaths = (cycle + 1) / LONE_DEATH_EVERY;
        if (cycle + 1).is_multiple_of(LONE_DEATH_EVERY) {
            let turn = usize::try_from(lone_deaths - 1).unwrap_or_default() % LONE_DEATHS.len();
            let cell = Cell::Process(ProcessFault::Kill, LONE_DEATHS[turn]);
            if cells.contains(&cell) {
                return Self { strikes: vec![strike(cell, &mut random)] };
            }
        }
        let size = u64::try_from(cells.len().max(1)).unwrap_or(u64::MAX);
        let hand = u64::try_from(STRIKES).unwrap_or(1);
        let first = (cycle - lone_deaths) * hand;
        let dealt = (first..first + hand).filter_map(|card| {
            let mut deck = cells.to_vec();
            deck.shuffle(&mut StdRng::seed_from_u64(seed.wrapping_add(card / size)));
            usize::try_from(card % size).ok().and_then(|place| deck.get(place).copied())
        });
        let mut strikes: Vec<Strike> = dealt.map(|cell| strike(cell, &mut random)).collect();
        strikes.sort_by_key(|strike| strike.from);
        Self { strikes }
    }

    /// A cycle in which nothing happens but that one part dies.
    pub fn of_lone_death(seed: u64, cycle: u64, part: Part) -> Self {
        let cell = Cell::Process(ProcessFault::Kill, part);
        Self { strikes: vec![strike(cell, &mut StdRng::seed_from_u64(seed ^ cycle))] }
    }

    /// The one that dies, if nothing else happens.
    pub fn lone_death(&self) -> Option<(Part, Duration)> {
        match self.strikes.as_slice() {
            [Strike { cell: Cell::Process(ProcessFault::Kill, part), from, .. }] => Some((*part, *from)),
            _ => None,
        }
    }

    /// Whether a part that dies can come back as fast as it would alone: it is the only one, and what it needs is there.
    pub fn measures(&self) -> bool {
        use ProcessFault::{OutsleepLeases, StandStill};
        let dies = |cell: &Cell| match cell {
            Cell::Process(fault, _) => !matches!(fault, StandStill | OutsleepLeases),
            Cell::CrashPoint(fault, _) => *fault == StepFault::Dies,
            _ => false,
        };
        let cells = || self.strikes.iter().map(|strike| strike.cell);
        let mut deaths = cells().filter(dies);
        let (Some(death), None) = (deaths.next(), deaths.next()) else { return false };
        let is_databases = |cell: &Cell| match cell {
            Cell::EverythingDies | Cell::Commit(_) | Cell::Process(_, Part::Database) => true,
            Cell::Link(_, link) => *link == Link::PlatformToDatabase,
            _ => false,
        };
        match death {
            // A good payment needs every part.
            Cell::Process(_, Part::Database) => {
                cells().all(|cell| dies(&cell) || matches!(cell, Cell::Bank(_)))
            }
            _ => !cells().any(|cell| is_databases(&cell)),
        }
    }
}

fn strike(cell: Cell, random: &mut StdRng) -> Strike {
    let is_awaited = match cell {
        Cell::CrashPoint(_, point) => CRASH_POINTS.get(point).is_some_and(|point| !point.is_busy()),
        _ => false,
    };
    let from = random.random_range(if is_awaited { 80..200 } else { 80..1_000 });
    let length = match cell {
        Cell::CrashPoint(..) if is_awaited => 1_600,
        // Longer than the channel waits for an answer, in half of the cases.
        Cell::Link(..) => random.random_range(40..900),
        // Until somebody has passed, and then for a while.
        Cell::CrashPoint(..) => random.random_range(400..1_000),
        Cell::Process(ProcessFault::StandStill, Part::Service(Service::Platform)) => {
            random.random_range(100..1_500)
        }
        Cell::Process(ProcessFault::OutsleepLeases, _) => OUTLASTS_LEASES_MS,
        Cell::Bank(_) => 1_600,
        _ => random.random_range(100..900),
    };
    let until = match cell {
        Cell::Process(ProcessFault::OutsleepLeases, _) => from + length,
        _ => (from + length).min(LOAD_MS + 200),
    };
    let until = Duration::from_millis(until);
    let bank = random.random_range(0..BANKS.len());
    Strike { cell, from: Duration::from_millis(from), until, bank, count: random.random_range(1..400) }
}

#[cfg(test)]
mod tests {
    use super::{Plan, STRIKES};
    use crate::cells;

    #[test]
    fn the_seed_and_nothing_else_says_what_happens() {
        let cells = cells::all();
        let plan = |seed, cycle| format!("{:?}", Plan::draw(seed, cycle, &cells));
        assert_eq!(plan(7, 3), plan(7, 3));
        assert_ne!(plan(7, 3), plan(8, 3));
        assert_ne!(plan(7, 3), plan(7, 4));
    }

    #[test]
    fn every_cell_comes_up_before_any_comes_up_again() {
        let cells = cells::all();
        // One cycle in ten deals no cards.
        let cycles = cells.len().div_ceil(STRIKES) * 10 / 9 + 1;
        let plans = (0..u64::try_from(cycles).unwrap()).map(|cycle| Plan::draw(7, cycle, &cells));
        let drawn: Vec<_> = plans.flat_map(|plan| plan.strikes).map(|strike| strike.cell).collect();
        assert!(cells.iter().all(|cell| drawn.contains(cell)));
    }
}
