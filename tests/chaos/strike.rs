//! Carries out a cycle's plan: begins and ends each fault when it is due, and says which were really hit.

use std::time::Duration;

use harness::{BenchError, detour::Link, system::BANKS, wait};
use serde_json::{Value, json};

use crate::{
    bench::{Bench, Part},
    cells::{CRASH_POINTS, Cell, CommitFault, LinkFault, MISBEHAVIOURS, ProcessFault, StepFault},
    net::proxy::{Rule, Way},
    plan::{Plan, Strike},
};

/// What is to be done at a moment.
#[derive(Clone, Copy)]
enum Step {
    Begin,
    End,
}

/// Carries out the plan from now on, and returns the cells that were hit. When it returns, every fault has ended.
///
/// # Errors
/// When the bench itself fails.
pub async fn carry_out(bench: &Bench, plan: &Plan) -> Result<Vec<Cell>, BenchError> {
    let began = tokio::time::Instant::now();
    let mut steps: Vec<(Duration, usize, Step)> = Vec::new();
    for (number, strike) in plan.strikes.iter().enumerate() {
        steps.extend([(strike.from, number, Step::Begin), (strike.until, number, Step::End)]);
    }
    steps.sort_by_key(|(at, ..)| *at);
    let mut counters: Vec<u64> = vec![0; plan.strikes.len()];
    let mut hit = Vec::new();
    for (at, number, step) in steps {
        tokio::time::sleep_until(began + at).await;
        let (Some(strike), Some(counter)) = (plan.strikes.get(number), counters.get_mut(number)) else {
            continue;
        };
        match step {
            Step::Begin => *counter = begin(bench, strike).await?,
            Step::End if end(bench, strike, *counter).await? => hit.push(strike.cell),
            Step::End => {}
        }
    }
    heal(bench).await?;
    Ok(hit)
}

/// Begins a fault, and returns the counter by which its end tells whether it was hit.
async fn begin(bench: &Bench, strike: &Strike) -> Result<u64, BenchError> {
    match strike.cell {
        Cell::Process(fault, part) => Ok(u64::from(bench.signal(part, signal(fault, part)).is_ok())),
        Cell::EverythingDies => {
            // One that is just dying for another reason is none the less dead.
            Ok(u64::from(Part::ALL.map(|part| bench.signal(part, "KILL").is_ok()).contains(&true)))
        }
        Cell::Link(fault, link) => {
            let proxy = bench.net.proxy(link)?;
            proxy.take_touched();
            match rule(fault, strike.count) {
                Some(rule) => proxy.set(rule),
                None => proxy.cut(),
            }
            Ok(0)
        }
        Cell::Commit(fault) => {
            let proxy = bench.net.proxy(Link::PlatformToDatabase)?;
            proxy.take_touched();
            let nth = strike.count % 10 + 1;
            proxy.set(match fault {
                CommitFault::Before => Rule::CutBeforeCommit { nth },
                CommitFault::After => Rule::CutAfterCommit { nth },
            });
            Ok(0)
        }
        Cell::Bank(row) => {
            let Some(misbehaviour) = MISBEHAVIOURS.get(row) else { return Ok(0) };
            let bank = bank_of(strike);
            let counted = counter(bench, bank, misbehaviour.shown_by().0).await.unwrap_or_default();
            put_script(bench, bank, misbehaviour.script()).await?;
            Ok(counted)
        }
        Cell::PowerCut => Ok(0),
        Cell::CrashPoint(fault, point) => {
            let Some(point) = CRASH_POINTS.get(point) else { return Ok(0) };
            if let Some(script) = point.script() {
                for bank in BANKS {
                    put_script(bench, bank.id, script.clone()).await?;
                }
            }
            let action = match fault {
                StepFault::Dies => "abort",
                StepFault::StandsStill => "stop",
            };
            let pass = strike.count % if point.is_busy() { 20 } else { 3 } + 1;
            bench.order(point.name, &format!("{pass} {action}"))?;
            Ok(0)
        }
    }
}

/// Ends a fault, and says whether it was hit.
async fn end(bench: &Bench, strike: &Strike, counter_before: u64) -> Result<bool, BenchError> {
    match strike.cell {
        Cell::Process(ProcessFault::StandStill | ProcessFault::OutsleepLeases, part) => {
            // One that was killed meanwhile needs no waking.
            let _ = bench.signal(part, "CONT");
            Ok(counter_before > 0)
        }
        Cell::Process(..) | Cell::EverythingDies | Cell::PowerCut => Ok(counter_before > 0),
        Cell::Link(_, link) => {
            let proxy = bench.net.proxy(link)?;
            proxy.set(Rule::Pass);
            Ok(proxy.take_touched() > 0)
        }
        Cell::Commit(_) => {
            let proxy = bench.net.proxy(Link::PlatformToDatabase)?;
            proxy.set(Rule::Pass);
            Ok(proxy.take_touched() > 0)
        }
        Cell::Bank(row) => {
            let Some(misbehaviour) = MISBEHAVIOURS.get(row) else { return Ok(false) };
            let (name, by) = misbehaviour.shown_by();
            let counted = counter(bench, bank_of(strike), name).await.unwrap_or_default();
            Ok(counted >= counter_before + by)
        }
        Cell::CrashPoint(fault, point) => {
            let Some(point) = CRASH_POINTS.get(point) else { return Ok(false) };
            let obeyed = bench.withdraw(point.name);
            if fault == StepFault::StandsStill {
                let _ = bench.signal(Part::Service(point.service), "CONT");
            }
            Ok(obeyed)
        }
    }
}

/// Ends whatever may still be wrong.
async fn heal(bench: &Bench) -> Result<(), BenchError> {
    bench.net.heal();
    for part in Part::ALL {
        // One that has died is started again by the keeper.
        let _ = bench.signal(part, "CONT");
    }
    for point in CRASH_POINTS {
        bench.withdraw(point.name);
    }
    for bank in BANKS {
        let plain_duty = || async { put_script(bench, bank.id, json!([])).await.ok().filter(|taken| *taken) };
        wait::until("the banks do their plain duty again", Duration::from_secs(10), plain_duty).await?;
    }
    Ok(())
}

fn signal(fault: ProcessFault, part: Part) -> &'static str {
    match (fault, part) {
        (ProcessFault::Kill, _) => "KILL",
        (ProcessFault::StandStill | ProcessFault::OutsleepLeases, _) => "STOP",
        (ProcessFault::Restart, Part::Database) => "INT",
        (ProcessFault::Restart, Part::Service(_)) => "TERM",
        (ProcessFault::RestartAtOnce, _) => "QUIT",
    }
}

fn rule(fault: LinkFault, count: u64) -> Option<Rule> {
    Some(match fault {
        LinkFault::Delay => Rule::Delay { ms: count / 4 },
        LinkFault::Reorder => Rule::Reorder { max_ms: count * 3 },
        LinkFault::HoldRequests => Rule::Hold(Way::Forward),
        LinkFault::HoldSomeRequests => Rule::HoldSome { way: Way::Forward, one_in: 6, ms: 600 + count * 2 },
        LinkFault::HoldAnswers => Rule::Hold(Way::Backward),
        LinkFault::BlackHole => Rule::BlackHole(None),
        LinkFault::LoseRequests => Rule::BlackHole(Some(Way::Forward)),
        LinkFault::LoseAnswers => Rule::BlackHole(Some(Way::Backward)),
        LinkFault::Refuse => Rule::Refuse,
        LinkFault::Cut => return None,
        LinkFault::CutInRequest => Rule::CutAfter { way: Way::Forward, bytes: count * 7 },
        LinkFault::CutInAnswer => Rule::CutAfter { way: Way::Backward, bytes: count * 7 },
    })
}

fn bank_of(strike: &Strike) -> &'static str {
    BANKS.get(strike.bank).map_or("", |bank| bank.id)
}

/// Gives a bank a script, and says whether it took it: one that is dead or stands still just now does not.
async fn put_script(bench: &Bench, bank: &str, rules: Value) -> Result<bool, BenchError> {
    let url = format!("http://{}/{bank}/script", bench.banks());
    let request = reqwest::Client::new().put(url).json(&rules).timeout(Duration::from_millis(500));
    match request.send().await {
        Ok(answer) if !answer.status().is_success() => {
            Err(format!("{bank} does not understand its script: {}", answer.text().await?).into())
        }
        answer => Ok(answer.is_ok()),
    }
}

async fn counter(bench: &Bench, bank: &str, name: &str) -> Result<u64, BenchError> {
    let url = format!("http://{}/{bank}/counters", bench.banks());
    let client = reqwest::Client::new();
    let counters: Value = client.get(url).timeout(Duration::from_millis(500)).send().await?.json().await?;
    Ok(counters.get(name).and_then(Value::as_u64).unwrap_or_default())
}
