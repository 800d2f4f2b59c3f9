//! kill -9 of each process at random moments under load; the callers try again, and nothing is lost or doubled.

use std::time::Duration;

use harness::system::Service;

use crate::load::{Done, Load, count, run, start};

/// How often each service is killed.
const KILLS: u32 = 5;

/// A random moment from now.
async fn some_time() {
    tokio::time::sleep(Duration::from_millis(rand::random_range(50..600))).await;
}

/// Kills a service again and again, each time as soon as the system works.
async fn kill(service: Service) -> Done {
    let (mut system, payers) = start(&format!("kill-{}", service.name())).await?;
    let load = Load::begin(&system, &payers);
    for _ in 0..KILLS {
        load.goes_on(64).await?;
        some_time().await;
        system.restart(service)?;
    }
    load.goes_on(64).await?;
    let told = load.end().await?;
    count(&system, &told).await
}

#[test]
fn the_platform_dies() {
    run(|| kill(Service::Platform));
}

#[test]
fn the_channel_dies() {
    run(|| kill(Service::Channel));
}

#[test]
fn the_gateway_dies() {
    run(|| kill(Service::Gateway));
}

#[test]
fn the_banks_die() {
    run(|| kill(Service::Bank));
}

#[test]
fn postgresql_dies() {
    run(async || {
        let (mut system, payers) = start("kill-postgresql").await?;
        let load = Load::begin(&system, &payers);
        for _ in 0..KILLS {
            load.goes_on(64).await?;
            some_time().await;
            system.postgres().crash_and_restart().await?;
        }
        load.goes_on(64).await?;
        let told = load.end().await?;
        count(&system, &told).await
    });
}

#[test]
fn everything_dies_at_once() {
    run(async || {
        let (mut system, payers) = start("kill-all").await?;
        let load = Load::begin(&system, &payers);
        for _ in 0..2 {
            load.goes_on(64).await?;
            some_time().await;
            for service in Service::ALL {
                system.process(service).signal("KILL")?;
            }
            system.postgres().crash_and_restart().await?;
            for service in Service::ALL {
                system.restart(service)?;
            }
        }
        load.goes_on(64).await?;
        let told = load.end().await?;
        count(&system, &told).await
    });
}
