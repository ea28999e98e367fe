//! The limits of a user's buffer. The edge's hub keeps it in SQLite, the bridge in Redis.
//!
//! - [`cases`] (feature `testing`): the cases that both buffers must satisfy

#[cfg(feature = "testing")]
pub mod cases;

use std::time::Duration;

/// The maximum number of records in a user's buffer.
pub const MAX_RECORDS: u32 = 500;

/// How long a record is kept.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum number of records in one read.
pub const PAGE_RECORDS: u32 = 32;

/// The maximum number of open streams of a user. A user's tabs share one stream, so these are devices, and connections
/// whose end has not been noticed yet.
pub const MAX_USER_STREAMS: usize = 32;

/// How long a client may take nothing of what is sent to it before its stream is closed.
pub const MAX_STALL: Duration = Duration::from_secs(60);

/// How long a session's end is remembered. It exceeds the time for which any other part uses a session without checking
/// it, and the lifetime of a stream, which checks its session when it reconnects.
pub const END_REMEMBERED: Duration = Duration::from_secs(60 * 60);
