//! The hop through Redis: where the edge keeps no buffers, Redis does, and this bridge serves the streams from it.
//!
//! - [`access`]: where Redis is, as configured; the address is a secret
//! - [`connection`]: the one connection all commands share, every one with a deadline
//! - [`buffer`]: a user's last records, and a client's place among them
//! - [`sink`]: the [`crate::outbound::Sink`] that appends to buffers and moves checkpoints
//! - [`subscription`]: the one connection that wakes and ends streams
//!
//! What the keys hold is said in `docs/storage.md`; what happens between two keys' states is said by the scripts.

pub mod access;
pub mod buffer;
pub mod connection;
mod key;
pub mod sink;
pub mod subscription;

pub use self::{
    access::{RedisAccess, RedisAccessError},
    buffer::{Buffer, Limits, Place},
    connection::{Redis, RedisError},
    sink::RedisSink,
    subscription::Subscription,
};
