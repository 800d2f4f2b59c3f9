//! A silent bank delays nobody else.

use std::time::{Duration, Instant};

use harness::{BenchError, client::Client, system::BANKS, wait};
use proto::payments::PaymentState;

use crate::{
    bench::{Bench, IN_THE_END, run},
    deadlines::{script, yen},
};

/// The slowest of 98 payments in 100 to aurora, one after the other in four rows.
async fn p98(bench: &'static Bench, clients: &[(Client, String)]) -> Result<Duration, BenchError> {
    let rows: Vec<_> = clients
        .iter()
        .cloned()
        .map(|(shop, payer)| {
            tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..50 {
                    let began = Instant::now();
                    let paid = bench.pay(&shop, &payer, &BANKS[0].account(3), 1).await?.payment;
                    times.push(began.elapsed());
                    assert_eq!(paid.state(), PaymentState::Succeeded);
                }
                Ok::<_, tonic::Status>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for row in rows {
        times.extend(row.await??);
    }
    times.sort();
    Ok(times[times.len() * 98 / 100])
}

#[test]
fn two_hundred_payments_to_a_silent_bank_delay_nobody() {
    run(async |bench| {
        let _sakura = bench.sakura.lock().await;
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "JPY", 1_000).await?;
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = bench.client(0);
            let account = bench.funded(&client, "EUR", 1_000).await?;
            clients.push((client, account));
        }
        let before = p98(bench, &clients).await?;
        script(
            bench,
            serde_json::json!([{"behaviour": "silent_executed"}, {"on": "enquiry", "behaviour": "silent"}]),
        )
        .await?;
        let open: Vec<_> = (0..200)
            .map(|_| {
                let (shop, request) = (shop.clone(), yen(&payer, 1));
                tokio::spawn(async move { shop.pay(request, None).await })
            })
            .collect();
        let held = || async {
            let balance = shop.account(&payer).await.ok()?.balance?;
            (balance.held_minor_units == 200).then_some(())
        };
        wait::until("200 payments are open", Duration::from_secs(10), held).await?;
        let meanwhile = p98(bench, &clients).await?;
        let generous = (before * 5).max(Duration::from_millis(500));
        assert!(meanwhile < generous, "{meanwhile:?} while 200 wait, {before:?} before");
        script(bench, serde_json::json!([])).await?;
        let mut ended = Vec::new();
        for call in open {
            let payment = call.await??.payment;
            ended.push(wait::final_payment(&shop, &payment.id, IN_THE_END).await?);
        }
        // Whoever still waits for a connection when the bank turns out to be silent is certainly never sent; most are.
        let in_state = |state| ended.iter().filter(|payment| payment.state() == state).count();
        let (paid, failed) = (in_state(PaymentState::Succeeded), in_state(PaymentState::Failed));
        assert!(paid + failed == ended.len() && paid >= ended.len() / 2, "{paid} paid, {failed} failed");
        bench.check(&ended).await
    });
}
