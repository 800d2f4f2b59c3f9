//! Bugs that make no payment wrong, but let one bank's illness be felt by all: the program `strain` finds them.

use std::{path::Path, process::Stdio, time::Instant};

use harness::{BenchError, binaries};
use serde::Deserialize;
use tokio::process::Command;

use crate::{
    check::{Harm, Violation},
    report::Planted,
};

/// Of a hundred payments to other banks so many succeed beside a sick one, where nothing is wrong.
const MIN_GOODPUT_PERCENT: f64 = 97.0;

#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    value: f64,
}

/// Strains the system with the bug in it, by these arguments.
///
/// # Errors
/// When the program cannot be run, or tells nothing.
pub async fn look_for(
    bug: &'static str,
    arguments: &[&str],
    folder: &Path,
) -> Result<(Planted, Vec<Violation>), BenchError> {
    let began = Instant::now();
    let figures = folder.join("figures.json");
    std::fs::create_dir_all(folder)?;
    let mut strain = Command::new(binaries::program("strain")?);
    strain.args(arguments).arg("--json").arg(&figures).env(common::planted::BUG, bug);
    // It would build programs without bugs.
    strain.env_remove("CARGO").stdout(Stdio::null()).kill_on_drop(true);
    strain.status().await?;
    let figures: Vec<Figure> = serde_json::from_slice(&std::fs::read(figures)?)?;
    let felt = figures.iter().filter(|one| one.name.contains("goodput") && one.value < MIN_GOODPUT_PERCENT);
    let given_away: Vec<Violation> = felt
        .map(|figure| Violation {
            invariant: "G-25",
            harm: Harm::Stuck,
            request_id: String::new(),
            found: format!("{}: {:.1}", figure.name, figure.value),
        })
        .collect();
    let found = !given_away.is_empty();
    Ok((Planted { bug, found, seconds: began.elapsed().as_secs_f64() }, given_away))
}
