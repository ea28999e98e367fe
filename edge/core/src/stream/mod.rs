//! A user's stream.
//!
//! - [`hub`]: the buffer of a user's records and the streams that read it
//! - [`driver`]: one client's SSE stream, fed by the hub

pub mod driver;
pub mod hub;
