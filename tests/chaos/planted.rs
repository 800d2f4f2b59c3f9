//! Planted bugs: the bench is itself tested. Each bug is planted in a system of its own, which is then tormented until the bench
//! finds something wrong or the bug's time is over.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use harness::{BenchError, detour::Link};
use sqlx::{Connection, PgConnection};

use crate::{
    bench::{BenchSetup, Part},
    cells::{self, Cell, LinkFault, ProcessFault},
    check::Violation,
    cycle::Stage,
    plan::Plan,
    report::Planted,
};

/// How a bug is planted.
#[derive(Clone, Copy, Debug)]
enum Plant {
    /// In the code, where [`common::planted::is`] asks for it.
    InCode,
    /// By this SQL, a statement each, once the system is up.
    Sql(&'static [&'static str]),
}

/// A bug.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// Its name.
    pub name: &'static str,
    /// What is wrong.
    pub about: &'static str,
    plant: Plant,
    /// The faults under which it shows; others would only take time.
    shows_under: fn(&Cell) -> bool,
    /// How long the bench may look for it.
    within: Duration,
}

/// Every planted bug.
pub const BUGS: [Bug; 5] = [
    Bug {
        name: "M4",
        about: "a payment that the bank does not answer for is failed, and its hold released",
        plant: Plant::InCode,
        shows_under: |cell| matches!(cell, Cell::Bank(_)),
        within: Duration::from_secs(60),
    },
    Bug {
        name: "M5",
        about: "\"never received\" is taken for final before the bank refuses the payment",
        plant: Plant::InCode,
        shows_under: |cell| {
            matches!(cell, Cell::Bank(_) | Cell::Link(LinkFault::HoldSomeRequests, Link::ChannelToBank))
        },
        within: Duration::from_secs(60),
    },
    Bug {
        name: "M1",
        about: "commits are acknowledged before they are on disk (synchronous_commit = off)",
        plant: Plant::Sql(&["ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()"]),
        shows_under: |cell| matches!(cell, Cell::Process(ProcessFault::Kill, Part::Database)),
        within: Duration::from_secs(60),
    },
    Bug {
        name: "B23",
        about: "somebody edits balances by hand",
        plant: Plant::Sql(&[
            "CREATE FUNCTION edit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               IF random() < 0.01 THEN NEW.credits_posted := NEW.credits_posted + 1; END IF; RETURN NEW; END $$",
            "CREATE TRIGGER edit BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION edit()",
        ]),
        shows_under: |_| true,
        within: Duration::from_secs(60),
    },
    Bug {
        name: "B24",
        about: "a payment's success is now and then written down as a failure, after its caller has heard of it",
        plant: Plant::Sql(&[
            "ALTER TABLE payments DISABLE TRIGGER payments_only_legal_changes",
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               UPDATE payments SET state = 'FAILED', reason_code = 'EDITED', sequence = sequence + 1 WHERE id = ( \
                 SELECT id FROM payments WHERE state = 'SUCCEEDED' AND random() < 0.01 LIMIT 1 FOR UPDATE SKIP LOCKED); \
               RETURN NULL; END $$",
            "CREATE TRIGGER fail AFTER INSERT ON attempts FOR EACH STATEMENT EXECUTE FUNCTION fail()",
        ]),
        shows_under: |_| true,
        within: Duration::from_secs(60),
    },
];

impl Bug {
    /// Plants the bug and looks for it. Returns what became of it, and the violations that gave it away.
    ///
    /// # Errors
    /// When the bench itself fails.
    pub async fn look_for(&self, folder: &Path, seed: u64) -> Result<(Planted, Vec<Violation>), BenchError> {
        let setup = BenchSetup {
            folder: folder.to_owned(),
            planted: Some(self.name.to_owned()),
            ..BenchSetup::default()
        };
        let mut stage = Stage::set(setup).await?;
        let statements = match self.plant {
            Plant::InCode => &[][..],
            Plant::Sql(statements) => statements,
        };
        let mut database = PgConnection::connect_with(&stage.bench.database()).await?;
        for statement in statements {
            sqlx::query(*statement).execute(&mut database).await?;
        }
        database.close().await?;
        let mut cells = cells::all();
        cells.retain(self.shows_under);
        let began = Instant::now();
        let mut given_away = Vec::new();
        for cycle in 0.. {
            if !given_away.is_empty() || began.elapsed() > self.within {
                break;
            }
            let judged = stage.run(&Plan::draw(seed, cycle, &cells), seed, cycle).await?;
            given_away = judged.violations;
        }
        let found = !given_away.is_empty();
        Ok((Planted { bug: self.name, found, seconds: began.elapsed().as_secs_f64() }, given_away))
    }
}
