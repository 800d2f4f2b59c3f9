//! From one version to the next and back, service by service in every order, while payments are made and under way.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use harness::{
    BenchError, binaries,
    figure::Figure,
    system::{Programs, Replica, Service},
};
use tokio::time::sleep;

use crate::{
    in_flight::{InFlight, script},
    report::Report,
    say,
    stage::{KINDS, Stage, begin, end},
};

/// How many of each there are.
const COUNT: usize = 2;
/// How long after the beginning the first process is replaced, and after the last one callers are still listened to.
const AFTER: Duration = Duration::from_secs(1);

/// How to try a rolling upgrade.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The version to begin with: a revision of this repository, which is built in a worktree under `target/`. The other one is this one.
    #[arg(long, value_name = "REVISION")]
    from: String,
    /// In which order the services are replaced; may be given several times. Without any, in all six.
    #[arg(long = "order", value_name = "SERVICE,SERVICE,SERVICE", value_parser = order)]
    orders: Vec<[Service; 3]>,
    /// Payments a second.
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    rate: f64,
    /// By how much p99 may grow while services are replaced; without one, latency is told and not judged.
    #[arg(long, value_name = "RATIO")]
    max_p99_ratio: Option<f64>,
}

fn order(text: &str) -> Result<[Service; 3], String> {
    let named = |name: &str| KINDS.into_iter().find(|service| service.name() == name);
    let services: Vec<Service> =
        text.split(',').map(named).collect::<Option<_>>().ok_or("of channel, platform and gateway")?;
    match <[Service; 3]>::try_from(services) {
        Ok(services) if KINDS.iter().all(|kind| services.contains(kind)) => Ok(services),
        _ => Err("each of channel, platform and gateway once".to_owned()),
    }
}

/// Replaces every service by the other version's, and back.
///
/// # Errors
/// When a version can't be built or started.
pub async fn run(args: &Args) -> Result<Report, BenchError> {
    let old = built(&args.from)?;
    let new = Programs::own()?;
    let orders = if args.orders.is_empty() { every_order() } else { args.orders.clone() };
    let mut stage = Stage::set(COUNT, args.rate, |setup| {
        setup.script = script();
        setup.programs = KINDS.map(|service| (service, old.clone())).into();
    })
    .await?;
    let mut in_flight = InFlight::begin(&stage.system).await?;
    let quiet = stage.felt("nothing", Duration::from_secs(8), async |_, _| Ok(())).await?;
    let mut before = vec![quiet.p99_ms];
    let mut felt = vec![quiet];
    let mut wrong = Vec::new();
    for order in orders {
        for (programs, way) in [(&new, "forward"), (&old, "back")] {
            let name = format!("{}, {way}", order.map(Service::name).join(", "));
            say(&format!("{name} …"));
            let open = in_flight.open().await?;
            let mut during = stage
                .felt_while(&name, async |system, gateways| {
                    sleep(AFTER).await;
                    for service in order {
                        system.use_programs(service, programs.clone());
                        for number in 0..COUNT {
                            let replica = Replica { service, number };
                            end(system, gateways, replica).await?;
                            begin(system, gateways, replica).await?;
                            // As an orchestrator waits until the new one is ready before it goes on with the next.
                            ready(system, replica).await?;
                        }
                    }
                    sleep(AFTER).await;
                    Ok(())
                })
                .await?;
            during.p99_ratio = Figure::of(before.iter().copied()).map(|before| during.p99_ms / before.median);
            felt.push(during);
            wrong.extend(in_flight.close(open).await?.into_iter().map(|what| format!("{name}: {what}")));
            before.push(stage.felt("nothing", Duration::from_secs(2), async |_, _| Ok(())).await?.p99_ms);
        }
    }
    let (payments, books) = stage.close_with(in_flight.made).await?;
    wrong.extend(books);
    Ok(Report { felt, payments, wrong, max_p99_ratio: args.max_p99_ratio, max_unevenness_percent: 10.0 })
}

async fn ready(system: &harness::system::System, replica: Replica) -> Result<(), BenchError> {
    harness::wait::until(&format!("{replica} is ready"), Duration::from_secs(20), || async {
        let (status, _) = system.admin(replica, "/readyz").await.ok()?;
        (status == 200).then_some(())
    })
    .await?;
    // What calls it looks up where it is, and opens a stream.
    sleep(Duration::from_millis(1_200)).await;
    Ok(())
}

fn every_order() -> Vec<[Service; 3]> {
    let [a, b, c] = KINDS;
    vec![[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]]
}

/// The programs of a revision, built with the profile of this program.
fn built(revision: &str) -> Result<Programs, BenchError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let asked = Command::new("git")
        .current_dir(&root)
        .args(["rev-parse", "--verify"])
        .arg(format!("{revision}^{{commit}}"))
        .output()?;
    if !asked.status.success() {
        return Err(format!("{revision} is no revision of this repository").into());
    }
    let commit = String::from_utf8(asked.stdout)?.trim().to_owned();
    let versions = binaries::target()?.join("versions");
    fs::create_dir_all(&versions)?;
    let tree = versions.join(&commit);
    if !tree.is_dir() {
        let added = Command::new("git")
            .current_dir(&root)
            .args(["worktree", "add", "--detach", "--force"])
            .arg(&tree)
            .arg(&commit)
            .status()?;
        if !added.success() {
            return Err(format!("git has no worktree of {commit} for us").into());
        }
    }
    let folder = binaries::folder()?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let target = versions.join("target");
    say(&format!("building {commit}; the first time takes minutes"));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(&tree)
        .env("CARGO_TARGET_DIR", &target)
        .args(["build", "--quiet", "--locked", "--workspace", "--profile", profile])
        .args(KINDS.map(|service| format!("--bin={}", service.name())))
        .status()?;
    if !status.success() {
        return Err(format!("{commit} does not build; the compiler's messages are above").into());
    }
    // Another revision is built to the same place.
    let kept: PathBuf = versions.join(format!("{commit}-{profile}"));
    fs::create_dir_all(&kept)?;
    let from = target.join(if profile == "dev" { "debug" } else { profile });
    for service in KINDS {
        fs::copy(from.join(service.name()), kept.join(service.name()))?;
    }
    Programs::at(kept)
}
