//! Signatures from end to end: what a bank says is believed only if it has signed it, over HTTP/2 and TLS both ways.

use std::time::Duration;

use harness::{
    client::{order, payee_by_iban},
    system::{BANKS, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::payments::PaymentState;
use serde_json::{Value, json};

use crate::{
    bench::{funded, run, setup, shop},
    notices::{answered, put},
};

/// What can be wrong with a signature.
const WRONG: [&str; 6] = ["missing", "other_body", "other_key", "alg_none", "hs256", "twice"];
/// Sooner than the first enquiry.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn nothing_that_a_bank_has_not_signed_ends_a_payment() {
    run(async || {
        let mut setup = setup("signatures")?.over_http2();
        setup.signing = &[BANKS[0].id];
        setup.notice_listen = Some("127.0.0.1:0".to_owned());
        setup.times.enquire_after_ms = 4_000;
        let system = System::start(setup).await?;
        put(&system, "notice-url", system.notice_url("aurora")?).await?;
        let account = |number: usize| BANKS[0].account(u32::try_from(number).unwrap_or_default());
        let answers = WRONG.iter().enumerate().map(
            |(number, wrong)| json!({ "account": account(number + 1), "behaviour": { "signature": wrong } }),
        );
        let refused = |wrong: &&str| json!({ "status": "RJCT", "code": "AC04", "signature": wrong });
        let mut notices: Vec<Value> = WRONG.iter().map(refused).collect();
        notices.push(json!({}));
        let silent =
            json!({ "account": account(90), "behaviour": "silent_executed", "notices": notices.clone() });
        let script: Vec<Value> = answers.chain([silent]).collect();
        put(&system, "script", json!(script).to_string()).await?;
        let client = shop(&system);
        let payer = funded(&client, "signatures").await?;
        let pay = async |number: usize| {
            let payee = payee_by_iban("Grace", &account(number));
            client.pay(order(&format!("signed-{number}"), &payer, payee, 100, "EUR"), Some(SOON)).await
        };
        let signed = pay(80).await?.payment;
        assert_eq!(signed.state(), PaymentState::Succeeded, "{signed:?}");

        // Refusals that are not signed are refused themselves, and change nothing; the truth is signed.
        let told = pay(90).await?.payment;
        assert_eq!(told.state(), PaymentState::Succeeded, "by the one notice that is signed: {told:?}");
        let notices = answered(&system).await?;
        assert_eq!(notices["answers"], json!({ "200": 1, "401": WRONG.len() }), "{notices}");

        let mut doubtful = Vec::new();
        for (number, wrong) in WRONG.iter().enumerate() {
            let payment = pay(number + 1).await?.payment;
            assert_eq!(payment.state(), PaymentState::Unknown, "{wrong}: {payment:?}");
            doubtful.push(payment.id);
        }
        for id in doubtful {
            let payment = wait::final_payment(&client, &id, Duration::from_secs(20)).await?;
            assert_eq!(payment.state(), PaymentState::Succeeded, "an enquiry is answered and signed");
        }
        assert_eq!(system.compare_with_banks().await?, Vec::<String>::new());
        let balance = TrialBalance::take(&system.database()).await?;
        assert!(balance.is_ok(), "{balance}");
        Ok(())
    });
}
