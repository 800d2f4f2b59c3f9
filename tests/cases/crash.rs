//! Money is safe when processes die: each case kills something under load and then counts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "crash/cancel.rs"]
mod cancel;
#[path = "crash/failover.rs"]
mod failover;
#[path = "crash/kills.rs"]
mod kills;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/restore.rs"]
mod restore;
