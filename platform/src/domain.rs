//! The rules of the ledger and of a payment's life: pure, without I/O, clock or randomness.

pub mod account;
pub mod alarm;
pub mod debtor;
pub mod deposit;
pub mod ledger;
pub mod limits;
pub mod payment;
pub mod refusal;
pub mod statistics;
pub mod transfer;
pub mod webhook;

#[cfg(test)]
mod model_tests;
