//! The host as a process, running the fixture component: what a component author and a client can notice.
//!
//! - [`harness`]: starts the host, an upstream that the test controls, and Redis.
//! - [`sharing`]: requests on one instance, and what a failure does to them.
//! - [`streaming`]: bodies that take their time.
//! - [`reaching`]: variables, key-value, outbound HTTP and Redis.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod harness;
mod reaching;
mod sharing;
mod streaming;
