//! The planted bugs. Those called M are of a list that others made; X are our own.

use std::time::Duration;

use harness::{detour::Link, system::Service};

use super::Bug;
use crate::{
    bench::Part,
    cells::{CRASH_POINTS, Cell, CommitFault, LinkFault, MISBEHAVIOURS, ProcessFault, StepFault},
    plan::{OUTLASTS_LEASES_MS, Plan, Strike},
};

/// How long most may take.
const MINUTE: Duration = Duration::from_secs(60);

const fn bug(name: &'static str, about: &'static str, shows_under: fn(&Cell) -> bool) -> Bug {
    Bug { name, about, sql: &[], shows_under, plan: None, valid_for_ms: None, within: MINUTE, strain: None }
}

impl Bug {
    const fn with(self, sql: &'static [&'static str]) -> Self {
        Self { sql, ..self }
    }

    const fn strained(self, arguments: &'static [&'static str]) -> Self {
        Self { strain: Some(arguments), ..self }
    }
}

fn any(_: &Cell) -> bool {
    true
}

/// None are needed.
fn none(_: &Cell) -> bool {
    false
}

fn a_bank(cell: &Cell) -> bool {
    matches!(cell, Cell::Bank(_))
}

fn a_bank_that(misbehaves: &str, cell: &Cell) -> bool {
    matches!(cell, Cell::Bank(row) if MISBEHAVIOURS.get(*row).is_some_and(|row| row.name == misbehaves))
}

fn killed(cell: &Cell, service: Service) -> bool {
    *cell == Cell::Process(ProcessFault::Kill, Part::Service(service))
}

fn stands_still_at(place: &str, cell: &Cell) -> bool {
    matches!(cell, Cell::CrashPoint(StepFault::StandsStill, point)
        if CRASH_POINTS.get(*point).is_some_and(|point| point.name == place))
}

/// The platform falls asleep with the news that a payment was never sent, and when it wakes, another worker is quicker to
/// send it again than the first to tell.
fn a_worker_is_overtaken(cycle: u64) -> Plan {
    let point = CRASH_POINTS.iter().position(|point| point.name == "settle.after_send").unwrap_or_default();
    let strike = |cell, from_ms, until_ms, count| Strike {
        cell,
        from: Duration::from_millis(from_ms),
        until: Duration::from_millis(until_ms),
        bank: 0,
        count,
    };
    let wakes_ms = 220 + OUTLASTS_LEASES_MS;
    let (refuse, delay) = (LinkFault::Refuse, LinkFault::Delay);
    Plan {
        strikes: vec![
            strike(Cell::Link(refuse, Link::ChannelToBank), 200, 500, 0),
            strike(Cell::CrashPoint(StepFault::StandsStill, point), 220, wakes_ms, cycle * 3),
            strike(Cell::Link(delay, Link::ChannelToBank), wakes_ms - 100, wakes_ms + 1_500, 400),
        ],
    }
}

/// Every planted bug.
pub const BUGS: &[Bug] = &[
    bug(
        "M1",
        "commits are acknowledged before they are on disk (synchronous_commit = off)",
        |cell| *cell == Cell::Process(ProcessFault::Kill, Part::Database),
    )
    .with(&["ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()"]),
    bug("M2", "a request id is not looked up, and not unique in the database", any).with(&[
        "ALTER TABLE payments DROP CONSTRAINT payments_request_is_unique",
        "CREATE INDEX ON payments (request_key)",
    ]),
    bug("M4", "a payment that the bank does not answer for is failed, and its hold released", a_bank),
    bug("M5", "\"never received\" is taken for final before the bank refuses the payment", |cell| {
        a_bank_that("lets payments lie", cell)
            || *cell == Cell::Link(LinkFault::HoldSomeRequests, Link::ChannelToBank)
    }),
    bug("M7", "an instruction is sent before its attempt is committed", |cell| {
        stands_still_at("book.before_commit", cell) || killed(cell, Service::Platform)
    }),
    bug("M8", "what is learnt late overwrites a final state", |cell| {
        *cell == Cell::Commit(CommitFault::After) || a_bank(cell)
    })
    .with(&["ALTER TABLE payments DISABLE TRIGGER payments_only_legal_changes"]),
    bug("M10", "balances are checked without a lock on their rows", none)
        .with(&["ALTER TABLE accounts DROP CONSTRAINT accounts_not_overdrawn"]),
    bug("M11", "what is refunded is checked without a lock on the payment", none)
        .with(&["ALTER TABLE refundable DROP CONSTRAINT refundable_at_most_once"]),
    Bug {
        plan: Some(a_worker_is_overtaken),
        valid_for_ms: Some(20_000),
        ..bug("M13", "whoever has lost its lease may still write", any)
    },
    bug("M14", "a batch is done again without a look whether it was done", |cell| {
        *cell == Cell::Commit(CommitFault::After)
    })
    .with(&[
        "ALTER TABLE payments DROP CONSTRAINT payments_pkey CASCADE",
        "ALTER TABLE payments DROP CONSTRAINT payments_request_is_unique",
        "ALTER TABLE transfers DROP CONSTRAINT transfers_pkey CASCADE",
        "ALTER TABLE payment_events DROP CONSTRAINT payment_events_pkey",
        "ALTER TABLE dispatches DROP CONSTRAINT dispatches_pkey",
        "CREATE INDEX ON payments (id)",
        "CREATE INDEX ON payments (request_key)",
        "CREATE INDEX ON dispatches (payment_id)",
    ]),
    bug("M17", "each process goes by a clock of its own, and they differ by up to half a minute", |cell| {
        killed(cell, Service::Platform) || a_bank_that("lets payments lie for long", cell)
    }),
    bug("M19", "a repeated answer is made anew, with a new time", any),
    bug("M22", "the channel sends again what the platform sends again", a_bank),
    bug("M23", "all banks share one room for what is under way", any).strained(&[
        "isolation",
        "--only",
        "silent",
        "--rounds",
        "1",
    ]),
    bug("X1", "the hold of a failed payment is not released", |cell| a_bank_that("rejects", cell)),
    bug("X2", "the outcomes of a batch go to each other's callers", any),
    bug("X3", "the bank is asked, and sent to again, under a new reference", a_bank),
    bug("X4", "a batch is acknowledged whatever its COMMIT came to", |cell| {
        *cell == Cell::Commit(CommitFault::Before)
    }),
    bug("X5", "what was on its way when the stream to the channel broke is taken for never sent", |cell| {
        killed(cell, Service::Channel) || *cell == Cell::Link(LinkFault::Cut, Link::PlatformToChannel)
    }),
    bug("X6", "a used request id is answered with what it made, whatever is asked", any),
    bug("X7", "nobody takes over what was left", |cell| killed(cell, Service::Platform) || a_bank(cell)),
    bug("X8", "an HTTP error of a bank is taken for its refusal", a_bank),
    bug("X9", "captures are not held against what is authorized", any).with(&["ALTER TABLE payments DROP CONSTRAINT payments_sound"]),
    // No authorization expires in the first minute.
    Bug { within: MINUTE.saturating_mul(2), ..bug("X10", "an authorization that expires keeps its hold", any) },
    bug("X11", "a connection that broke is taken for one that never came about", a_bank),
    bug("B23", "somebody edits balances by hand", any).with(&[
        "CREATE FUNCTION edit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           IF random() < 0.01 THEN NEW.credits_posted := NEW.credits_posted + 1; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER edit BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION edit()",
    ]),
    bug("B24", "a success is now and then written down as a failure, after its caller has heard of it", any).with(&[
        "ALTER TABLE payments DISABLE TRIGGER payments_only_legal_changes",
        "ALTER TABLE payments DISABLE TRIGGER payments_keep_step",
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           UPDATE payments SET state = 'FAILED', reason_code = 'EDITED', sequence = sequence + 1 WHERE id = ( \
             SELECT id FROM payments WHERE state = 'SUCCEEDED' AND random() < 0.01 LIMIT 1 FOR UPDATE SKIP LOCKED); \
           RETURN NULL; END $$",
        "CREATE TRIGGER fail AFTER INSERT ON transfers FOR EACH STATEMENT EXECUTE FUNCTION fail()",
    ]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::BUGS;
    use crate::code;

    #[test]
    fn every_bug_in_the_code_is_looked_for() {
        let table: BTreeSet<String> = BUGS.iter().map(|bug| bug.name.to_owned()).collect();
        assert_eq!(table.len(), BUGS.len(), "two bugs have one name");
        let planted = code::names("planted::is");
        assert!(!planted.is_empty());
        // No fault shows this one, but one bank's load that makes the others slow: the strain looks for it.
        let of_the_strain = "M23";
        let is_known = |name: &str| table.contains(name) || name == of_the_strain;
        let unknown: Vec<_> = planted.into_iter().filter(|(_, name)| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
