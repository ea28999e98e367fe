//! The wire contract between the edge and the kafka-bridge, used by both sides so that neither can drift.
//!
//! - [`subject`]: the user whom an event belongs to, and the Kafka record key
//! - [`session`]: the handle that names a session in stores, hubs and logs
//! - [`event`]: events as the edge posts them to the bridge and as a stream delivers them
//! - [`channel`]: the name of what a widget sends to and hears from
//! - [`deliver`]: what the bridge posts to `/internal/deliver`
//! - [`checkpoint`]: where a partition's reader continues, and who reads it
//! - [`cursor`]: the SSE id `v2.<channel>.<epoch>.<partition>.<offset>`, a client's position in its stream
//! - [`frame`]: the bytes of events in a stream
//! - [`buffer`]: the limits of a user's buffer and of the streams that read from it
//! - [`hub`]: messages between a user's hub and the stream that reads from it
//! - [`feed`]: the rules of one SSE stream (keep-alive, rotation, end) without any I/O
//! - [`signature`]: how each side authenticates its requests to the other
//! - [`replay`]: how records are read again that a buffer no longer has
//! - [`history`]: a page of earlier events, from a buffer and from Kafka
//! - [`stream`]: how the edge on Spin opens a stream at the bridge and ends it
//! - `query`: requests whose content is a parameter of the query
//! - [`problem`]: the error document of RFC 9457
//! - [`trace`]: the `traceparent` that identifies a request on both sides
//! - [`base64url`]: the form of ids, states and challenges

pub mod base64url;
pub mod buffer;
pub mod channel;
pub mod checkpoint;
pub mod cursor;
pub mod deliver;
pub mod event;
pub mod feed;
pub mod frame;
pub mod history;
pub mod hub;
pub mod problem;
mod query;
pub mod replay;
pub mod session;
pub mod signature;
pub mod stream;
pub mod subject;
pub mod trace;
