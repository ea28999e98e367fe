//! A user's stream.
//!
//! - [`hub`]: the buffer of a user's records and who reads it
//! - [`driver`]: drives one client's SSE stream from its hub

pub mod driver;
pub mod hub;
