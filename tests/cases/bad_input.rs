//! What must be refused, in one table: each row is a call as bytes, and the one answer to it. Whatever the row, nothing is written,
//! nothing is INTERNAL or UNKNOWN, nothing of it stands in a log as it was sent, and nobody panics.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "bad_input/accounts.rs"]
mod accounts;
#[path = "bad_input/administration.rs"]
mod administration;
#[path = "bad_input/bench.rs"]
mod bench;
#[path = "bad_input/credentials.rs"]
mod credentials;
#[path = "bad_input/deposits.rs"]
mod deposits;
#[path = "bad_input/http.rs"]
mod http;
#[path = "bad_input/lifecycle.rs"]
mod lifecycle;
#[path = "bad_input/limits.rs"]
mod limits;
#[path = "bad_input/notices.rs"]
mod notices;
#[path = "bad_input/overview.rs"]
mod overview;
#[path = "bad_input/payments.rs"]
mod payments;
#[path = "bad_input/reads.rs"]
mod reads;
#[path = "bad_input/values.rs"]
mod values;
#[path = "bad_input/webhooks.rs"]
mod webhooks;
#[path = "bad_input/wire.rs"]
mod wire;

use bench::judged;

#[test]
fn every_row_is_refused_as_it_says_and_leaves_nothing_behind() {
    judged(|given| {
        let mut rows = payments::rows(given);
        rows.extend(lifecycle::rows(given));
        rows.extend(accounts::rows(given));
        rows.extend(deposits::rows(given));
        rows.extend(limits::rows(given));
        rows.extend(reads::rows(given));
        rows.extend(overview::rows(given));
        rows.extend(administration::rows(given));
        rows.extend(webhooks::rows(given));
        rows.extend(credentials::rows(given));
        rows.extend(wire::rows(given));
        rows
    });
}
