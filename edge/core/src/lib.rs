//! Placeholder until the crate is here.
