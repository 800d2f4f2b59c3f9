//! How often who may call: a flood harms whoever makes it, and nobody else.

use std::time::Duration;

use harness::client::Client;
use proto::payments::{GetPaymentRequest, payment_service_client::PaymentServiceClient};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tonic::{Code, Request, Status, transport::Endpoint};
use tonic_types::StatusExt;

use crate::bench::{Alone, run};

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(3);
/// Calls that it has under way.
const AT_ONCE: usize = 64;

fn reason(status: &Status) -> String {
    let info = status.get_error_details().error_info().map(|info| info.reason.clone());
    info.unwrap_or_default()
}

#[test]
fn a_flood_of_bad_credentials_is_turned_away_and_known_callers_from_there_are_not() {
    run(async || {
        let gateway = Alone::gateway(&["--max-bad-credentials-per-min=20"])?;
        let guesser = Client::new(&gateway.route(), "guessed")?;
        let mut reasons = Vec::new();
        for _ in 0..200 {
            reasons.push(guesser.payment("pay_0").await.unwrap_err());
        }
        let (let_try, turned_away) = reasons.split_at(20);
        let codes: Vec<Code> = let_try.iter().map(Status::code).collect();
        assert_eq!(codes, [Code::Unauthenticated; 20]);
        // A minute gives a new try each three seconds.
        let away = turned_away.iter().filter(|status| reason(status) == "TOO_MANY_BAD_CREDENTIALS").count();
        assert!(away > 170, "{away}");
        let last = turned_away.last().ok_or("nobody")?.get_error_details();
        assert!(last.retry_info().and_then(|info| info.retry_delay).is_some());
        // Without a platform, a known caller hears UNAVAILABLE.
        let known = Client::new(&gateway.route(), &gateway.key)?;
        assert_eq!(known.payment("pay_0").await.unwrap_err().code(), Code::Unavailable);
        let elsewhere = Endpoint::from_shared(format!("http://{}", gateway.address))?;
        let elsewhere = elsewhere.local_address(Some("127.0.0.2".parse()?)).connect().await?;
        let mut request = Request::new(GetPaymentRequest::default());
        request.metadata_mut().insert("authorization", "Bearer guessed".parse()?);
        // An address that somebody says is theirs is not believed.
        request.metadata_mut().insert("x-forwarded-for", "127.0.0.1".parse()?);
        let unknown = PaymentServiceClient::new(elsewhere).get_payment(request).await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unauthenticated);
        Ok(())
    });
}

#[test]
fn a_participant_that_calls_too_often_hears_when_it_may_again() {
    run(async || {
        let gateway = Alone::gateway(&["--max-calls-per-s=20"])?;
        let noisy = Client::new(&gateway.route(), &gateway.key)?;
        let mut refused = Vec::new();
        for _ in 0..200 {
            let status = noisy.payment("pay_0").await.unwrap_err();
            if status.code() == Code::ResourceExhausted {
                refused.push(status);
            }
        }
        assert!(refused.len() > 50, "{}", refused.len());
        assert!(refused.iter().all(|status| reason(status) == "QUOTA_EXCEEDED"));
        let delay = refused[0].get_error_details().retry_info().and_then(|info| info.retry_delay);
        assert!(delay.is_some_and(|delay| delay.as_millis() <= 50), "{delay:?}");
        Ok(())
    });
}

/// How many calls are refused in a while, of somebody who makes them as fast as answers come.
async fn refusals(client: &Client) -> usize {
    let until = Instant::now() + FLOOD;
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let client = client.clone();
        callers.spawn(async move {
            let mut refused = 0;
            // A call that is not read is waited for no longer than the flood lasts.
            while let Ok(answer) = timeout_at(until, client.payment("pay_0")).await {
                refused += usize::from(answer.unwrap_err().code() == Code::ResourceExhausted);
            }
            refused
        });
    }
    callers.join_all().await.into_iter().sum()
}

/// When calls were let through in a while, of somebody who makes as many as there may be under way.
async fn let_through(client: &Client) -> Vec<Duration> {
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let client = client.clone();
        callers.spawn(async move {
            let mut times = Vec::new();
            while let Ok(answer) = timeout_at(began + FLOOD, client.payment("pay_0")).await {
                if answer.unwrap_err().code() != Code::ResourceExhausted {
                    times.push(began.elapsed());
                }
            }
            times
        });
    }
    callers.join_all().await.concat()
}

#[test]
fn what_a_flood_is_let_through_does_not_come_in_a_heap() {
    run(async || {
        let gateway = Alone::gateway(&["--max-calls-per-s=100"])?;
        let mut times = let_through(&Client::new(&gateway.route(), &gateway.key)?).await;
        // At first it has a second's calls at once, as anybody has.
        times.retain(|time| *time > Duration::from_secs(1));
        times.sort();
        let of_a_moment = |from: &Duration| {
            let until = *from + Duration::from_millis(100);
            times.iter().filter(|time| *time >= from && **time < until).count()
        };
        let heap = times.iter().map(of_a_moment).max().unwrap_or_default();
        assert!(times.len() > 100 && heap <= 30, "{heap} within 100 ms, of {}", times.len());
        Ok(())
    });
}

#[test]
fn a_flood_is_read_slowly_unless_somebody_else_is_on_the_same_connection() {
    run(async || {
        // So few that most callers of the flood are refused, rather than wait for their turn.
        let gateway = Alone::gateway(&["--max-calls-per-s=20"])?;
        let noisy = Client::new(&gateway.route(), &gateway.key)?;
        let slowly = refusals(&noisy).await;
        // 100 at once, 50 a second, and what was on its way.
        let bound = 100 + 50 * usize::try_from(FLOOD.as_secs())? + 2 * AT_ONCE;
        assert!((100..bound).contains(&slowly), "{slowly} of at most {bound}");
        let quiet = Client::new(&gateway.route(), &gateway.key)?;
        let began = Instant::now();
        tokio::join!(refusals(&noisy), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            quiet.payment("pay_0").await.unwrap_err();
            // It waits for its participant's turn, a second at most.
            assert!(began.elapsed() < Duration::from_millis(2500), "another connection is read as before");
        });
        let shared = Client::new(&gateway.route(), &gateway.key)?;
        let mut guessed = Request::new(GetPaymentRequest::default());
        guessed.metadata_mut().insert("authorization", "Bearer guessed".parse()?);
        let unknown = shared.payments.clone().get_payment(guessed).await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unauthenticated);
        let at_full_speed = refusals(&shared).await;
        assert!(at_full_speed > 2 * bound, "{at_full_speed}, {slowly} alone");
        Ok(())
    });
}
