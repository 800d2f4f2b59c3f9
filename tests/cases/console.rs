//! The console, as people use it: in a real headless Chromium, on a whole system; and as raw HTTP, where browsers would be too polite.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "console/bench.rs"]
mod bench;
#[path = "console/http.rs"]
mod http;

use std::fs;

use bench::{drive, run};
use harness::wait;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

#[test]
fn only_operators_and_auditors_sign_in_and_out_again() {
    run(async |bench| drive(bench, "sign_in").await);
}

#[test]
fn whose_key_is_revoked_is_signed_out_within_seconds() {
    run(async |bench| drive(bench, "revoked").await);
}

#[test]
fn payments_are_found_by_their_ids_and_listed_by_what_they_are() {
    run(async |bench| drive(bench, "search").await);
}

#[test]
fn one_payments_whole_story_is_told() {
    run(async |bench| drive(bench, "story").await);
}

#[test]
fn a_receipt_is_verified_in_the_browser_and_one_that_was_changed_is_not() {
    run(async |bench| {
        drive(bench, "receipt").await?;
        // What was downloaded is what the platform's own program reads.
        let downloaded = fs::read_to_string(bench.downloaded())?;
        let key = common::audit::note::PublicKey::parse(bench.system.audit_public_key())?;
        let shown = common::audit::receipt::verify(&downloaded, &key)?;
        assert_eq!(shown.payment.to_string(), bench.paid.id);
        Ok(())
    });
}

#[test]
fn what_happened_is_delivered_again() {
    run(async |bench| {
        let before = bench.receiver.received().len();
        drive(bench, "replay").await?;
        wait::until("the events again", PATIENCE, || async {
            (bench.receiver.received().len() > before).then_some(())
        })
        .await
    });
}

#[test]
fn texts_of_others_do_not_run() {
    run(async |bench| drive(bench, "hostile").await);
}

#[test]
fn it_fits_a_phone() {
    run(async |bench| drive(bench, "phone").await);
}

#[test]
fn it_speaks_chinese() {
    run(async |bench| drive(bench, "chinese").await);
}

#[test]
fn the_overview_renews_itself_and_can_be_read_as_tables() {
    run(async |bench| drive(bench, "live").await);
}

/// Pictures for people: `RIALTO_PICTURES=FOLDER cargo test -p tests --test console pictures -- --ignored`.
#[test]
#[ignore = "for people"]
fn pictures() {
    run(async |bench| {
        bench.busy().await?;
        drive(bench, "look").await
    });
}
