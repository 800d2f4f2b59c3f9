//! Metrics: what the running services say of themselves is what was done, and nothing of whom it was done for.

use std::time::{Duration, Instant};

use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    http2::{END_HEADERS, PREFACE, call, frame, kind},
    postgres::own_folder,
    scrape::{self, Scrape},
    system::{BANKS, Service, System},
    wait,
};
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::metadata::MetadataMap;

use crate::bench::{Alone, HANGS_UP, funded, run, setup, shop};

const MEASURED: [Service; 3] = [Service::Gateway, Service::Platform, Service::Channel];
/// An account at the first bank that is credited less than was instructed.
const SHORT: u32 = 7;
const LOOK: Duration = Duration::from_secs(20);

async fn pay(
    client: &Client,
    payer: &str,
    request_id: &str,
    account: u32,
    amount: i64,
) -> Result<(), BenchError> {
    let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(account));
    client.pay(order(request_id, payer, payee, amount, "EUR"), None).await?;
    Ok(())
}

/// What a service says, once it is so.
async fn once(
    system: &System,
    service: Service,
    what: &str,
    is_so: impl Fn(&Scrape) -> bool,
) -> Result<Scrape, BenchError> {
    wait::until(what, LOOK, || async { system.metrics(service).await.ok().filter(&is_so) }).await
}

#[test]
fn metrics_tell_what_was_done() {
    run(async || {
        let mut setup = setup("metrics")?;
        (setup.times.answer_timeout_ms, setup.times.enquire_after_ms) = (1_000, 50_000);
        setup.script += &format!(
            "[[aurora]]\naccount = \"{}\"\nbehaviour = {{ deduct = {{ minor_units = 1, told = true }} }}\n",
            BANKS[0].account(SHORT)
        );
        let system = System::start(setup).await?;
        for service in MEASURED {
            for path in ["/healthz", "/readyz"] {
                assert_eq!(system.admin(service, path).await?.0, 200, "{} of {}", path, service.name());
            }
            assert_eq!(system.admin(service, "/nothing").await?.0, 404);
        }
        let shop = shop(&system);
        let payer = funded(&shop, "metrics").await?;
        for number in 0..3 {
            pay(&shop, &payer, &format!("good-{number}"), 1, 100).await?;
        }
        pay(&shop, &payer, "too-much", 1, 10_000_000).await?;
        pay(&shop, &payer, "hangs-up", HANGS_UP, 100).await?;
        pay(&shop, &payer, "short", SHORT, 100).await?;
        Client::new(&system.gateway()?, "rk_nobody")?.account(&payer).await.unwrap_err();
        let path = "/rialto.payments.v1.PaymentService/Canary";
        let channel = system.gateway()?.connect();
        harness::raw::call(channel, path, MetadataMap::new(), vec![Vec::new()]).await.unwrap_err();

        let gateway = once(&system, Service::Gateway, "the calls", |seen| {
            seen.sum("rpc_server_call_duration_seconds_count", &[("rpc_method", "_OTHER")]) == 1.0
        })
        .await?;
        let served = |method, code| {
            let labels =
                [("rpc_method", method), ("rpc_response_status_code", code), ("rpc_system_name", "grpc")];
            gateway.sum("rpc_server_call_duration_seconds_count", &labels)
        };
        assert_eq!(served("rialto.payments.v1.PaymentService/CreatePayment", "OK"), 6.0);
        assert_eq!(served("rialto.accounts.v1.AccountService/GetAccount", "UNAUTHENTICATED"), 1.0);
        assert_eq!(served("_OTHER", "UNIMPLEMENTED"), 1.0);
        assert_eq!(gateway.sum("rialto_faults_total", &[("rialto_fault_reason", "UNAUTHENTICATED")]), 1.0);
        assert_eq!(gateway.sum("rialto_hop_open", &[("rialto_hop_to", "platform")]), 1.0);
        assert!(gateway.sum("rialto_hop_duration_seconds_count", &[("rialto_hop_to", "platform")]) >= 6.0);

        let aurora = ("rialto_bank_id", BANKS[0].id);
        let state = |state| [("rialto_payment_state", state), aurora];
        let platform = once(&system, Service::Platform, "what is under way", |seen| {
            seen.sum("rialto_payment_under_way_count", &state("UNKNOWN")) == 1.0
                && seen.sum("rialto_payment_under_way_count", &state("INVESTIGATE")) == 1.0
        })
        .await?;
        let events = |of, reason| {
            let [state, aurora] = state(of);
            platform.sum("rialto_payment_events_total", &[state, aurora, ("rialto_reason", reason)])
        };
        assert_eq!(events("SUCCEEDED", ""), 3.0);
        assert_eq!(events("SUBMITTED", ""), 5.0);
        assert_eq!(events("UNKNOWN", "CONNECTION_BROKEN"), 1.0);
        assert_eq!(events("FAILED", "INSUFFICIENT_FUNDS"), 1.0);
        let created = [("rialto_command_name", "CreatePayment"), ("rpc_response_status_code", "OK")];
        assert_eq!(platform.sum("rialto_command_duration_seconds_count", &created), 6.0);
        // Each of the six payments was written, and each of the five that were sent concluded; two deposits' steps besides.
        assert!(platform.sum("rialto_ledger_batch_size_sum", &[]) >= 13.0);
        let batches = platform.sum("rialto_ledger_batch_size_count", &[]);
        assert_eq!(platform.sum("rialto_ledger_batch_duration_seconds_count", &[]), batches);
        assert_eq!(platform.sum("rialto_queue_depth", &[aurora, ("rialto_queue_work", "ENQUIRE")]), 1.0);
        assert_eq!(platform.sum("rialto_queue_age_seconds", &[aurora]), 0.0, "nothing is due yet");
        let age = platform.sum("rialto_payment_under_way_age_seconds", &state("UNKNOWN"));
        assert!(age > 0.0 && age < 60.0, "{age}");
        assert_eq!(platform.sum("rialto_alarm_count", &[]), 1.0);
        assert_eq!(platform.sum("db_client_connection_max", &[]), 8.0);
        assert_eq!(platform.sum("rialto_ledger_violation_count", &[]), 0.0);

        let channel = system.metrics(Service::Channel).await?;
        let carried = |verdict, reason| {
            let labels = [aurora, ("rialto_bank_verdict", verdict), ("rialto_reason", reason)];
            channel.sum("rialto_bank_instructions_total", &labels)
        };
        assert_eq!(carried("accepted", ""), 3.0);
        assert_eq!(carried("unknown", "CONNECTION_BROKEN"), 1.0);
        assert_eq!(carried("unknown", "ANSWER_CONTRADICTS_AMOUNT"), 1.0);
        assert_eq!(channel.sum("rialto_bank_request_duration_seconds_count", &[aurora]), 5.0);
        assert_eq!(channel.sum("rialto_bank_online", &[]), 3.0, "all banks");
        assert_eq!(channel.sum("rialto_bank_in_flight_count", &[]), 0.0);

        document_says_so(&[gateway, platform, channel])?;
        a_ledger_that_does_not_add_up_shows(&system).await
    });
}

#[test]
fn the_admin_server_is_a_door_with_limits() {
    const MAX_FROM_HERE: usize = 32;
    run(async || {
        let file = own_folder("admin")?.join("admin-address");
        let told = format!("--admin-address-file={}", file.display());
        let mut gateway = Alone::gateway(&["--admin-listen=127.0.0.1:0", &told, "--drain-timeout=20s"])?;
        let address = gateway.process.wait_for_file(&file)?.trim().to_owned();
        let status = async |path: &str| {
            Ok::<_, BenchError>(reqwest::get(format!("http://{address}{path}")).await?.status())
        };
        assert_eq!(status("/readyz").await?, 200);
        let posted = reqwest::Client::new().post(format!("http://{address}/metrics")).send().await?;
        assert_eq!(posted.status(), 405);
        // Connections of those calls may be kept.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        let mut silent = Vec::new();
        for _ in 0..MAX_FROM_HERE + 1 {
            silent.push(TcpStream::connect(&address).await?);
        }
        let mut byte = [0];
        let last = silent.last_mut().ok_or("none")?;
        let closed = tokio::time::timeout(Duration::from_secs(2), last.read(&mut byte)).await;
        assert!(closed.is_ok(), "one too many from here, and it stays");
        assert!(status("/readyz").await.is_err(), "so is whoever comes next");
        let closed = tokio::time::timeout(Duration::from_secs(8), silent[0].read(&mut byte)).await;
        assert!(closed.is_ok_and(|read| read.is_ok_and(|count| count == 0)), "whoever says nothing stays");
        assert!(began.elapsed() > Duration::from_secs(4), "it was closed too soon to have said anything");
        drop(silent);

        // A drain shows, and can be watched: a call that never ends keeps it going.
        let mut held = TcpStream::connect(&gateway.address).await?;
        let headers = call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &[]);
        let (settings, headers) =
            (frame(kind::SETTINGS, 0, 0, &[]), frame(kind::HEADERS, END_HEADERS, 1, &headers));
        held.write_all(&[PREFACE, &settings, &headers].concat()).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        gateway.process.signal("TERM")?;
        let drains = || async { (status("/readyz").await.ok()? == 503).then_some(()) };
        wait::until("the drain shows", Duration::from_secs(5), drains).await?;
        assert_eq!(status("/metrics").await?, 200);
        Ok(())
    });
}

async fn a_ledger_that_does_not_add_up_shows(system: &System) -> Result<(), BenchError> {
    let mut database = PgConnection::connect_with(&system.database()).await?;
    for (what, column, invariants) in [
        ("debits", "debits_posted", &["debits_equal_credits"][..]),
        ("holds", "debits_pending", &["debits_equal_credits", "holds_equal_payments_under_way"]),
    ] {
        for (change, count) in [("+ 1", 1.0), ("- 1", 0.0)] {
            let sql = format!(
                "UPDATE accounts SET {column} = {column} {change} WHERE may_overdraw AND NOT is_suspense \
                 AND currency = 'EUR' AND bank_id = '{}'",
                BANKS[0].id
            );
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut database).await?;
            once(system, Service::Platform, what, |seen| {
                ["debits_equal_credits", "holds_equal_payments_under_way", "no_account_overdrawn"].iter().all(
                    |name| {
                        let expected = if invariants.contains(name) { count } else { 0.0 };
                        seen.sum("rialto_ledger_violation_count", &[("rialto_ledger_invariant", name)])
                            == expected
                    },
                )
            })
            .await?;
        }
    }
    Ok(())
}

/// Compares with the table of `docs/telemetry.md`: each family that was scraped is there, of its type and with its labels.
fn document_says_so(scrapes: &[Scrape]) -> Result<(), BenchError> {
    let told = scrape::documented()?;
    let mut problems = Vec::new();
    for scrape in scrapes {
        for (family, kind) in scrape.types.iter().filter(|(family, _)| *family != "target_info") {
            match told.get(family) {
                None => problems.push(format!("{family} is not there")),
                Some((told_kind, told_labels)) => {
                    if told_kind != kind {
                        problems.push(format!("{family} is a {kind}, there a {told_kind}"));
                    }
                    let labels: Vec<String> = scrape.labels(family).into_iter().map(str::to_owned).collect();
                    if labels != *told_labels {
                        problems.push(format!("{family} has {labels:?}, there {told_labels:?}"));
                    }
                }
            }
        }
    }
    assert!(problems.is_empty(), "docs/telemetry.md: {}", problems.join("; "));
    Ok(())
}
