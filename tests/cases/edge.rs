//! The edges of the programs: command lines, settings, sockets, signals and logs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "edge/archive.rs"]
mod archive;
#[path = "edge/audit.rs"]
mod audit;
#[path = "edge/bench.rs"]
mod bench;
#[path = "edge/broker.rs"]
mod broker;
#[path = "edge/cells.rs"]
mod cells;
#[path = "edge/command_line.rs"]
mod command_line;
#[path = "edge/database.rs"]
mod database;
#[path = "edge/direct.rs"]
mod direct;
#[path = "edge/encryption.rs"]
mod encryption;
#[path = "edge/floods.rs"]
mod floods;
#[path = "edge/http2.rs"]
mod http2;
#[path = "edge/incoming.rs"]
mod incoming;
#[path = "edge/key_server.rs"]
mod key_server;
#[path = "edge/keys.rs"]
mod keys;
#[path = "edge/load.rs"]
mod load;
#[path = "edge/logs.rs"]
mod logs;
#[path = "edge/metrics.rs"]
mod metrics;
#[path = "edge/notices.rs"]
mod notices;
#[path = "edge/offline.rs"]
mod offline;
#[path = "edge/overload.rs"]
mod overload;
#[path = "edge/programs.rs"]
mod programs;
#[path = "edge/quotas.rs"]
mod quotas;
#[path = "edge/reflection.rs"]
mod reflection;
#[path = "edge/settings.rs"]
mod settings;
#[path = "edge/shutdown.rs"]
mod shutdown;
#[path = "edge/signatures.rs"]
mod signatures;
#[path = "edge/signing.rs"]
mod signing;
#[path = "edge/tcp.rs"]
mod tcp;
#[path = "edge/tls.rs"]
mod tls;
#[path = "edge/tokens.rs"]
mod tokens;
#[path = "edge/traces.rs"]
mod traces;
#[path = "edge/under_way.rs"]
mod under_way;
#[path = "edge/watches.rs"]
mod watches;
#[path = "edge/webhooks.rs"]
mod webhooks;
