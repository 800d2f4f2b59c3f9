//! The audit log: everything that was decided, under one root that anybody can keep.
//!
//! What is written to the ledger is sealed some time later, off the path of payments: each step of a payment, each deposit, decision, act, account and
//! alarm becomes a leaf of a Merkle tree, in an order that never changes. Who has an old root can be shown that nothing under it was
//! changed, removed or reordered, and who has a payment's receipt, that it stands there.

pub mod proofs;
