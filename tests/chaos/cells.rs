//! The table fault × step: every cell is one fault at one step of a payment's way, and is counted when it was hit.

mod crash_points;
mod misbehaviour;

use std::collections::BTreeMap;

use harness::{detour::Link, system::Service};

use crate::{bench::Part, net};
pub use crash_points::CRASH_POINTS;
pub use misbehaviour::MISBEHAVIOURS;

/// One fault at one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Something happens to a process.
    Process(ProcessFault, Part),
    /// Every process is killed at once.
    EverythingDies,
    /// Something happens to a link.
    Link(LinkFault, Link),
    /// The link to PostgreSQL is cut at a COMMIT.
    Commit(CommitFault),
    /// A bank misbehaves as the row of this number in [`MISBEHAVIOURS`] says.
    Bank(usize),
    /// A service dies or stands still at the crash point of this number in [`CRASH_POINTS`].
    CrashPoint(StepFault, usize),
    /// The power of PostgreSQL's disk is cut. Only where the machine lets one; not of the table.
    PowerCut,
}

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessFault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT later.
    StandStill,
    /// SIGSTOP, and SIGCONT when others may have taken over what it had leased. The platform only.
    OutsleepLeases,
    /// SIGTERM, as in a rolling deployment; SIGINT (a fast restart) for PostgreSQL.
    Restart,
    /// SIGQUIT: PostgreSQL's immediate restart.
    RestartAtOnce,
}

/// What happens to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// All is late.
    Delay,
    /// Connections overtake each other.
    Reorder,
    /// Requests are held, and arrive later.
    HoldRequests,
    /// One request in some is held, and the others pass.
    HoldSomeRequests,
    /// Answers are held, and arrive later.
    HoldAnswers,
    /// Nothing arrives.
    BlackHole,
    /// Requests are lost, answers are not.
    LoseRequests,
    /// Answers are lost, requests are not.
    LoseAnswers,
    /// Nobody can connect.
    Refuse,
    /// Every connection is cut at once.
    Cut,
    /// A connection is cut in the middle of a request.
    CutInRequest,
    /// A connection is cut in the middle of an answer.
    CutInAnswer,
}

/// When the link to PostgreSQL is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// Before the server hears of the COMMIT.
    Before,
    /// After it committed, before the client hears of it.
    After,
}

/// What a service does at a crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepFault {
    /// It dies.
    Dies,
    /// It stands still for a while.
    StandsStill,
}

const SERVICE_FAULTS: [ProcessFault; 3] =
    [ProcessFault::Kill, ProcessFault::StandStill, ProcessFault::Restart];

const LINK_FAULTS: [LinkFault; 12] = [
    LinkFault::Delay,
    LinkFault::Reorder,
    LinkFault::HoldRequests,
    LinkFault::HoldSomeRequests,
    LinkFault::HoldAnswers,
    LinkFault::BlackHole,
    LinkFault::LoseRequests,
    LinkFault::LoseAnswers,
    LinkFault::Refuse,
    LinkFault::Cut,
    LinkFault::CutInRequest,
    LinkFault::CutInAnswer,
];

/// Every cell of the table.
pub fn all() -> Vec<Cell> {
    let processes =
        Part::ALL.into_iter().flat_map(|part| SERVICE_FAULTS.map(|fault| Cell::Process(fault, part)));
    let links = net::LINKS.into_iter().flat_map(|link| LINK_FAULTS.map(|fault| Cell::Link(fault, link)));
    let steps = (0..CRASH_POINTS.len()).flat_map(|point| {
        [StepFault::Dies, StepFault::StandsStill].map(|fault| Cell::CrashPoint(fault, point))
    });
    let others = [
        Cell::Process(ProcessFault::RestartAtOnce, Part::Database),
        Cell::Process(ProcessFault::OutsleepLeases, Part::Service(Service::Platform)),
        Cell::EverythingDies,
        Cell::Commit(CommitFault::Before),
        Cell::Commit(CommitFault::After),
    ];
    processes
        .chain(others)
        .chain(links)
        .chain((0..MISBEHAVIOURS.len()).map(Cell::Bank))
        .chain(steps)
        .collect()
}

impl Cell {
    /// What happens.
    pub fn fault(self) -> &'static str {
        match self {
            Self::Process(ProcessFault::Kill, _) | Self::EverythingDies => "killed",
            Self::Process(ProcessFault::StandStill, _) => "stands still",
            Self::Process(ProcessFault::OutsleepLeases, _) => "sleeps through its leases",
            Self::Process(ProcessFault::Restart, _) => "restarted",
            Self::Process(ProcessFault::RestartAtOnce, _) => "restarted at once",
            Self::Link(LinkFault::Delay, _) => "delayed",
            Self::Link(LinkFault::Reorder, _) => "reordered",
            Self::Link(LinkFault::HoldRequests, _) => "requests held",
            Self::Link(LinkFault::HoldSomeRequests, _) => "some requests held",
            Self::Link(LinkFault::HoldAnswers, _) => "answers held",
            Self::Link(LinkFault::BlackHole, _) => "black hole",
            Self::Link(LinkFault::LoseRequests, _) => "requests lost",
            Self::Link(LinkFault::LoseAnswers, _) => "answers lost",
            Self::Link(LinkFault::Refuse, _) => "refused",
            Self::Link(LinkFault::Cut, _) => "cut",
            Self::Link(LinkFault::CutInRequest, _) => "cut in a request",
            Self::Link(LinkFault::CutInAnswer, _) => "cut in an answer",
            Self::Commit(CommitFault::Before) => "cut before COMMIT",
            Self::Commit(CommitFault::After) => "cut after COMMIT",
            Self::Bank(row) => MISBEHAVIOURS.get(row).map_or("", |row| row.name),
            Self::CrashPoint(StepFault::Dies, _) => "dies",
            Self::CrashPoint(StepFault::StandsStill, _) => "stands still",
            Self::PowerCut => "power cut",
        }
    }

    /// Where it happens.
    pub fn step(self) -> &'static str {
        match self {
            Self::Process(_, part) => part.name(),
            Self::PowerCut => "database's disk",
            Self::EverythingDies => "everything",
            Self::Link(_, link) => net::name(link),
            Self::Commit(_) => net::name(Link::PlatformToDatabase),
            Self::Bank(_) => "bank",
            Self::CrashPoint(_, point) => CRASH_POINTS.get(point).map_or("", |point| point.name),
        }
    }
}

/// How often each cell was hit.
#[derive(Debug)]
pub struct Hits(BTreeMap<(&'static str, &'static str), u64>);

impl Hits {
    /// None of these cells was hit yet.
    pub fn none(cells: &[Cell]) -> Self {
        Self(cells.iter().map(|cell| ((cell.step(), cell.fault()), 0)).collect())
    }

    /// A cell was hit.
    pub fn hit(&mut self, cell: Cell) {
        *self.0.entry((cell.step(), cell.fault())).or_default() += 1;
    }

    /// Cells that were hit, and cells in all.
    pub fn count(&self) -> (usize, usize) {
        (self.0.values().filter(|hits| **hits > 0).count(), self.0.len())
    }

    /// For each step: the cells that were hit and all cells, how often they were hit in all, and those that never were.
    pub fn by_step(&self) -> Vec<StepHits> {
        let mut steps: Vec<StepHits> = Vec::new();
        for ((step, fault), hits) in &self.0 {
            if steps.last().is_none_or(|last| last.step != *step) {
                steps.push(StepHits { step, cells_hit: 0, cells: 0, hits: 0, never: Vec::new() });
            }
            let Some(last) = steps.last_mut() else { continue };
            last.cells += 1;
            last.cells_hit += usize::from(*hits > 0);
            last.hits += hits;
            if *hits == 0 {
                last.never.push(fault);
            }
        }
        steps
    }
}

/// How often the faults at one step were hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepHits {
    /// The step.
    pub step: &'static str,
    /// Cells that were hit.
    pub cells_hit: usize,
    /// Cells in all.
    pub cells: usize,
    /// Hits in all.
    pub hits: u64,
    /// The faults that were never hit.
    pub never: Vec<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::{Cell, Hits, LinkFault, all};
    use harness::detour::Link;

    #[test]
    fn every_cell_is_counted_once() {
        let mut hits = Hits::none(&all());
        assert_eq!(hits.count(), (0, all().len()), "two cells have one name");
        assert!(all().iter().all(|cell| !cell.fault().is_empty() && !cell.step().is_empty()));
        let cell = Cell::Link(LinkFault::Cut, Link::ChannelToBank);
        hits.hit(cell);
        hits.hit(cell);
        assert_eq!(hits.count().0, 1);
        let step = hits.by_step().into_iter().find(|one| one.step == cell.step()).unwrap();
        assert_eq!((step.cells_hit, step.hits, step.never.len()), (1, 2, step.cells - 1));
        assert!(!step.never.contains(&cell.fault()));
    }
}
