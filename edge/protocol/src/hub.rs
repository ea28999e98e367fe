//! Messages between a user's hub (the Durable Object that buffers the user's records) and a stream reading from it.
//!
//! The stream acknowledges what its client has taken; the hub keeps at most a window of records unacknowledged. So a
//! slow client holds nothing but its own place, in a buffer that is stored anyway.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cursor::Cursor;

/// Most records a hub sends to one stream beyond what that stream acknowledged.
pub const WINDOW_RECORDS: i64 = 128;

/// Most bytes a hub sends to one stream beyond what that stream acknowledged (one record may exceed it alone).
pub const WINDOW_BYTES: usize = 512 * 1024;

/// How many records a stream takes before it acknowledges.
pub const ACK_EVERY_RECORDS: i64 = 32;

/// How many bytes a stream takes before it acknowledges, whatever their number; well under [`WINDOW_BYTES`], or a few
/// large records would fill the window and wait for an acknowledgement that never comes.
pub const ACK_EVERY_BYTES: usize = 128 * 1024;

/// Hub to stream.
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
    /// What lies before the next record can no longer be told apart from nothing: the client must not assume it has all.
    Reset {
        /// Why.
        reason: ResetReason,
    },
    /// The stream is over and must not be resumed with this session.
    End {
        /// Why.
        reason: EndReason,
    },
}

/// Stream to hub: the client has taken everything up to and including this record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The number of the last record taken. A number still means something when the record itself left the buffer.
    pub taken: i64,
}

/// Why a hub cannot go on exactly where a client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The client's id is malformed or of an unknown version.
    BadCursor,
    /// The record after the client's id is no longer, or was never, in the buffer.
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
    /// The session was ended from elsewhere.
    Revoked,
    /// The session reached its end.
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
