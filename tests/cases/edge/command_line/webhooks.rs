//! `rialto webhooks` against a whole system, with a real receiver.

use std::time::Duration;

use harness::{
    receiver::Receiver,
    system::{BANKS, Service, System},
};

use super::{ended, json, pay, word};
use crate::bench::{funded, run, setup, shop};

#[test]
fn webhooks_are_managed_and_their_deliveries_seen() {
    run(async || {
        let mut setup = setup("line-webhooks")?;
        setup.flags.push((Service::Gateway, "--insecure-webhooks".to_owned()));
        let system = System::start(setup).await?;
        let account = funded(&shop(&system), "line-webhooks").await?;
        let receiver = Receiver::start().await?;
        let url = receiver.url("hooks");
        let line = ["webhooks", "create", &url, "--state", "succeeded", "--state", "failed"];
        let made = ended(&system, &line, 0)?;
        let (id, request) = (word(&made.out, "we_")?, word(&made.err, "cli-")?);
        word(&made.out, "whsec_")?;
        word(&made.out, "whpk_")?;
        assert!(
            made.out.contains("SUCCEEDED, FAILED") && made.err.contains("shown this once"),
            "{}",
            made.err
        );
        let again = ended(&system, &[&line[..], &["--request-id", request]].concat(), 0)?;
        assert!(again.out.contains(id) && !again.out.contains("whsec_"), "{}", again.out);
        assert!(again.err.contains("rialto webhooks rotate"), "{}", again.err);
        let refused = ended(&system, &["webhooks", "create", "ftp://canary.example/"], 1)?;
        assert!(refused.err.contains("url") && !refused.err.contains("canary"), "{}", refused.err);

        ended(&system, &pay(&account, &BANKS[0].account(1), "1", &[]), 0)?;
        receiver.wait_for(1).await?;
        let deliveries = || ended(&system, &["webhooks", "deliveries", id], 0);
        while !deliveries()?.out.contains("DELIVERED") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let event = word(&deliveries()?.out, "evt_")?.to_owned();
        assert!(deliveries()?.out.contains("204"));
        ended(&system, &["webhooks", "replay", id, "--since", "1h"], 0)?;
        let twice = receiver.wait_for(2).await?;
        assert_eq!([twice[0].header("webhook-id"), twice[1].header("webhook-id")], [event.as_str(); 2]);

        assert!(ended(&system, &["webhooks", "update", id], 2)?.err.contains("say what to change"));
        let update = |more: &[&str]| ended(&system, &[&["webhooks", "update", id], more].concat(), 0);
        assert!(update(&["--disable"])?.out.contains("DISABLED (OPERATOR)"));
        let changed = update(&["--enable", "--all-states"])?.out;
        assert!(changed.contains("OK") && changed.contains("ALL") && changed.contains(&url), "{changed}");
        let rotated = ended(&system, &["webhooks", "rotate", id, "--overlap", "1h"], 0)?.out;
        assert!(rotated.contains("old secret until"), "{rotated}");
        assert_ne!(word(&rotated, "whsec_")?, word(&made.out, "whsec_")?);
        let list = json(&system, &["webhooks", "list"], 0)?;
        assert_eq!(list["webhookEndpoints"][0]["id"], id);
        ended(&system, &["webhooks", "delete", id], 0)?;
        assert!(!ended(&system, &["webhooks", "list"], 0)?.out.contains(id));
        ended(&system, &["webhooks", "delete", id], 1).map(drop)
    });
}
