//! The ledger in a real PostgreSQL: what its schema refuses, what its writers keep true under races and faults.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "ledger/archive.rs"]
mod archive;
#[path = "ledger/archiving.rs"]
mod archiving;
#[path = "ledger/audit.rs"]
mod audit;
#[path = "ledger/authorizations.rs"]
mod authorizations;
#[path = "ledger/balances.rs"]
mod balances;
#[path = "ledger/bench.rs"]
mod bench;
#[path = "ledger/book.rs"]
mod book;
#[path = "ledger/broker.rs"]
mod broker;
#[path = "ledger/constraints.rs"]
mod constraints;
#[path = "ledger/conversation.rs"]
mod conversation;
#[path = "ledger/databases.rs"]
mod databases;
#[path = "ledger/deposits.rs"]
mod deposits;
#[path = "ledger/differential.rs"]
mod differential;
#[path = "ledger/encryption.rs"]
mod encryption;
#[path = "ledger/event_log.rs"]
mod event_log;
#[path = "ledger/faults.rs"]
mod faults;
#[path = "ledger/identity.rs"]
mod identity;
#[path = "ledger/incoming.rs"]
mod incoming;
#[path = "ledger/known.rs"]
mod known;
#[path = "ledger/life.rs"]
mod life;
#[path = "ledger/limits.rs"]
mod limits;
#[path = "ledger/migrations.rs"]
mod migrations;
#[path = "ledger/plans.rs"]
mod plans;
#[path = "ledger/pool.rs"]
mod pool;
#[path = "ledger/queue.rs"]
mod queue;
#[path = "ledger/races.rs"]
mod races;
#[path = "ledger/refunds.rs"]
mod refunds;
#[path = "ledger/schema.rs"]
mod schema;
#[path = "ledger/tampering.rs"]
mod tampering;
#[path = "ledger/verdicts.rs"]
mod verdicts;
#[path = "ledger/waiting.rs"]
mod waiting;
#[path = "ledger/webhook_turns.rs"]
mod webhook_turns;
#[path = "ledger/webhooks.rs"]
mod webhooks;

// By the name that the model of the rules knows it by, which the differential case shares with them.
use platform::domain;
