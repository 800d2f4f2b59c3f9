//! A bank comes back to a long queue: it is paid at the rate that it takes, the oldest first, and the platform does not swell.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use harness::{
    BenchError,
    load::Plan,
    system::{BANKS, Service},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    figure::{Bound, Figure},
    say,
    stage::{Stage, plan},
};

/// The bank that is down, by its number in [`BANKS`]. Its payments wait for it.
const DOWN: usize = 1;
/// How many payments a second its entry in the directory lets it get.
const RATE_PER_S: u32 = 1_000;
/// Payments that queue up in one second; any more only takes longer.
const ARRIVE_PER_S: f64 = 1_500.0;
/// How long the bank may take to be found up, and how much longer than at its full rate everything may take.
const SLACK: Duration = Duration::from_secs(60);

/// Lets so many payments queue up, and watches them being worked off.
///
/// # Errors
/// When the bench itself fails, or the books do not add up afterwards.
pub async fn run(payments: u32) -> Result<Vec<Figure>, BenchError> {
    let bank = BANKS[DOWN].id;
    let mut stage = Stage::set("backlog", Plan { banks: vec![DOWN], ..plan() }, |setup| {
        setup.queueing = &["meridian"];
        setup.bank_settings.push((bank, format!("max_instructions_per_s = {RATE_PER_S}")));
    })
    .await?;
    let database = PgPool::connect_with(stage.system.database()).await?;
    stage.script(bank, &json!([{"on": "any", "behaviour": "down"}])).await?;
    fill(&stage, payments).await;
    let waiting = waiting(&database).await?;
    let memory_before_mib = stage.memory_mib(Service::Platform)?;
    say(&format!("backlog: {waiting} payments wait; the platform has {memory_before_mib} MiB in use"));
    stage.script(bank, &json!([])).await?;
    let (took, memory_mib) = drain(&mut stage, &database, waiting).await?;
    let busiest = stage.counter(bank, "/most_per_second/pacs008").await?;
    let arrivals = arrivals(&stage, bank)?;
    let displaced = displaced(&database, &arrivals).await?;
    stage.close().await?;
    let (waiting, rate) = (float(u64::try_from(waiting)?), f64::from(RATE_PER_S));
    let swollen = float(memory_mib.saturating_sub(memory_before_mib));
    Ok(vec![
        Figure::told("backlog: payments that waited", waiting),
        Figure::judged(
            "backlog: worked off, % of the bank's rate",
            waiting / took.as_secs_f64() / rate * 100.0,
            Bound::AtLeast(90.0),
        )
        .remarked(format!(
            "{:.0} s at up to {RATE_PER_S}/s, from the bank's first message to the last",
            took.as_secs_f64()
        )),
        Figure::judged(
            "backlog: the busiest second at the bank, % of its rate",
            float(busiest) / rate * 100.0,
            Bound::AtMost(112.0),
        ),
        Figure::judged(
            "backlog: 99 % reach the bank within so many places of their age",
            displaced,
            Bound::AtMost(rate),
        ),
        Figure::judged(
            "backlog: memory that the platform takes more meanwhile, MiB",
            swollen,
            Bound::AtMost(64.0),
        ),
    ])
}

/// Pays the bank that is down until so many payments wait for it.
async fn fill(stage: &Stage, payments: u32) {
    let lasts = Duration::from_secs_f64(f64::from(payments) / ARRIVE_PER_S);
    say(&format!("backlog: {payments} payments arrive at {ARRIVE_PER_S}/s for a bank that is down"));
    let measured = stage.load.open_loop(ARRIVE_PER_S, lasts).await;
    say(&format!("backlog: answers were {}", measured.others()));
}

async fn waiting(database: &PgPool) -> Result<i64, BenchError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM dispatches").fetch_one(database).await?)
}

/// Watches the queue until it is empty. Returns how long that took from the first sign of work, and the most memory that the
/// platform had in use.
async fn drain(stage: &mut Stage, database: &PgPool, payments: i64) -> Result<(Duration, u64), BenchError> {
    let allowed = SLACK + Duration::from_secs(u64::try_from(payments)? * 2 / u64::from(RATE_PER_S));
    let style = ProgressStyle::with_template("  {bar:40} {pos}/{len} worked off  {per_sec}  {eta} left")?;
    let bar = ProgressBar::new(u64::try_from(payments)?).with_style(style);
    let began = Instant::now();
    let mut at_work_since = None;
    let mut memory_mib = 0;
    loop {
        let left = waiting(database).await?;
        memory_mib = memory_mib.max(stage.memory_mib(Service::Platform)?);
        bar.set_position(u64::try_from(payments - left)?);
        if left < payments {
            at_work_since.get_or_insert_with(Instant::now);
        }
        if left == 0 {
            break;
        }
        if began.elapsed() > allowed {
            return Err(format!("{left} of {payments} payments still wait after {allowed:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bar.finish_and_clear();
    Ok((at_work_since.map_or(Duration::ZERO, |since| since.elapsed()), memory_mib))
}

/// The payments' UETRs in the order in which they reached the bank, from its own books.
fn arrivals(stage: &Stage, bank: &str) -> Result<Vec<String>, BenchError> {
    let books = fs::read_to_string(stage.system.folder().join("books").join(format!("{bank}.books")))?;
    let uetr = |line: &str| {
        let entry: Value = serde_json::from_str(line).ok()?;
        let is_executed = entry.get("kind")?.as_str()? == "executed";
        is_executed.then(|| entry.get("uetr").and_then(Value::as_str).map(str::to_owned))?
    };
    Ok(books.lines().filter_map(uetr).collect())
}

/// Of a hundred payments, how far the second furthest came before or after its turn. The first few were begun before the bank
/// was known to be down, and wait for another try.
async fn displaced(database: &PgPool, arrivals: &[String]) -> Result<f64, BenchError> {
    let by_age: Vec<String> =
        sqlx::query_scalar("SELECT p.uetr::text FROM payments p ORDER BY p.created_at, p.id")
            .fetch_all(database)
            .await?;
    let places: HashMap<&str, usize> =
        arrivals.iter().enumerate().map(|(place, uetr)| (uetr.as_str(), place)).collect();
    let arrived = by_age.iter().filter_map(|uetr| places.get(uetr.as_str()).copied());
    let mut distances: Vec<usize> = arrived.enumerate().map(|(age, place)| age.abs_diff(place)).collect();
    distances.sort_unstable();
    let nth = distances.len().saturating_sub(1) * 99 / 100;
    Ok(float(u64::try_from(distances.get(nth).copied().ok_or("nothing reached the bank")?)?))
}

fn float(count: u64) -> f64 {
    count as f64
}
