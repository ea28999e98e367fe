//! The in-memory platform that unit tests, journeys, simulation and fuzz targets share (feature `testing`).
//!
//! - [`platform`]: the platform itself
//! - [`random`]: randomness from a seed
//! - [`settings`]: a complete configuration
//! - [`run`]: runs futures without a runtime
//! - [`corp`], [`entra`], [`openid`]: identity providers, as the answers that they give

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: a failed expectation is a failed test"
)]

pub mod corp;
pub mod entra;
pub mod openid;
pub mod platform;
pub mod random;
pub mod run;
pub mod settings;
