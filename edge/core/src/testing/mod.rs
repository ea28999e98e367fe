//! The in-memory platform that unit tests, journeys, simulation and fuzz targets share (feature `testing`).
//!
//! - [`platform`]: the platform, with the faults that a test can set
//! - `stream`: its hubs and checkpoints; [`hub`]: a user's hub; [`clock`]: a clock
//! - [`body`]: bodies of requests and responses
//! - [`random`]: randomness from a seed
//! - [`settings`]: the settings of a complete configuration
//! - [`run`]: runs futures without a runtime
//! - [`corp`], [`entra`], [`openid`]: identity providers as upstreams

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: a failed expectation is a failed test"
)]

pub mod body;
pub mod clock;
pub mod corp;
pub mod entra;
pub mod hub;
pub mod openid;
pub mod platform;
pub mod random;
pub mod run;
pub mod settings;
mod stream;
