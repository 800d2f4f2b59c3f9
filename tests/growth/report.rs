//! What was measured, for people and for programs.

pub mod json;
pub mod tables;
