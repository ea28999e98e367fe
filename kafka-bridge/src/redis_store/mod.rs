//! Keeps the users' buffers and the checkpoints in Redis, for an edge that keeps no buffers itself.
//!
//! - [`url`]: the configured address, which is a secret.
//! - [`key`]: the names of keys and channels.
//! - [`connection`]: the connection that all commands share.
//! - [`buffer`]: a user's last records, and a client's position among them.
//! - [`notes`]: what instances tell each other about events that users said.
//! - [`sink`]: the [`crate::outbound::Sink`] that appends to the buffers and moves the checkpoints.
//! - [`subscription`]: the connection whose messages wake and end streams.
//!
//! `docs/storage.md` says what each key contains. The scripts in `script/` make every change atomic.

pub mod buffer;
pub mod connection;
mod key;
pub mod notes;
pub mod sink;
pub mod subscription;
pub mod url;

pub use self::{
    buffer::{BufferLimits, ReadPosition, UserBuffers},
    connection::{Redis, RedisError},
    notes::RedisNotes,
    sink::RedisSink,
    subscription::Subscription,
    url::{RedisUrl, RedisUrlError},
};
