//! Callers who hang up in the middle: their payment comes to be or does not, and a repeat makes no second one.

use std::time::Duration;

use harness::{
    client::{insist, may_try_again, order, payee_by_iban},
    system::BANKS,
};

use crate::load::{Told, client, count, made_by, run, start};

#[test]
fn a_caller_who_hangs_up_pays_once() {
    run(async || {
        let (system, payers) = start("cancel").await?;
        let mut told = Told::new();
        let callers: Vec<_> = (0..32_u32)
            .map(|number| {
                let (client, payer) = (client(&system), payers[0].clone());
                tokio::spawn(async move {
                    let mut told = Told::new();
                    for count in 0..12 {
                        let id = format!("hang-up-{number}-{count}");
                        let payee = payee_by_iban("Blaise", &BANKS[0].account(number + 1));
                        let request = order(&id, &payer, payee, 7, "EUR");
                        let patience = Duration::from_micros(rand::random_range(1..60_000));
                        let first = tokio::time::timeout(patience, client.pay(request.clone(), None)).await;
                        let before = made_by(&client, &id).await?;
                        let again = insist(|| client.pay(request.clone(), None)).await?;
                        match first {
                            Ok(Err(status)) if !may_try_again(&status) => return Err(status),
                            Ok(Ok(first)) => assert_eq!(first.payment, again.payment, "{id}"),
                            _ => (),
                        }
                        // What a read has shown is what the repeat returns.
                        if let Some(before) = before {
                            assert_eq!((before.id, again.replayed), (again.payment.id.clone(), true), "{id}");
                        }
                        told.insert(id, Some(again.payment));
                    }
                    Ok::<_, tonic::Status>(told)
                })
            })
            .collect();
        for caller in callers {
            told.extend(caller.await??);
        }
        assert_eq!(told.len(), 32 * 12);
        // Those who hang up and never come back leave nothing open either.
        let client = client(&system);
        for number in 0..200 {
            let payee = payee_by_iban("Blaise", &BANKS[0].account(1));
            let request = order(&format!("gone-{number}"), &payers[1], payee, 7, "EUR");
            let patience = Duration::from_micros(rand::random_range(1..5_000));
            let _ = tokio::time::timeout(patience, client.pay(request, None)).await;
        }
        count(&system, &told).await
    });
}
