//! The limits of a user's buffer, and of the streams that read from it. The edge's hub keeps the buffer in SQLite, the
//! bridge in Redis.
//!
//! - [`cases`] (feature `testing`): the cases that both buffers must satisfy
//!
//! How far a hub sends ahead of a stream's acknowledgements is a limit of the wire, see [`crate::hub`].

#[cfg(feature = "testing")]
pub mod cases;

use std::time::Duration;

/// The maximum number of messages in a user's buffer. The pieces of a streamed message don't count, and go once it is
/// complete.
pub const MAX_MESSAGES: u32 = 2000;

/// The maximum number of bytes of all frames in a user's buffer.
pub const MAX_BUFFER_BYTES: u64 = 4 * 1024 * 1024;

/// The maximum number of records in a user's buffer, whatever they are.
pub const MAX_RECORDS: u32 = 20_000;

/// How far a buffer may exceed its limits before it is trimmed, in per cent. So trimming is rare.
pub const TRIM_SLACK_PERCENT: u32 = 5;

/// For how long after a commit a hub may hold further records in memory, see [`crate::deliver::Outcome::Held`].
pub const HOLD: Duration = Duration::from_millis(500);

/// After this long the bridge asks a hub to store what it holds, if it has nothing else for the user.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(1);

/// After this long a hub stores what it holds, even if nobody asks. It exceeds [`CONFIRM_AFTER`].
pub const MAX_HOLD: Duration = Duration::from_secs(2);

/// How long a record is kept.
pub const MAX_AGE: Duration = Duration::from_hours(24);

/// How long after its last append a buffer in Redis expires. It exceeds [`MAX_AGE`], because an empty buffer still
/// rejects the records that it had before.
pub const IDLE_EXPIRY: Duration = Duration::from_hours(7 * 24);

/// The maximum number of records in one read.
pub const PAGE_RECORDS: u32 = 128;

/// The maximum number of bytes in one read from Redis. A single record may exceed it. The hub limits what it sends by
/// [`crate::hub::WINDOW_BYTES`] instead.
pub const PAGE_BYTES: u32 = 128 * 1024;

/// The maximum number of open streams of a user. A user's tabs share one stream, so these are devices, and connections
/// whose end has not been noticed yet.
pub const MAX_USER_STREAMS: usize = 32;

/// How long a client may read nothing of what is sent to it before its stream is closed.
pub const MAX_STALL: Duration = Duration::from_mins(1);

/// How long a session's end is remembered. It exceeds the time for which any other part uses a session without checking
/// it, and the lifetime of a stream, which checks its session when it reconnects.
pub const END_REMEMBERED: Duration = Duration::from_hours(1);
