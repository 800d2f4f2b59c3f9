//! What callers see: the whole system as real processes, asked through gRPC as any client would.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "api/administration.rs"]
mod administration;
#[path = "api/authority.rs"]
mod authority;
#[path = "api/bench.rs"]
mod bench;
#[path = "api/deadlines.rs"]
mod deadlines;
#[path = "api/deposits.rs"]
mod deposits;
#[path = "api/idempotency.rs"]
mod idempotency;
#[path = "api/isolation.rs"]
mod isolation;
#[path = "api/known_bugs.rs"]
mod known_bugs;
#[path = "api/life.rs"]
mod life;
#[path = "api/limits.rs"]
mod limits;
#[path = "api/misbehaviour.rs"]
mod misbehaviour;
#[path = "api/money.rs"]
mod money;
#[path = "api/overview.rs"]
mod overview;
#[path = "api/paging.rs"]
mod paging;
#[path = "api/settings.rs"]
mod settings;
#[path = "api/states.rs"]
mod states;
#[path = "api/statistics.rs"]
mod statistics;
#[path = "api/tenancy.rs"]
mod tenancy;
#[path = "api/tokens.rs"]
mod tokens;
#[path = "api/validate_only.rs"]
mod validate_only;
#[path = "api/verbatim.rs"]
mod verbatim;
#[path = "api/watch.rs"]
mod watch;
#[path = "api/webhooks.rs"]
mod webhooks;
#[path = "api/wire.rs"]
mod wire;
