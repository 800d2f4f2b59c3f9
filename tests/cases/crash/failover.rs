//! The primary goes, in every way, and the standby takes over: nothing that was acknowledged is lost, payments go on soon, and the old primary
//! gets no write any more.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use harness::{
    binaries,
    postgres::{Postgres, own_folder},
    system::{Service, Setup, System},
    wait,
};
use sqlx::{Connection, PgConnection};

use crate::load::{Done, Load, count, count_payments, run, start_with};

/// How soon payments must go on.
const SOON: Duration = Duration::from_secs(15);

/// How long whoever watches over PostgreSQL takes here to promote the standby.
const PROMOTED_AFTER: Duration = Duration::from_secs(1);

async fn start(purpose: &str) -> Result<(System, Vec<String>), harness::BenchError> {
    start_with(Setup { is_replicated: true, ..Setup::new(own_folder(purpose)?) }).await
}

/// Promotes the standby after a while, and requires that payments go on soon after the primary `went`.
async fn take_over(system: &mut System, load: &Load, went: Instant) -> Done {
    tokio::time::sleep(PROMOTED_AFTER).await;
    system.fail_over().await?;
    load.goes_on(1).await?;
    assert!(went.elapsed() < SOON, "payments went on after {:?}", went.elapsed());
    load.goes_on(64).await
}

/// Steps of payments that a server has.
async fn steps(server: &Postgres) -> Result<i64, harness::BenchError> {
    let mut connection = PgConnection::connect_with(&server.options("rialto")).await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM payment_events").fetch_one(&mut connection).await?)
}

/// Requires that the old primary, which accepts writes, gets none, and that people are called.
async fn old_primary_is_left_alone(system: &mut System, load: &Load) -> Done {
    let before = steps(system.other_postgres()?).await?;
    load.goes_on(64).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.goes_on(64).await?;
    assert_eq!(steps(system.other_postgres()?).await?, before, "the old primary was written to");
    let log = system.folder().join("platform.log");
    let is_called = || async {
        let log = std::fs::read_to_string(&log).ok()?;
        log.lines().any(|line| line.contains("ALARM") && line.contains("was replaced")).then_some(())
    };
    wait::until("people are called", Duration::from_secs(30), is_called).await
}

#[test]
fn the_primary_dies_and_the_standby_takes_over() {
    run(async || {
        let (mut system, payers) = start("failover-kill").await?;
        let load = Load::begin(&system, &payers);
        load.goes_on(200).await?;
        system.postgres().kill()?;
        take_over(&mut system, &load, Instant::now()).await?;
        system.other_postgres()?.come_back().await?;
        old_primary_is_left_alone(&mut system, &load).await?;
        let told = load.end().await?;
        count_payments(&system, &told).await
    });
}

#[test]
fn a_primary_that_stands_still_is_left_and_gets_nothing_when_it_goes_on() {
    run(async || {
        let (mut system, payers) = start("failover-freeze").await?;
        let load = Load::begin(&system, &payers);
        load.goes_on(200).await?;
        system.postgres().freeze()?;
        take_over(&mut system, &load, Instant::now()).await?;
        system.other_postgres()?.thaw()?;
        old_primary_is_left_alone(&mut system, &load).await?;
        let told = load.end().await?;
        count_payments(&system, &told).await
    });
}

#[test]
fn a_platform_does_not_start_on_a_primary_whose_standby_left() {
    run(async || {
        let (mut system, payers) = start("failover-start").await?;
        let load = Load::begin(&system, &payers);
        load.goes_on(64).await?;
        system.postgres().kill()?;
        take_over(&mut system, &load, Instant::now()).await?;
        let told = load.end().await?;
        system.other_postgres()?.come_back().await?;
        system.postgres().kill()?;
        let before = steps(system.other_postgres()?).await?;
        system.restart(Service::Platform)?;
        let ended = system.process(Service::Platform).wait(Duration::from_secs(30))?;
        let log = std::fs::read_to_string(system.folder().join("platform.log"))?;
        let said = log.lines().last().unwrap_or_default();
        assert!(!ended.success() && said.contains("none confirms them"), "{said}");
        assert_eq!(steps(system.other_postgres()?).await?, before);
        system.postgres().come_back().await?;
        system.restart(Service::Platform)?;
        count_payments(&system, &told).await
    });
}

#[test]
fn a_commit_whose_wait_for_the_standby_is_cancelled_is_not_acknowledged() {
    run(async || {
        let (mut system, payers) = start("failover-cancel").await?;
        let load = Load::begin(&system, &payers);
        load.goes_on(200).await?;
        // Killed, not frozen: what a frozen one has not read yet it would still find in its socket.
        system.other_postgres()?.kill()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut cancelled = 0;
        let until = Instant::now() + Duration::from_secs(6);
        let mut primary = PgConnection::connect_with(&system.database()).await?;
        while Instant::now() < until {
            // Those that commit payments: whoever waits after a write, but for the commits of nothing.
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity \
                 WHERE wait_event = 'SyncRep' AND query NOT LIKE '%pg_logical_emit_message%'",
            )
            .fetch_one(&mut primary)
            .await?;
            cancelled += waiting;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(cancelled > 0, "no commit was waiting");
        system.postgres().kill()?;
        system.other_postgres()?.come_back().await?;
        take_over(&mut system, &load, Instant::now()).await?;
        let told = load.end().await?;
        count(&system, &told).await
    });
}

#[test]
fn the_standby_is_away_and_comes_back() {
    run(async || {
        let (mut system, payers) = start("failover-away").await?;
        let load = Load::begin(&system, &payers);
        load.goes_on(200).await?;
        system.other_postgres()?.freeze()?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        system.other_postgres()?.thaw()?;
        load.goes_on(64).await?;
        let processes = || async {
            let mut primary = PgConnection::connect_with(&system.database()).await.ok()?;
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut primary).await.ok()?;
            (waiting < 8).then_some(())
        };
        wait::until("nobody waits any more", Duration::from_secs(5), processes).await?;
        let told = load.end().await?;
        count(&system, &told).await
    });
}

#[test]
fn an_asynchronous_standby_is_named_at_start_and_refused_where_one_must_be_synchronous() {
    run(async || {
        let (mut system, _) = start_with(Setup::new(own_folder("asynchronous")?)).await?;
        let folder = system.folder().join("far");
        let _far = system.postgres().standby(&folder, "far").await?;
        system.restart(Service::Platform)?;
        let log = system.folder().join("platform.log");
        let is_named = || async {
            let log = std::fs::read_to_string(&log).ok()?;
            log.contains("standby far at 127.0.0.1 is asynchronous").then_some(())
        };
        wait::until("the standby is named", Duration::from_secs(20), is_named).await?;
        let seen = || async {
            let metrics = system.metrics(Service::Platform).await.ok()?;
            let labels = [("rialto_database_standby_mode", "asynchronous")];
            (metrics.sum("rialto_database_standby_count", &labels) > 0.0).then_some(())
        };
        wait::until("the standby is counted", Duration::from_secs(20), seen).await?;
        let mut command = Command::new(binaries::program("platform")?);
        command.args(["--channel=http://127.0.0.1:9", "--insecure-channel", "--listen=127.0.0.1:0"]);
        command.args(["--insecure-listen", "--insecure-database", "--require-synchronous-standby"]);
        command
            .arg("--data-key-file")
            .arg(system.data_key())
            .env("RIALTO_DATABASE_URL", system.database_url());
        let refused = command.output()?;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("--require-synchronous-standby is set"), "{said}");
        Ok(())
    });
}
