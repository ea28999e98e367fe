//! Messages between a user's hub (the Durable Object that buffers the user's records) and a stream reading from it.
//!
//! The stream acknowledges what its client has taken. The hub sends at most a window of records ahead of that. So a
//! slow client costs only its own position in a buffer that is stored anyway. The limits of that buffer are in
//! [`crate::buffer`].

use serde::{Deserialize, Serialize};

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

/// A message from the hub to the stream. Its text form is [`HubMessage::to_text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubMessage<'a> {
    /// Events for the client.
    Frames(Head, &'a str),
    /// The buffer begins after these records: those after the client's position, up to and including this one. The stream
    /// gets them from elsewhere, before it passes on what follows.
    Missing(Cursor),
    /// The stream has ended and must not be resumed with this session.
    End(EndReason),
}

/// What a stream must know about frames, which it does not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last record at this hub, for [`Ack`].
    pub seq: i64,
    /// How many records there are.
    pub records: i64,
    /// The SSE id that the client then has, with which the stream opens at the hub again. `None` makes it forget the one
    /// it has.
    pub id: Option<Cursor>,
}

/// The first line of a message.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FirstLine {
    Frames(Head),
    Missing(Cursor),
    End(EndReason),
}

/// The text is no message of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of a hub")]
pub struct HubMessageError;

impl<'a> HubMessage<'a> {
    /// A line of JSON; then the frames, if any.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (first, frames) = match self {
            Self::Frames(head, frames) => (FirstLine::Frames(head.clone()), *frames),
            Self::Missing(until) => (FirstLine::Missing(until.clone()), ""),
            Self::End(reason) => (FirstLine::End(*reason), ""),
        };
        let mut text = serde_json::to_string(&first).unwrap_or_default();
        text.reserve(frames.len() + 1);
        text.push('\n');
        text.push_str(frames);
        text
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`HubMessageError`] for anything that `to_text` does not write.
    pub fn parse(text: &'a str) -> Result<Self, HubMessageError> {
        let (first, frames) = text.split_once('\n').ok_or(HubMessageError)?;
        match serde_json::from_str(first).map_err(|_| HubMessageError)? {
            FirstLine::Frames(head) => Ok(Self::Frames(head, frames)),
            FirstLine::Missing(until) => Ok(Self::Missing(until)),
            FirstLine::End(reason) => Ok(Self::End(reason)),
        }
    }
}

/// A message from the stream to the hub: the client has taken everything up to and including this record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The number of the last record taken. It stays valid after the record itself has left the buffer.
    pub taken: i64,
}

/// Sent by the stream to see whether the hub still holds the other end. The runtime answers with [`PONG`] and does not
/// wake a hibernating hub.
pub const PING: &str = "ping";

/// The answer to [`PING`].
pub const PONG: &str = "pong";

/// Why events may be missing, or come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The client's id is malformed or of an unknown version.
    BadCursor,
    /// The record after the client's id has left the buffer or was never in it.
    OutOfBuffer,
    /// The client took records so slowly that unsent ones left the buffer.
    TooSlow,
    /// Kafka deleted records before they were delivered.
    Retention,
    /// The end of the partition moved back: records that were delivered are gone, and their offsets come again.
    Truncated,
    /// Records can't be decoded, or don't conform to the contract. They are among the dead letters.
    Undeliverable,
    /// The user's buffer failed for so long that records were given up. They are among the dead letters.
    Parked,
}

impl ResetReason {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadCursor => "bad_cursor",
            Self::OutOfBuffer => "out_of_buffer",
            Self::TooSlow => "too_slow",
            Self::Retention => "retention",
            Self::Truncated => "truncated",
            Self::Undeliverable => "undeliverable",
            Self::Parked => "parked",
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_round_trips_and_its_frames_stay_as_they_are() {
        let frames = "id: v2.chat.1.2.3\ndata: {}\n\n";
        let head = Head { seq: 7, records: 1, id: "v2.chat.1.2.3".parse().ok() };
        let until = "v2.chat.1.2.3".parse().unwrap();
        let others = [HubMessage::Missing(until), HubMessage::End(EndReason::Revoked)];
        for message in [HubMessage::Frames(head, frames)].into_iter().chain(others) {
            assert_eq!(HubMessage::parse(&message.to_text()), Ok(message));
        }
        assert_eq!(HubMessage::parse(PONG), Err(HubMessageError));
    }
}
