//! A user's stream.
//!
//! - `bridge`: signed requests to the bridge
//! - `hole`: what nobody received, as the bridge says
//! - [`hub`]: the buffer of a user's records and the streams that read it
//! - [`sql_buffer`]: that buffer in SQL, for runtimes with SQLite
//! - [`driver`]: one client's SSE stream, fed by the hub

pub(crate) mod bridge;
pub mod driver;
pub mod hole;
pub mod hub;
pub mod sql_buffer;
