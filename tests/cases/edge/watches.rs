//! Watches that don't go well: nobody reads, servers go, what was asked for is gone. Nothing is lost by it, and nobody else notices.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use harness::{
    BenchError,
    client::{Client, insist, order, payee_on_ledger},
    system::{Service, System},
};
use proto::payments::{
    WatchPaymentsRequest, WatchPaymentsResponse, payment_service_client::PaymentServiceClient,
};
use sqlx::{Connection, PgConnection};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use crate::bench::{funded, run, setup, shop};

const PAYMENTS: usize = 2_500;
/// How long a watch may say nothing.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

fn from(position: &str) -> WatchPaymentsRequest {
    WatchPaymentsRequest { from_position: position.to_owned(), ..WatchPaymentsRequest::default() }
}

async fn watch(client: &Client, position: &str) -> Result<Streaming<WatchPaymentsResponse>, Status> {
    Ok(client.payments.clone().watch_payments(client.request(from(position), None)).await?.into_inner())
}

/// A caller's payments on this ledger, many at once. Returns the slowest.
async fn pay(
    client: &Client,
    accounts: &[String; 2],
    run: &str,
    count: usize,
) -> Result<Duration, BenchError> {
    let rows = (0..16).map(|row| {
        let (client, [payer, payee], run) = (client.clone(), accounts.clone(), run.to_owned());
        tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            for number in (row..count).step_by(16) {
                let began = Instant::now();
                let ask =
                    || order(&format!("{run}-{number}"), &payer, payee_on_ledger("Own", &payee), 1, "EUR");
                insist(|| client.pay(ask(), None)).await?;
                slowest = slowest.max(began.elapsed());
            }
            Ok::<_, Status>(slowest)
        })
    });
    let mut slowest = Duration::ZERO;
    for row in rows.collect::<Vec<_>>() {
        slowest = slowest.max(row.await??);
    }
    Ok(slowest)
}

/// Everything that a watch still says, up to so many steps or its end: the steps, the last position, and the end.
async fn read(
    watch: &mut Streaming<WatchPaymentsResponse>,
    count: usize,
) -> (Vec<String>, Option<String>, Option<Status>) {
    let (mut events, mut position) = (Vec::new(), None);
    while events.len() < count {
        let silent = |_| Err(Status::deadline_exceeded("the watch says nothing"));
        match tokio::time::timeout(LONGEST_SILENCE, watch.message()).await.unwrap_or_else(silent) {
            Ok(Some(said)) => {
                events.extend(said.event.map(|event| event.id));
                position = Some(said.position);
            }
            Ok(None) => return (events, position, None),
            Err(status) => return (events, position, Some(status)),
        }
    }
    (events, position, None)
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[test]
fn who_does_not_read_is_cut_off_loses_nothing_and_holds_up_nobody() {
    run(async || {
        let system = System::start(setup("watches")?).await?;
        let client = shop(&system);
        let accounts = [funded(&client, "payer").await?, funded(&client, "payee").await?];
        // Many over one connection, which nobody reads.
        let narrow = PaymentServiceClient::new(system.gateway()?.connect_for_streams(12));
        let mut unread = Vec::new();
        for _ in 0..12 {
            let watch = narrow.clone().watch_payments(client.request(from(""), None)).await?;
            unread.push(watch.into_inner());
        }
        let mut alive = watch(&client, "").await?;
        pay(&client, &accounts, "many", PAYMENTS).await?;
        let (heard, ..) = tokio::time::timeout(Duration::from_secs(10), read(&mut alive, PAYMENTS)).await?;
        assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), PAYMENTS);
        // From when nothing more fitted into their windows, however long the payments took.
        tokio::time::sleep(Duration::from_secs(12)).await;
        // Whoever is behind reads the log, which others don't notice either.
        pay(&client, &accounts, "more", 100).await?;
        assert_eq!(read(&mut alive, 100).await.0.len(), 100);

        for (number, watch_unread) in unread.iter_mut().enumerate().take(3) {
            let (mut events, position, end) = read(watch_unread, usize::MAX).await;
            let end = end.ok_or("ended without a word")?;
            assert_eq!(
                (end.code(), reason(&end).as_str()),
                (Code::Aborted, "WATCH_TOO_SLOW"),
                "{number}: {end}"
            );
            assert!(events.len() < PAYMENTS, "{number}: {} were waiting", events.len());
            let mut rest = watch(&client, &position.ok_or("no position")?).await?;
            events.extend(read(&mut rest, PAYMENTS + 100 - events.len()).await.0);
            let own: BTreeSet<_> = events.iter().collect();
            assert_eq!((own.len(), events.len()), (PAYMENTS + 100, PAYMENTS + 100));
            assert!(heard.iter().all(|event| own.contains(event)));
        }
        Ok(())
    });
}

#[test]
fn a_watch_goes_on_behind_servers_that_go_and_says_when_it_cannot() {
    run(async || {
        let mut system = System::start(setup("watched")?).await?;
        let client = shop(&system);
        let accounts = [funded(&client, "payer").await?, funded(&client, "payee").await?];
        let mut first = watch(&client, "").await?;
        let beginning = first.message().await?.ok_or("ended")?.position;
        let (mut heard, mut position) = (Vec::new(), beginning.clone());
        for (service, signal) in
            [(Service::Platform, "KILL"), (Service::Platform, "TERM"), (Service::Gateway, "TERM")]
        {
            pay(&client, &accounts, &format!("{}-{signal}", service.name()), 20).await?;
            let began = Instant::now();
            system.process(service).signal(signal)?;
            system.process(service).wait(Duration::from_secs(8))?;
            assert!(
                began.elapsed() < Duration::from_secs(4),
                "a watch held up {}: {:?}",
                service.name(),
                began.elapsed()
            );
            let (events, last, end) = read(&mut first, usize::MAX).await;
            heard.extend(events);
            position = last.unwrap_or(position);
            let end = end.ok_or("ended without a word")?;
            assert_eq!(end.code(), Code::Unavailable, "{} {signal}: {end}", service.name());
            system.restart(service)?;
            first = insist(|| watch(&client, &position)).await?;
        }
        heard.extend(read(&mut first, 60 - heard.len()).await.0);
        assert_eq!((heard.iter().collect::<BTreeSet<_>>().len(), heard.len()), (60, 60));

        // What is forgotten is not passed over without a word.
        let mut database = PgConnection::connect_with(&system.database()).await?;
        // The log keeps what webhooks have not passed, which they do once a second while nobody is told.
        let passed = "SELECT up_to >= next_position - 1 FROM webhooks_queued, events_placed";
        while !sqlx::query_scalar::<_, bool>(passed).fetch_one(&mut database).await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let forget = "ALTER TABLE event_log DISABLE TRIGGER event_log_placed_once;
            UPDATE event_log SET placed_at = placed_at - interval '1 day';
            ALTER TABLE event_log ENABLE TRIGGER event_log_placed_once;
            DELETE FROM event_log WHERE position < (SELECT max(position) FROM event_log)";
        sqlx::raw_sql(forget).execute(&mut database).await?;
        let gone = watch(&client, &beginning).await.map(drop).expect_err("it is not there any more");
        assert_eq!((gone.code(), reason(&gone).as_str()), (Code::OutOfRange, "POSITION_NOT_KEPT"), "{gone}");
        let mut earliest = watch(&client, "earliest").await?;
        let (rest, ..) = read(&mut earliest, 1).await;
        let kept = heard.iter().position(|event| *event == rest[0]).ok_or("never heard of")?;
        assert_eq!(read(&mut earliest, 59 - kept).await.0, heard[kept + 1..]);
        Ok(())
    });
}
