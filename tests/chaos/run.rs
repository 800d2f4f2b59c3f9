//! A whole run: cycles until one has a violation, and what is told of it.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use harness::{BenchError, binaries, detour::Link};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    Args,
    bench::BenchSetup,
    cells::{self, Cell},
    check::Violation,
    cycle::{Judged, Stage},
    plan::Plan,
    planted::{BUGS, Bug},
    power_loss::{self, Disk},
    report::{self, Report, Tally},
    restarts::{self, Restart},
};

/// How many violations are shown with all that is known of them.
const SHOWN: usize = 5;

/// Runs what the arguments ask for; says whether all was well.
///
/// # Errors
/// When the bench itself fails.
pub async fn run(args: &Args) -> Result<bool, BenchError> {
    if !common::crash_point::IN_THIS_BUILD {
        return Err("this build has no crash points: run it as `cargo chaos`".into());
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    say(&format!("seed {seed}"));
    let folder = own_folder(seed)?;
    say("Building the programs with crash points; the first time this takes some minutes …");
    binaries::build(&crate::bench::FEATURES)?;
    let is_good = if args.planted {
        look_for_bugs(args, seed, &folder).await?
    } else if let Some(rounds) = args.restarts {
        restart(args, seed, &folder, rounds).await?
    } else if let Some(cycles) = args.power_loss {
        match Disk::make(folder.join("disk"), &folder.join("postgres")).await {
            Ok(disk) => torment(args, seed, &folder, &Torment::PowerLoss(&disk, cycles)).await?,
            Err(why) => {
                say(&format!("SKIPPED: this machine cannot cut the power of a disk: {why}"));
                true
            }
        }
    } else {
        torment(args, seed, &folder, &Torment::Faults(faults(args))).await?
    };
    if is_good && !args.keep {
        fs::remove_dir_all(&folder)?;
    }
    Ok(is_good)
}

/// What is done to the system.
enum Torment<'a> {
    /// These cells.
    Faults(Vec<Cell>),
    /// So many power cuts.
    PowerLoss(&'a Disk, u64),
}

fn faults(args: &Args) -> Vec<Cell> {
    let mut cells = cells::all();
    if let Some(only) = &args.only {
        cells.retain(|cell| cell.step().contains(only) || cell.fault().contains(only));
    }
    cells
}

/// Runs cycles until one has a violation, and tells what came of it.
async fn torment(args: &Args, seed: u64, folder: &Path, torment: &Torment<'_>) -> Result<bool, BenchError> {
    let mut stage = Stage::set(BenchSetup { folder: folder.to_owned(), ..BenchSetup::default() }).await?;
    let (cycles, mut tally) = match torment {
        Torment::Faults(cells) => (args.cycles, Tally::new(seed, cells)),
        Torment::PowerLoss(disk, cycles) => {
            disk.sync().await?;
            (*cycles, Tally::new(seed, &[Cell::PowerCut]))
        }
    };
    let style = ProgressStyle::with_template("{bar:30} cycle {pos}/{len}, {elapsed} (left {eta}), {msg}")?;
    let bar = ProgressBar::new(cycles).with_style(style);
    let mut violations: Vec<Violation> = Vec::new();
    for cycle in args.from..args.from + cycles {
        let judged = match torment {
            Torment::Faults(cells) => one_cycle(&mut stage, seed, cycle, cells).await?,
            Torment::PowerLoss(disk, _) => power_loss::run_cycle(&mut stage, disk, seed, cycle).await?,
        };
        violations.extend(judged.violations.iter().cloned());
        tally.add(judged, stage.checker.payments());
        bar.set_message(format!("{} payments, {} cells", tally.report.payments, tally.report.cells_hit));
        bar.inc(1);
        if !violations.is_empty() {
            break;
        }
    }
    bar.finish();
    if stage.bench.net.proxy(Link::PlatformToDatabase)?.commits() == 0 {
        return Err("the proxy saw no COMMIT pass: it does not understand how the platform commits".into());
    }
    say(&tally.for_people(&stage.bench.outages, stage.snapshots.take().0));
    write_json(args, &tally.report)?;
    if !violations.is_empty() {
        let cycle = args.from + tally.report.cycles - 1;
        tell_of(args, &stage, &violations, &repeat(args, seed, cycle)).await?;
    }
    Ok(violations.is_empty())
}

async fn one_cycle(stage: &mut Stage, seed: u64, cycle: u64, cells: &[Cell]) -> Result<Judged, BenchError> {
    let plan = Plan::draw(seed, cycle, cells);
    let judged = stage.run(&plan, seed, cycle).await?;
    if !judged.violations.is_empty() {
        let strikes: Vec<String> = plan.strikes.iter().map(|strike| format!("  {strike:?}")).collect();
        say(&format!("cycle {cycle} had\n{}", strikes.join("\n")));
    }
    Ok(judged)
}

/// The command that runs a cycle again.
fn repeat(args: &Args, seed: u64, cycle: u64) -> String {
    let only = args.only.as_ref().map(|only| format!(" --only {only:?}")).unwrap_or_default();
    let cycles = if args.power_loss.is_some() { "--power-loss 1" } else { "--cycles 1" };
    format!("cargo chaos -- --seed {seed} --from {cycle} {cycles}{only}")
}

async fn tell_of(
    args: &Args,
    stage: &Stage,
    violations: &[Violation],
    repeat: &str,
) -> Result<(), BenchError> {
    for violation in violations.iter().take(SHOWN) {
        let about = match violation.request_id.as_str() {
            "" => Vec::new(),
            request_id => stage.checker.all_about(request_id).await?,
        };
        say(&report::violation(violation, &about));
    }
    let kept = if args.power_loss.is_some() {
        "The journal, the books and the disk's image are"
    } else {
        "All evidence is"
    };
    say(&format!(
        "{} violations. {kept} in {}.\nTo see it again: {repeat}",
        violations.len(),
        stage.folder().display()
    ));
    Ok(())
}

/// Measures how soon all is well again after each part's death.
async fn restart(args: &Args, seed: u64, folder: &Path, rounds: u64) -> Result<bool, BenchError> {
    let mut stage = Stage::set(BenchSetup { folder: folder.to_owned(), ..BenchSetup::default() }).await?;
    let (restarts, violations) = restarts::measure(&mut stage, seed, rounds).await?;
    say(&restarts::for_people(&restarts));
    let is_soon = restarts.iter().all(Restart::is_met);
    write_json(args, &Report { seed, restarts, ..Report::default() })?;
    if !violations.is_empty() {
        tell_of(args, &stage, &violations, &format!("cargo chaos -- --restarts {rounds} --seed {seed}"))
            .await?;
    }
    Ok(is_soon && violations.is_empty())
}

/// Plants each bug in turn.
async fn look_for_bugs(args: &Args, seed: u64, folder: &Path) -> Result<bool, BenchError> {
    let is_picked = |bug: &&Bug| args.only.as_ref().is_none_or(|only| bug.name == only);
    let picked: Vec<&Bug> = BUGS.iter().filter(is_picked).collect();
    if picked.is_empty() {
        return Err("no planted bug has this name".into());
    }
    let style = ProgressStyle::with_template("{bar:30} bug {pos}/{len}, {elapsed}, {msg}")?;
    let bar = ProgressBar::new(u64::try_from(picked.len())?).with_style(style);
    let mut bugs = Vec::new();
    for bug in picked {
        bar.set_message(bug.name);
        let own = folder.join(bug.name);
        let (planted, given_away) = bug.look_for(&own, seed).await?;
        fs::remove_dir_all(&own)?;
        let invariants: BTreeSet<&str> = given_away.iter().map(|violation| violation.invariant).collect();
        bugs.push((bug.about, planted, invariants.into_iter().collect::<Vec<_>>().join(", ")));
        bar.inc(1);
    }
    bar.finish();
    say(&report::planted(&bugs));
    let planted: Vec<_> = bugs.into_iter().map(|(_, planted, _)| planted).collect();
    let all_found = planted.iter().all(|one| one.found);
    write_json(args, &Report { seed, planted, ..Report::default() })?;
    Ok(all_found)
}

fn write_json(args: &Args, report: &Report) -> Result<(), BenchError> {
    let Some(json) = &args.json else { return Ok(()) };
    fs::write(json, serde_json::to_string_pretty(report)?)
        .map_err(|error| format!("cannot write {}: {error}", json.display()).into())
}

/// A folder of this run's own below `target/`.
fn own_folder(seed: u64) -> Result<PathBuf, BenchError> {
    let folder = binaries::target()?.join("rialto-chaos").join(format!("{}-seed-{seed}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Tells a person. A closed pipe is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
