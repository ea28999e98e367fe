//! The wire contract between the edge and the kafka-bridge, used by both sides so that neither can drift.
//!
//! - [`subject`]: whose event it is, and the Kafka record key that says so
//! - [`session`]: the public name of a session
//! - [`event`]: events as the edge posts them to the bridge and as a stream delivers them
//! - [`deliver`]: what the bridge posts to `/internal/deliver`, and the checkpoint that rests there
//! - [`cursor`]: the SSE id `v1.<epoch>.<partition>.<offset>`, a client's place in its stream
//! - [`hub`]: messages between a user's hub and the stream that reads from it
//! - [`feed`]: the rules of one SSE stream (keep-alive, rotation, end) without any I/O
//! - [`signature`]: how each side proves to the other that a request is its own
//! - [`stream`]: how the edge asks the bridge for a stream, and tells it that one is over, on Spin
//! - [`problem`]: the error document of RFC 9457
//! - [`trace`]: the `traceparent` that names a request on both sides

pub mod cursor;
pub mod deliver;
pub mod event;
pub mod feed;
pub mod hub;
pub mod problem;
pub mod session;
pub mod signature;
pub mod stream;
pub mod subject;
pub mod trace;
