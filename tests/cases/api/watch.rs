//! What callers are told as it happens: all of their own, in order, once, wherever they begin; and waiting for one payment.

use std::time::{Duration, Instant};

use harness::{
    BenchError,
    client::{Client, is_too_late, order, payee_on_ledger},
    system::BANKS,
};
use proto::payments::{
    CaptureMode, CapturePaymentRequest, PaymentEvent, PaymentSide, PaymentState, WaitPaymentRequest,
    WatchPaymentsRequest, WatchPaymentsResponse, wait_payment_request::Key,
};
use tonic::{Code, Status, Streaming};

use crate::{
    administration::{create, disable},
    bench::{Bench, Refused, account_of, euros, refused, run, unique},
};

/// What a watch has said.
type Heard = (PaymentEvent, String);

async fn watch(
    client: &Client,
    request: WatchPaymentsRequest,
) -> Result<Streaming<WatchPaymentsResponse>, Status> {
    Ok(client.payments.clone().watch_payments(client.request(request, None)).await?.into_inner())
}

fn from(position: &str) -> WatchPaymentsRequest {
    WatchPaymentsRequest { from_position: position.to_owned(), ..WatchPaymentsRequest::default() }
}

/// The next step that the watch tells of.
async fn next(watch: &mut Streaming<WatchPaymentsResponse>) -> Result<Heard, BenchError> {
    let told = async {
        loop {
            let said = watch.message().await?.ok_or("the watch ended")?;
            if let Some(event) = said.event {
                return Ok::<_, BenchError>((event, said.position));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.map_err(|_| "nothing was said")?
}

/// The next steps, so many.
async fn take(watch: &mut Streaming<WatchPaymentsResponse>, count: usize) -> Result<Vec<Heard>, BenchError> {
    let mut heard = Vec::new();
    while heard.len() < count {
        heard.push(next(watch).await?);
    }
    Ok(heard)
}

/// The position from which on it tells, which it says first.
async fn begins_at(watch: &mut Streaming<WatchPaymentsResponse>) -> Result<String, BenchError> {
    let said = watch.message().await?.ok_or("the watch ended")?;
    assert_eq!(said.event, None);
    Ok(said.position)
}

fn steps(heard: &[Heard]) -> Vec<(String, PaymentState, i64)> {
    let step = |(event, _): &Heard| {
        let payment = event.payment.clone().unwrap_or_default();
        (payment.id.clone(), payment.state(), payment.sequence)
    };
    heard.iter().map(step).collect()
}

/// A participant of its own with a key for everything, and an account.
pub async fn somebody(bench: &Bench) -> Result<(String, Client, String), BenchError> {
    let (house, name) = (bench.house(), unique("watcher"));
    create(&house, &name).await?;
    let roles = ["payer-app", "merchant", "operator", "auditor"];
    let key = house.create_api_key(&unique("key"), &name, &roles).await?.key;
    let second = house.create_api_key(&unique("key"), &name, &["operator"]).await?.key;
    bench.until(&key, true).await?;
    bench.until(&second, true).await?;
    let client = bench.keyed(&key).approved_by(&second)?;
    let account = bench.funded(&client, "EUR", 10_000).await?;
    Ok((name, client, account))
}

#[test]
fn a_watch_tells_of_every_step_of_ones_own_in_order_and_goes_on_where_it_was_left() {
    run(async |bench| {
        use PaymentState::{Authorized, Failed, Submitted, Succeeded};
        let (_, shop, account) = somebody(bench).await?;
        let (_, other, others_account) = somebody(bench).await?;
        let mut now = watch(&shop, from("")).await?;
        let mut of_other = watch(&other, from("")).await?;
        let beginning = begins_at(&mut now).await?;
        begins_at(&mut of_other).await?;

        let paid = bench.pay(&shop, &account, &BANKS[0].account(1), 10).await?.payment;
        let rejected = bench.pay(&shop, &account, &account_of("rejects"), 10).await?.payment;
        let poor = bench.pay(&shop, &account, &BANKS[0].account(1), 1_000_000).await?.payment;
        let mut request = euros(&unique("watch"), &account, &BANKS[0].account(1), 20);
        request.set_capture(CaptureMode::Manual);
        let authorized = shop.pay(request, None).await?.payment;
        let capture = CapturePaymentRequest {
            request_id: unique("watch"),
            payment: authorized.id.clone(),
            amount: None,
        };
        let captured = shop.payments.clone().capture_payment(shop.request(capture, None)).await?.into_inner();
        let captured = captured.capture.unwrap_or_default();
        let to_other = payee_on_ledger("Somebody else", &others_account);
        let on_us = shop.pay(order(&unique("watch"), &account, to_other, 7, "EUR"), None).await?.payment;

        let heard = take(&mut now, 11).await?;
        let told = steps(&heard);
        let own = |id: &str| -> Vec<_> {
            told.iter().filter(|step| step.0 == id).map(|(_, state, sequence)| (*state, *sequence)).collect()
        };
        assert_eq!(own(&paid.id), [(Submitted, 1), (Succeeded, 2)]);
        assert_eq!(own(&rejected.id), [(Submitted, 1), (Failed, 2)]);
        assert_eq!(own(&poor.id), [(Failed, 1)]);
        assert_eq!(own(&captured.id), [(Submitted, 1), (Succeeded, 2)]);
        assert_eq!(own(&on_us.id), [(Succeeded, 1)]);
        assert_eq!(own(&authorized.id), [(Authorized, 1), (Authorized, 2), (Succeeded, 3)]);
        assert!(heard.iter().all(|(event, _)| event.side() == PaymentSide::Payer));

        // The other side hears of the one payment that reached it.
        let (event, _) = next(&mut of_other).await?;
        let told = event.payment.clone().unwrap_or_default();
        assert_eq!(
            (event.side(), told.id.as_str(), told.state()),
            (PaymentSide::Payee, on_us.id.as_str(), Succeeded)
        );
        assert_eq!(event.id, format!("evt_{}_1", on_us.id.trim_start_matches("pay_")));
        assert!(
            told.request_id.is_empty() && told.payer_account.is_empty(),
            "the payer's business: {told:?}"
        );

        // Whoever comes back hears the same again, from wherever it left.
        for (left_at, position) in
            std::iter::once(&beginning).chain(heard.iter().map(|(_, position)| position)).enumerate()
        {
            let mut again = watch(&shop, from(position)).await?;
            assert_eq!(begins_at(&mut again).await?, *position);
            assert_eq!(take(&mut again, heard.len() - left_at).await?, heard[left_at..]);
        }
        let mut earliest = watch(&shop, from("earliest")).await?;
        assert_eq!(take(&mut earliest, heard.len()).await?, heard);

        // And only what it asks for.
        let states = vec![Failed.into(), Authorized.into()];
        let mut some = watch(&shop, WatchPaymentsRequest { states, ..from(&beginning) }).await?;
        let wanted = |(event, _): &&Heard| {
            let state = event.payment.clone().unwrap_or_default().state();
            matches!(state, Failed | Authorized)
        };
        let all: Vec<_> = heard.iter().filter(wanted).cloned().collect();
        assert_eq!(take(&mut some, all.len()).await?, all);
        let empty = bench.funded(&shop, "EUR", 0).await?;
        let mut quiet =
            watch(&shop, WatchPaymentsRequest { account: empty.clone(), ..from(&beginning) }).await?;
        let to_it = order(&unique("watch"), &account, payee_on_ledger("Own", &empty), 3, "EUR");
        let to_it = shop.pay(to_it, None).await?.payment;
        assert_eq!(steps(&take(&mut quiet, 1).await?), [(to_it.id.clone(), Succeeded, 1)]);
        Ok(())
    });
}

#[test]
fn a_watch_ends_with_its_credential() {
    run(async |bench| {
        let (name, shop, _) = somebody(bench).await?;
        let mut watch = watch(&shop, from("")).await?;
        begins_at(&mut watch).await?;
        let began = Instant::now();
        disable(&bench.house(), &name).await?;
        let ended = async {
            loop {
                match watch.message().await {
                    Ok(Some(said)) => assert_eq!(said.event, None),
                    Ok(None) => return Err("the watch ended without a word".into()),
                    Err(status) => return Ok::<_, BenchError>(Refused::of(&status)),
                }
            }
        };
        let end = tokio::time::timeout(Duration::from_secs(20), ended).await??;
        assert_eq!(end, Refused::new(Code::Unauthenticated, "UNAUTHENTICATED"));
        assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
        Ok(())
    });
}

#[test]
fn a_participant_has_so_many_watches_and_no_more() {
    run(async |bench| {
        let (_, shop, _) = somebody(bench).await?;
        let mut watches = Vec::new();
        for _ in 0..20 {
            watches.push(watch(&shop, from("")).await?);
        }
        let too_many = Refused::new(Code::ResourceExhausted, "TOO_MANY_WATCHES");
        assert_eq!(refused(watch(&shop, from("")).await.map(drop))?, too_many);
        // Another participant has its own.
        let (_, other, _) = somebody(bench).await?;
        watch(&other, from("")).await?;
        watches.pop();
        let give_up = Instant::now() + Duration::from_secs(5);
        while watch(&shop, from("")).await.is_err() {
            assert!(Instant::now() < give_up, "a place was not given back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    });
}

#[test]
fn whoever_waits_for_a_payment_hears_of_its_end_at_once() {
    run(async |bench| {
        use PaymentState::{Submitted, Succeeded, Unknown};
        let shop = bench.client(0);
        let account = bench.funded(&shop, "EUR", 1_000).await?;
        let wait = async |key: Key, after_sequence, timeout_s| {
            let message = WaitPaymentRequest { key: Some(key), after_sequence };
            let request = shop.request(message, Some(Duration::from_secs(timeout_s)));
            let waited = shop.payments.clone().wait_payment(request).await?.into_inner();
            Ok::<_, Status>(waited.payment.unwrap_or_default())
        };
        let request = euros(&unique("wait"), &account, &account_of("late, for whoever waits"), 5);
        let key = || Key::RequestId(request.request_id.clone());
        let unknown = match shop.pay(request.clone(), Some(Duration::from_millis(1_300))).await {
            Err(status) if is_too_late(&status) => None,
            answer => Some(answer?.payment),
        };
        assert!(unknown.as_ref().is_none_or(|one| matches!(one.state(), Unknown | Submitted)), "{unknown:?}");
        // A deadline that comes first gets what there is.
        match wait(key(), 10, 1).await {
            Err(status) if is_too_late(&status) => {}
            as_it_is => assert!(matches!(as_it_is?.state(), Unknown | Submitted | Succeeded)),
        }
        let ended = wait(key(), 0, 30).await?;
        assert_eq!(ended.state(), Succeeded);
        assert_eq!(wait(Key::Id(ended.id.clone()), 0, 30).await?, ended);
        assert!(unknown.is_none_or(|unknown| unknown.id == ended.id));
        // Of what has gone on since, and of what is over, it hears at once.
        let began = Instant::now();
        assert_eq!(wait(key(), 1, 30).await?, ended);
        assert_eq!(wait(key(), ended.sequence, 30).await?, ended);
        assert_eq!(wait(key(), 0, 30).await?, ended);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        Ok(())
    });
}
