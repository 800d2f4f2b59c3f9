//! The audit log's papers, pure: its tree, signed checkpoints, and receipts, which the platform makes and anybody checks.

pub mod merkle;
pub mod note;
pub mod receipt;

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
