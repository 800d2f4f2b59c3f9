//! The load generator and `cargo load`, against a system of their own.

use std::{path::Path, process::Output, sync::OnceLock, time::Duration};

use harness::{
    binaries,
    load::{Load, Plan, Spread},
    process::Process,
    system::{Service, System},
};
use serde_json::Value;
use tokio::{process::Command, sync::Mutex};

use crate::bench::{run, setup};

/// The system, which one test at a time loads.
async fn system() -> tokio::sync::MutexGuard<'static, Option<System>> {
    static SYSTEM: OnceLock<Mutex<Option<System>>> = OnceLock::new();
    let mut system = SYSTEM.get_or_init(Mutex::default).lock().await;
    if system.is_none() {
        *system = Some(System::start(setup("load").unwrap()).await.unwrap());
    }
    system
}

async fn load(system: &System, plan: Plan) -> Load {
    let plan = Plan { payers: 20, payees: 20, connections: 2, ..plan };
    Load::open(&system.gateway().unwrap(), system.operators(0), plan).await.unwrap()
}

/// The program `load` with these flags, on a gateway.
async fn program(ca: Option<&Path>, gateway: &str, [key, second]: [&str; 2], flags: &[&str]) -> Output {
    let mut command = Command::new(binaries::program("load").unwrap());
    command.args(flags).env("GATEWAY", gateway).env("KEY", key).env("SECOND_KEY", second);
    ca.map(|ca| command.env("CA", ca));
    command.output().await.unwrap()
}

#[test]
fn what_a_closed_loop_counts_is_what_the_ledger_has() {
    run(async || {
        let system = system().await;
        let system = system.as_ref().unwrap();
        let plan = Plan { on_us_percent: 30, refused_percent: 20, spread: Spread::Zipf, ..Plan::default() };
        let load = load(system, Plan { prefix: "closed".to_owned(), ..plan }).await;
        let measured = load.closed(8, Duration::from_secs(1)).await;
        assert!(measured.good > 20, "{measured:?}");
        let of = |state: &str| measured.states.get(state).copied().unwrap_or_default();
        assert_eq!(of("SUCCEEDED"), measured.good);
        assert_eq!(of("SUCCEEDED") + of("FAILED"), measured.due, "{}", measured.others());
        assert_eq!(measured.reasons.get("INSUFFICIENT_FUNDS").copied().unwrap_or_default(), of("FAILED"));
        let refused_percent = of("FAILED") * 100 / measured.due;
        assert!((5..40).contains(&refused_percent), "{refused_percent} %");
        assert_eq!(load.succeeded(), measured.good);
        let database = sqlx::PgPool::connect_with(system.database()).await?;
        let (all, on_us): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE bank_id IS NULL) FROM payments \
             WHERE request_id LIKE 'closed-%' AND state = 'SUCCEEDED'",
        )
        .fetch_one(&database)
        .await?;
        assert_eq!(u64::try_from(all)?, measured.good);
        let on_us_percent = on_us * 100 / all;
        assert!((10..55).contains(&on_us_percent), "{on_us_percent} %");
        Ok(())
    });
}

#[test]
fn a_system_that_stalls_cannot_hide_it_from_an_open_loop() {
    run(async || {
        let mut system = system().await;
        let system = system.as_mut().unwrap();
        let plan =
            Plan { prefix: "stall".to_owned(), spread: Spread::One, on_us_percent: 100, ..Plan::default() };
        let load = load(system, plan).await;
        load.closed(4, Duration::from_millis(300)).await;
        let (measured, ()) = tokio::join!(
            load.open_loop(100.0, Duration::from_secs(2)),
            stall(system.process(Service::Gateway), Duration::from_millis(800)),
        );
        assert_eq!((measured.due, measured.good), (200, 200), "{}", measured.others());
        // 80 of 200 calls were due while nobody answered: on average each waited half of the time.
        assert!(measured.latency_ms(90.0) > 400.0, "p90 {}", measured.latency_ms(90.0));
        assert!(measured.max_ms() > 700.0, "max {}", measured.max_ms());
        assert!(measured.latency_ms(30.0) < 400.0, "p30 {}", measured.latency_ms(30.0));
        Ok(())
    });
}

#[test]
fn a_load_that_stalls_itself_does_not_call_it_the_calls_beginning() {
    run(async || {
        let system = system().await;
        let system = system.as_ref().unwrap();
        let (gateway, keys) = (system.gateway()?, system.operators(0).map(str::to_owned));
        let late = tokio::task::spawn_blocking(move || {
            let one_thread = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            one_thread.block_on(async {
                let plan = Plan {
                    payers: 5,
                    payees: 5,
                    on_us_percent: 100,
                    prefix: "late".to_owned(),
                    ..Plan::default()
                };
                let load = Load::open(&gateway, keys.each_ref().map(String::as_str), plan).await.unwrap();
                let block = async {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    std::thread::sleep(Duration::from_millis(600));
                };
                tokio::join!(load.open_loop(100.0, Duration::from_secs(1)), block).0
            })
        });
        let late = late.await?;
        assert_eq!((late.due, late.good), (100, 100), "{}", late.others());
        assert!(
            late.latency_ms(90.0) > 400.0,
            "60 calls were late by up to 600 ms: {}",
            late.latency_ms(90.0)
        );
        Ok(())
    });
}

/// Stops a process for a while, half a second from now.
async fn stall(process: &mut Process, lasts: Duration) {
    tokio::time::sleep(Duration::from_millis(500)).await;
    process.signal("STOP").unwrap();
    tokio::time::sleep(lasts).await;
    process.signal("CONT").unwrap();
}

#[test]
fn a_load_that_is_stopped_tells_what_it_had() {
    run(async || {
        let system = system().await;
        let load =
            load(system.as_ref().unwrap(), Plan { prefix: "stopped".to_owned(), ..Plan::default() }).await;
        let stop = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            load.stop();
        };
        let (measured, ()) = tokio::join!(load.open_loop(50.0, Duration::from_secs(60)), stop);
        assert!((10..=30).contains(&measured.due), "{}", measured.due);
        assert!(measured.lasted < Duration::from_secs(2), "{:?}", measured.lasted);
        Ok(())
    });
}

#[test]
fn the_program_prints_json_whose_counts_add_up_and_draws_a_picture() {
    run(async || {
        let system = system().await;
        let system = system.as_ref().unwrap();
        let (picture, ca) = (system.folder().join("load.svg"), system.certificates().ca());
        let bank_control = format!("http://{}", system.address(Service::Bank));
        let flags = [
            "--json",
            "--rate=60",
            "--duration=1s",
            "--warm-up=100ms",
            "--payers=5",
            "--payees=5",
            "--slow=100",
            "--slow-by=150ms",
            "--bank-control",
            &bank_control,
            "--plot",
            picture.to_str().unwrap(),
        ];
        let output = program(Some(&ca), system.address(Service::Gateway), system.operators(0), &flags).await;
        let said = String::from_utf8(output.stderr)?;
        assert!(output.status.success(), "{said}");
        let told: Value = serde_json::from_slice(&output.stdout)?;
        let number = |path: &str| told.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        assert_eq!(
            (number("/calls"), number("/succeeded"), number("/states/SUCCEEDED")),
            (60, 60, 60),
            "{told}"
        );
        let p50 = told.pointer("/latency_ms/p50").and_then(Value::as_f64).unwrap_or_default();
        assert!(p50 >= 150.0, "every bank answers late: {p50}");
        assert_eq!(told.pointer("/settings/database/fsync"), Some(&Value::Bool(true)));
        assert_eq!(told.pointer("/settings/hops/0/security"), Some(&Value::from("TLS")));
        let picture = std::fs::read_to_string(picture)?;
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        for text in ["p99", "payments/s", "seconds", "60/s asked for"] {
            assert!(picture.contains(text), "{text}");
        }
        Ok(())
    });
}

#[test]
fn the_program_says_what_to_do_about_what_is_wrong() {
    run(async || {
        let system = system().await;
        let system = system.as_ref().unwrap();
        let (gateway, keys, auditor) =
            (system.address(Service::Gateway), system.operators(0), system.credential(2));
        let [key, second] = keys;
        let ca = system.certificates().ca();
        let ours = Some(ca.as_path());
        let others = system.certificates().file("peer-ca");
        for (ca, gateway, keys, flags, says) in [
            (
                ours,
                "127.0.0.1:1",
                keys,
                &[][..],
                "Connection refused (os error 111)): say where the gateway is",
            ),
            (ours, gateway, ["rk_x", second], &[], "does not know this key"),
            (ours, gateway, [key, key], &[], "whoever proposed a deposit does not approve it"),
            (ours, gateway, [auditor, second], &[], "needs the roles payer-app, merchant and operator"),
            (ours, gateway, keys, &["--slow=5"], "--slow needs simulated banks"),
            (None, "https://127.0.0.1:1", keys, &[], "needs --ca"),
            (Some(&others), gateway, keys, &[], "certificate"),
        ] {
            let output = program(ca, gateway, keys, flags).await;
            let said = String::from_utf8(output.stderr)?;
            assert!(!output.status.success() && said.contains(says), "{says}: {said}");
        }
        Ok(())
    });
}
