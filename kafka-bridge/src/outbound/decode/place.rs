//! Where a record was read. What its producer left out is taken from there.

use causeway_protocol::{
    channel::Channel,
    cursor::{Cursor, Position},
};
use chrono::{DateTime, SecondsFormat};

/// The last millisecond of the year 9999, the last one of RFC 3339.
const MAX_TIMESTAMP_MS: i64 = 253_402_300_799_999;

/// The partition that a record was read from.
#[derive(Clone, Copy, Debug)]
pub(in crate::outbound) struct Coordinates<'a> {
    /// The channel of the topic.
    pub(in crate::outbound) channel: &'a Channel,
    /// The partition.
    pub(in crate::outbound) partition: i32,
    /// The topic's epoch, see [`Position::epoch`].
    pub(in crate::outbound) epoch: u32,
}

/// Where and when a record was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) at: Coordinates<'a>,
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
}

impl Place<'_> {
    /// The id of an event whose producer set none. It contains the epoch, so a recreated topic repeats none.
    pub(super) fn id(&self) -> String {
        format!("{}-{}-{}", self.at.epoch, self.at.partition, self.offset)
    }

    /// The time of an event whose producer set none.
    pub(super) fn time(&self) -> String {
        // Kafka takes any number from a producer, and -1 stands for none.
        let timestamp_ms = if self.timestamp_ms > MAX_TIMESTAMP_MS { 0 } else { self.timestamp_ms.max(0) };
        DateTime::from_timestamp_millis(timestamp_ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    pub(super) fn cursor(&self) -> Cursor {
        let position = Position { epoch: self.at.epoch, offset: self.offset };
        Cursor::of_record(self.at.channel, self.at.partition, position)
    }
}
