//! Planted bugs: the bench is itself tested. Each bug is planted in a system of its own, which is then tormented until the bench
//! finds something wrong or the bug's time is over.

mod bugs;
mod strained;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use harness::BenchError;
use sqlx::{Connection, PgConnection};

use crate::{
    bench::BenchSetup,
    cells::{self, Cell},
    check::Violation,
    cycle::Stage,
    plan::Plan,
    report::Planted,
};
pub use bugs::BUGS;

/// A bug. In the code it is where [`common::planted::is`] asks for its name.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// Its name.
    pub name: &'static str,
    /// What is wrong.
    pub about: &'static str,
    /// What it takes besides the code, once the system is up: SQL, a statement each.
    sql: &'static [&'static str],
    /// The faults under which it shows; others would only take time.
    shows_under: fn(&Cell) -> bool,
    /// What is done in the cycle of this number, where faults that come as they may would take too long to come together.
    plan: Option<fn(u64) -> Plan>,
    /// How long banks take payments, in milliseconds, if not as long as usual.
    valid_for_ms: Option<u32>,
    /// How long the bench may look for it.
    within: Duration,
    /// The arguments of the program `strain`, if that is what finds it.
    strain: Option<&'static [&'static str]>,
}

impl Bug {
    /// Plants the bug and looks for it. Returns what became of it, and the violations that gave it away.
    ///
    /// # Errors
    /// When the bench itself fails.
    pub async fn look_for(&self, folder: &Path, seed: u64) -> Result<(Planted, Vec<Violation>), BenchError> {
        if let Some(arguments) = self.strain {
            return strained::look_for(self.name, arguments, folder).await;
        }
        let setup = BenchSetup {
            folder: folder.to_owned(),
            planted: Some(self.name.to_owned()),
            valid_for_ms: self.valid_for_ms,
            ..BenchSetup::default()
        };
        let mut stage = Stage::set(setup).await?;
        let mut database = PgConnection::connect_with(&stage.bench.database()).await?;
        for statement in self.sql {
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
            let plan = self.plan.map_or_else(|| Plan::draw(seed, cycle, &cells), |plan| plan(cycle));
            let judged = stage.run(&plan, seed, cycle).await?;
            given_away = judged.violations;
        }
        let found = !given_away.is_empty();
        Ok((Planted { bug: self.name, found, seconds: began.elapsed().as_secs_f64() }, given_away))
    }
}
