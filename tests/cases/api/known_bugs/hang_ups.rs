//! Callers who hang up at any moment: nothing stays open, and a repeat makes nothing twice.

use std::time::{Duration, Instant};

use harness::{BenchError, client::Client, system::System, wait};
use proto::payments::{GetPaymentRequest, Payment, PaymentState, get_payment_request::Key};
use sqlx::{Connection, PgConnection};
use tonic::{Code, Status};

use super::{Call, PAID, client, run};
use crate::bench::{Done, IN_THE_END, unique};

/// Callers at once, and how often each does everything.
const CALLERS: usize = 4;
const ROUNDS: usize = 24;

/// Asks, and hangs up after a random time, to the microsecond.
async fn hang_up(client: &Client, call: &Call, id: &str) -> bool {
    let moment = Instant::now() + Duration::from_micros(rand::random_range(0..25_000));
    let (caller, call, id) = (client.clone(), call.clone(), id.to_owned());
    let asking = tokio::spawn(async move { call.ask(&caller, &id, None).await });
    // The runtime's timer counts milliseconds.
    tokio::time::sleep_until((moment - Duration::from_millis(1).min(moment - Instant::now())).into()).await;
    while Instant::now() < moment {
        tokio::task::yield_now().await;
    }
    asking.abort();
    asking.await.is_err()
}

/// The payment that a request made, if it made one.
async fn made_by(client: &Client, id: &str) -> Result<Option<Payment>, Status> {
    let message = GetPaymentRequest { key: Some(Key::RequestId(id.to_owned())) };
    match client.payments.clone().get_payment(client.request(message, None)).await {
        Ok(answer) => Ok(answer.into_inner().payment),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

/// Hangs up, then asks again and waits for the end.
async fn twice(client: &Client, call: &Call, hung_up: &mut usize) -> Result<Payment, BenchError> {
    let id = unique("hang-up");
    *hung_up += usize::from(hang_up(client, call, &id).await);
    let before = match call {
        Call::Cancel { .. } => None,
        _ => made_by(client, &id).await?,
    };
    let (again, replayed) = call.ask(client, &id, None).await?;
    if let Some(before) = before {
        // What a read has shown is whole, and what the repeat returns.
        assert_eq!((&before.id, before.kind, &before.amount), (&again.id, again.kind, &again.amount));
        assert!(replayed, "{id}");
    }
    Ok(again)
}

/// Pays, authorizes, captures a part, cancels the rest and refunds a part of that; returns how often it hung up.
async fn do_everything(client: &Client, from: String) -> Result<usize, BenchError> {
    let mut hung_up = 0;
    for _ in 0..ROUNDS {
        let pay = |is_manual| Call::Pay { from: from.clone(), to: PAID, minor_units: 100, is_manual };
        let paid = twice(client, &pay(false), &mut hung_up).await?;
        let authorized = twice(client, &pay(true), &mut hung_up).await?;
        let capture = Call::Capture { of: authorized.id.clone(), minor_units: 60 };
        let captured = twice(client, &capture, &mut hung_up).await?;
        let cancelled = twice(client, &Call::Cancel { of: authorized.id }, &mut hung_up).await?;
        let refund = Call::Refund { of: captured.id.clone(), minor_units: 20 };
        let refunded = twice(client, &refund, &mut hung_up).await?;
        for payment in [paid, captured, cancelled, refunded] {
            let read = wait::final_payment(client, &payment.id, IN_THE_END).await?;
            assert_eq!(read.state(), PaymentState::Succeeded, "{read:?}");
        }
    }
    Ok(hung_up)
}

/// Requires that no transaction is open for long, and waits until none is open at all.
async fn nothing_stays_open(system: &System) -> Done {
    let mut database = PgConnection::connect_with(&system.database()).await?;
    let forgotten = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND pid <> pg_backend_pid() AND now() - xact_start > interval '2 seconds'";
    let forgotten: i64 = sqlx::query_scalar(forgotten).fetch_one(&mut database).await?;
    assert_eq!(forgotten, 0, "transactions stay open");
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rialto-platform' AND state <> 'idle'";
    for _ in 0..400 {
        let open: i64 = sqlx::query_scalar(open).fetch_one(&mut database).await?;
        if open == 0 {
            return Ok(database.close().await?);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err("the platform's connections are never all idle".into())
}

#[test]
fn cancelled_client_calls_at_random_microseconds_leave_no_open_transaction() {
    run(async |system, shop, account| {
        let callers = (0..CALLERS).map(|_| {
            let (client, account) = (client(system), account.clone());
            tokio::spawn(
                async move { do_everything(&client, account).await.map_err(|error| error.to_string()) },
            )
        });
        let mut hung_up = 0;
        for caller in callers.collect::<Vec<_>>() {
            hung_up += caller.await??;
        }
        nothing_stays_open(system).await?;
        assert!(hung_up > CALLERS * ROUNDS, "only {hung_up} hung up");
        // Each did once what it asked for twice: 100 paid, 60 captured, 20 given back.
        let rounds = i64::try_from(CALLERS * ROUNDS)?;
        let balance = shop.account(&account).await?.balance.unwrap_or_default();
        assert_eq!((balance.held_minor_units, balance.posted_minor_units), (0, 1_000_000 - 140 * rounds));
        Ok(())
    });
}
