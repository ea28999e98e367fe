//! The host as a process, running the fixture component: what a component and a client can observe.
//!
//! - [`harness`]: starts the host, an upstream that the test controls, and Redis.
//! - [`interface`]: variables, key-value stores, outbound HTTP and Redis.
//! - [`reuse`]: requests that share an instance, and the effect of a failure on them.
//! - [`streaming`]: bodies that arrive piece by piece.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod harness;
mod interface;
mod reuse;
mod streaming;
