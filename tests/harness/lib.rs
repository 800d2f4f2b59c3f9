//! The bench that tests and the demo stand on: a private PostgreSQL, and the whole system as real processes.

pub mod binaries;
pub mod books;
pub mod certificates;
pub mod client;
pub mod collector;
pub mod data_keys;
pub mod detour;
pub mod fetched;
pub mod figure;
pub mod frames;
pub mod http2;
pub mod load;
pub mod machine;
pub mod names;
pub mod nats;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod provider;
pub mod raw;
pub mod receiver;
pub mod sample;
pub mod scrape;
pub mod signing;
pub mod system;
pub mod tls_listener;
pub mod usage;
pub mod wait;
pub mod work;
pub mod xsd;

/// What can go wrong on the bench: said to a person, with what to do next.
pub type BenchError = Box<dyn std::error::Error + Send + Sync>;
