//! The program `fuzz`: looks for inputs that break a rule of what reads them, for as long as it is told. `cargo test` has a short
//! run of each target.

mod engine;
mod mutation;
mod targets;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use harness::BenchError;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use engine::{Found, Search};
use targets::Named;

/// What `--help` ends with.
const EXAMPLES: &str = "\
Examples:
  cargo fuzz                                     each target for a minute
  cargo fuzz -- --target answers --duration 8h   one target through the night
  cargo fuzz -- --target answers --input FILE    one input again
  cargo fuzz -- --json | jq '.targets[] | select(.broken)'

An input that breaks a rule is made as small as can be and kept under target/fuzz; once mended, it belongs into
tests/fuzz/found, from where each run begins. The same seed and program find the same.";

/// Looks for inputs that break a rule of what reads them: requests, money, banks' answers and notices, signatures, page tokens,
/// settings, credentials, the audit log's papers.
///
/// Good inputs are changed (bytes, words, elements, fields of messages, parts of others); what comes to something new is changed
/// further. A rule is broken by a panic, by more than 10 ms or by memory out of proportion as well.
#[derive(Parser, Debug)]
#[command(name = "cargo fuzz --", bin_name = "cargo fuzz --", after_help = EXAMPLES)]
struct Args {
    /// Only these targets.
    #[arg(long, value_name = "NAME", value_parser = targets::named)]
    target: Vec<Named>,
    /// How long each is searched, e.g. 30s or 8h.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Where randomness begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tries this one input, of the one target that is named.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Names the targets, and ends.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(io::stderr(), "cargo fuzz: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Whether no rule was broken.
fn run(args: &Args) -> Result<bool, BenchError> {
    // What panics is told as the rule that it breaks.
    std::panic::set_hook(Box::new(|_| {}));
    let targets = if args.target.is_empty() { targets::ALL.to_vec() } else { args.target.clone() };
    let mut out = io::stdout();
    if args.list {
        for target in targets {
            writeln!(out, "{:14} {}", target.name, target.about)?;
        }
        return Ok(true);
    }
    if let Some(file) = &args.input {
        return again(&targets, file);
    }
    let mut told = Vec::new();
    let mut is_sound = true;
    for target in targets {
        let began = Instant::now();
        let found = searched(&target, args)?;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let per_s = found.inputs * 1_000 / took_ms.max(1);
        let mut value = json!({
            "target": target.name, "inputs": found.inputs, "inputs_per_s": per_s, "outcomes": found.outcomes,
        });
        let mut line = format!(
            "{:14} {:>12} inputs  {:>9} a second  {:>6} outcomes",
            target.name,
            HumanCount(found.inputs).to_string(),
            HumanCount(per_s).to_string(),
            found.outcomes
        );
        match &found.broken {
            None => line.push_str("  no rule broken"),
            Some(broken) => {
                is_sound = false;
                let file = engine::save(target.name, broken)?;
                line.push_str(&format!("  BROKEN: {}\n  kept in {}", broken.complaint, file.display()));
                value["broken"] = Value::from(broken.complaint.clone());
                value["input"] = Value::from(file.display().to_string());
            }
        }
        told.push(value);
        if !args.json {
            writeln!(out, "{line}")?;
        }
    }
    if args.json {
        writeln!(out, "{:#}", json!({ "seed": args.seed, "targets": told }))?;
    }
    Ok(is_sound)
}

/// Tries one input again.
fn again(targets: &[Named], file: &Path) -> Result<bool, BenchError> {
    let input = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let mut is_sound = true;
    for target in targets {
        let (word, what) = match engine::checked(&mut (target.make)()?, &input) {
            Ok(outcome) => ("comes to", outcome),
            Err(complaint) => ("BREAKS A RULE", complaint),
        };
        is_sound &= word == "comes to";
        writeln!(io::stdout(), "{}: {word}: {what}", target.name)?;
    }
    Ok(is_sound)
}

fn searched(target: &Named, args: &Args) -> Result<Found, BenchError> {
    let length = u64::try_from(args.duration.as_millis()).unwrap_or(u64::MAX);
    let bar = ProgressBar::new(length).with_prefix(target.name);
    bar.set_style(ProgressStyle::with_template("  {prefix:14} {bar:40} {msg}")?);
    let (began, mut shown) = (Instant::now(), Instant::now());
    let mut search = Search::new((target.make)()?, engine::found_before(target.name)?, args.seed);
    let found = search.run(|inputs, outcomes| {
        if inputs % 64 == 0 && shown.elapsed() > Duration::from_millis(200) {
            shown = Instant::now();
            bar.set_position(u64::try_from(began.elapsed().as_millis()).unwrap_or_default().min(length));
            bar.set_message(format!("{} inputs, {outcomes} outcomes", HumanCount(inputs)));
        }
        began.elapsed() < args.duration
    });
    bar.finish_and_clear();
    Ok(found)
}

#[cfg(test)]
mod tests;
