//! Keeps the users' buffers and the checkpoints in Redis, for an edge that keeps no buffers itself.
//!
//! - [`url`]: the configured address, which is a secret.
//! - [`key`]: the names of keys and channels.
//! - [`connection`]: the connections that all commands share.
//! - [`buffer`]: a user's last records, and a client's position among them.
//! - [`history`]: a page of a user's earlier events.
//! - [`notes`]: what instances tell each other about events that users said.
//! - [`append`]: the call that appends to the buffers of several users.
//! - [`position`]: how far a stream has come.
//! - [`record`], [`wake`]: the texts that the scripts write.
//! - [`sink`]: the [`crate::outbound::Sink`] that shows records to the streams and appends them to the buffers.
//! - [`checkpoint`]: the partitions' checkpoints, and whether they were lost.
//! - [`subscription`]: the connection whose messages wake and end streams.
//!
//! `docs/storage.md` says what each key contains. The scripts in `script/` make every change atomic.

pub mod append;
pub mod buffer;
mod checkpoint;
pub mod connection;
mod history;
mod key;
pub mod notes;
pub mod position;
pub mod record;
pub mod sink;
pub mod subscription;
pub mod url;
pub mod wake;

pub use self::{
    append::Appended,
    buffer::{BufferLimits, Lost, Page, UserBuffers},
    connection::{Redis, RedisError},
    notes::RedisNotes,
    position::ReadPosition,
    record::BufferedRecord,
    sink::RedisSink,
    subscription::Subscription,
    url::{RedisUrl, RedisUrlError},
    wake::{News, Wake},
};
