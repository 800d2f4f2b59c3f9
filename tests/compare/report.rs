//! What a run came to: tables for people, Markdown, JSON for programs, and a picture.

pub mod json;
pub mod svg;
pub mod tables;
