//! The program `chaos`.
mod net;
fn main() {}
