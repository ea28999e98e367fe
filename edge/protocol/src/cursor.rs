//! A client's position in its stream: the SSE id `v2.<channel>.<epoch>.<partition>.<offset>`. A record with several
//! events has an id for each: all but the last one end in `-<index>`.
//!
//! The session chooses the user, never the cursor. A forged cursor can at worst name a wrong position in the forger's
//! own stream, which answers with `reset`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::channel::Channel;

/// The longest text that is parsed: `v2.`, a channel of 64 bytes, and four numbers of at most 20 digits.
pub const MAX_CURSOR_BYTES: usize = 3 + 64 + 4 * 21;

/// The coordinates of a Kafka record: those within its topic, and the channel that the topic belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cursor {
    /// The channel.
    pub channel: Channel,
    /// The Kafka partition of the channel's outbound topic.
    pub partition: i32,
    /// The position within the partition.
    pub position: Position,
    /// The event within the record, counted from 0; `None` is the last one. A client that has an earlier one resumes
    /// before the record.
    pub event: Option<u16>,
}

impl Cursor {
    /// The cursor of a whole record.
    #[must_use]
    pub fn of_record(channel: &Channel, partition: i32, position: Position) -> Self {
        Self { channel: channel.clone(), partition, position, event: None }
    }

    /// The position up to which the client has received everything. A client that has only some of a record's events gets
    /// the record again.
    #[must_use]
    pub fn received(&self) -> Position {
        let offset = self.position.offset.saturating_sub(i64::from(self.event.is_some()));
        Position { offset, ..self.position }
    }
}

/// A position within one partition. Ordered by epoch first: a later epoch comes after every offset of an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Unix time in seconds at which this incarnation of the topic was first seen. Offsets of different epochs are not
    /// comparable.
    pub epoch: u32,
    /// The Kafka offset.
    pub offset: i64,
}

/// The text is not a cursor of a known version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stream cursor of the form v2.channel.epoch.partition.offset")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v2.{}.{}.{}.{}", self.channel, self.position.epoch, self.partition, self.position.offset)?;
        self.event.map_or(Ok(()), |event| write!(f, "-{event}"))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > MAX_CURSOR_BYTES {
            return Err(CursorError);
        }
        // A channel may contain dots, a number does not.
        let mut parts = text.strip_prefix("v2.").ok_or(CursorError)?.rsplitn(4, '.');
        let (Some(offset), Some(partition), Some(epoch), Some(channel)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CursorError);
        };
        let (offset, event) = match offset.split_once('-') {
            Some((offset, event)) => (offset, Some(number(event)?)),
            None => (offset, None),
        };
        Ok(Self {
            channel: Channel::parse(channel).map_err(|_| CursorError)?,
            partition: number(partition)?,
            position: Position { epoch: number(epoch)?, offset: number(offset)? },
            event,
        })
    }
}

/// Parses digits without a leading zero. `FromStr` for integers also accepts a sign and leading zeros, so one cursor
/// would have several spellings.
fn number<T: FromStr>(text: &str) -> Result<T, CursorError> {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || has_leading_zero || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CursorError);
    }
    text.parse().map_err(|_| CursorError)
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for channel in ["chat", "a.b-1_2", &"x".repeat(64)] {
            for event in [None, Some(u16::MAX)] {
                let channel = Channel::parse(channel).unwrap();
                let position = Position { epoch: u32::MAX, offset: i64::MAX };
                let cursor = Cursor { channel, partition: i32::MAX, position, event };
                assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
    }

    #[test]
    fn hostile_texts_are_rejected() {
        let huge = "9".repeat(10_000);
        for bad in [
            "",
            "v2",
            "v2.1.2.3",
            "v1.1.2.3",
            "v3.chat.1.2.3",
            "v2..1.2.3",
            "v2.a b.1.2.3",
            "v2.chat.-1.0.0",
            "v2.chat.+1.0.0",
            "v2.chat. 1.0.0",
            "v2.chat.01.0.0",
            "v2.chat.1.0.00",
            "v2.chat.1.2.9999999999999999999",
            "v2.chat.1.2.3-",
            "v2.chat.1.2.3-1-1",
            "v2.chat.1.2.-1",
            "v2.chat.1.2-1.3",
            "v2.chat.1.2.3-70000",
            &huge,
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
