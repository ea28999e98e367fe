//! Messages between a user's hub (the Durable Object that buffers the user's records) and a stream reading from it.
//!
//! The stream acknowledges what its client has taken. The hub sends at most a window of records ahead of that. So a
//! slow client costs only its own position in a buffer that is stored anyway. The limits of that buffer are in
//! [`crate::buffer`].

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cursor::Cursor;

/// The maximum number of records that a hub sends to a stream beyond the last acknowledgement.
pub const WINDOW_RECORDS: i64 = 128;

/// The maximum number of bytes that a hub sends to a stream beyond the last acknowledgement. A single record may exceed
/// it.
pub const WINDOW_BYTES: usize = 512 * 1024;

/// The number of records after which a stream acknowledges.
pub const ACK_EVERY_RECORDS: i64 = 32;

/// The number of bytes after which a stream acknowledges, even before [`ACK_EVERY_RECORDS`]. It is well under
/// [`WINDOW_BYTES`]. Otherwise a few large records would fill the window and wait for an acknowledgement that never
/// comes.
pub const ACK_EVERY_BYTES: usize = 128 * 1024;

/// A message from the hub to the stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HubMessage {
    /// One record.
    Record {
        /// Its number at this hub, for [`Ack`].
        seq: i64,
        /// Its SSE id.
        cursor: Cursor,
        /// The [`crate::event::StreamEvent`] as JSON.
        event: Box<RawValue>,
    },
    /// Records before the next one may be missing. The client must not assume that it has received everything.
    Reset {
        /// Why.
        reason: ResetReason,
    },
    /// The stream has ended and must not be resumed with this session.
    End {
        /// Why.
        reason: EndReason,
    },
}

/// A message from the stream to the hub: the client has taken everything up to and including this record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The number of the last record taken. It stays valid after the record itself has left the buffer.
    pub taken: i64,
}

/// Why a hub cannot continue exactly at a client's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The client's id is malformed or of an unknown version.
    BadCursor,
    /// The record after the client's id has left the buffer or was never in it.
    OutOfBuffer,
    /// The client took records so slowly that unsent ones left the buffer.
    TooSlow,
}

/// Why a stream ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The user signed out.
    SignedOut,
    /// The session was revoked elsewhere.
    Revoked,
    /// The session expired.
    Expired,
}

impl EndReason {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}
