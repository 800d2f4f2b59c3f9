//! What at least two of Rialto's services need: nouns, faults, settings, and the one way to serve and to call.

pub mod bic;
pub mod clock;
pub mod crash_point;
pub mod deadline;
pub mod exchange;
pub mod fault;
pub mod iban;
pub mod id;
pub mod lifecycle;
pub mod listener;
pub mod money;
pub mod order;
pub mod planted;
pub mod private_file;
pub mod public_address;
pub mod role;
pub mod rpc_client;
pub mod rpc_server;
pub mod settings;
pub mod telemetry;
pub mod text;
pub mod tls;
pub mod trace;
pub mod verification_key;
