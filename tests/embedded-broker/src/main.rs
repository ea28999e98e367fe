//! Placeholder until the program is here.
fn main() {}
