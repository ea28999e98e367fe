//! How far a stream has come: by number in the user's buffer, and by position in each partition.
//!
//! The two differ while a stream has records from memory that are not in the buffer yet.

use std::time::Duration;

use causeway_protocol::{
    channel::Channel,
    cursor::{Cursor, Position},
};
use tokio::time::Instant;

/// A partition without a record of the user for so long does not count as busy.
pub(super) const BUSY: Duration = Duration::from_hours(1);

/// How far a stream has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPosition {
    /// The buffer that `seq` belongs to: a new buffer counts from 1 again. Empty if there was no buffer.
    pub(super) buffer_id: Box<str>,
    /// The number of the last record read or passed by.
    pub(super) seq: i64,
    /// The partitions of the user, as far as the stream hears them.
    pub(super) partitions: Vec<PartitionRead>,
}

/// How far a stream has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRead {
    pub(super) channel: Channel,
    pub(super) partition: i32,
    /// The last record that the client has, or will get before any other. `None` if it has none.
    pub(super) had: Option<Position>,
    pub(super) busy_until: Instant,
}

impl ReadPosition {
    /// Whether the client has a record already.
    #[must_use]
    pub fn has(&self, channel: &str, partition: i32, position: Position) -> bool {
        self.had(channel, partition) >= Some(position)
    }

    /// The last record that the client has of a partition.
    #[must_use]
    pub fn had(&self, channel: &str, partition: i32) -> Option<Position> {
        self.partitions.iter().find(|read| read.is(channel, partition)).and_then(|read| read.had)
    }

    /// Sets the last record that the client has of a cursor's partition, if the buffer knows the partition.
    pub(super) fn set_had(&mut self, cursor: &Cursor, position: Position) {
        let is_of = |read: &&mut PartitionRead| read.is(cursor.channel.as_str(), cursor.partition);
        if let Some(read) = self.partitions.iter_mut().find(is_of) {
            read.had = Some(position);
        }
    }

    /// Whether records arrive from one partition only, this one. Otherwise their order is known only in the buffer.
    #[must_use]
    pub fn is_only_busy(&self, channel: &str, partition: i32, now: Instant) -> bool {
        self.partitions.iter().all(|read| read.is(channel, partition) || read.busy_until <= now)
    }

    /// The client gets a record, if it does not have it already.
    pub fn advance(&mut self, channel: &str, partition: i32, position: Position, now: Instant) {
        if let Some(read) = self.touch(channel, partition, now) {
            read.had = read.had.max(Some(position));
        }
    }

    /// Notes that a partition has a new record of the user.
    pub fn touch(&mut self, channel: &str, partition: i32, now: Instant) -> Option<&mut PartitionRead> {
        let index = match self.partitions.iter().position(|read| read.is(channel, partition)) {
            Some(index) => index,
            None => {
                let channel = Channel::parse(channel).ok()?;
                self.partitions.push(PartitionRead { channel, partition, had: None, busy_until: now });
                self.partitions.len() - 1
            }
        };
        let read = self.partitions.get_mut(index)?;
        read.busy_until = now + BUSY;
        Some(read)
    }

    /// Takes over which partitions are busy.
    pub fn touch_all(&mut self, other: &Self) {
        for read in &other.partitions {
            match self.partitions.iter_mut().find(|known| known.is(read.channel.as_str(), read.partition)) {
                Some(known) => known.busy_until = known.busy_until.max(read.busy_until),
                None => self.partitions.push(PartitionRead { had: None, ..read.clone() }),
            }
        }
    }

    /// The buffer that the position belongs to, empty if there was none, and the number of the last record read.
    #[must_use]
    pub fn in_buffer(&self) -> (&str, i64) {
        (&self.buffer_id, self.seq)
    }

    /// All records up to a number have been read or passed by.
    pub fn pass(&mut self, buffer_id: &str, seq: i64) {
        if *self.buffer_id != *buffer_id {
            self.buffer_id = buffer_id.into();
        }
        self.seq = seq;
    }
}

impl PartitionRead {
    fn is(&self, channel: &str, partition: i32) -> bool {
        self.partition == partition && self.channel.as_str() == channel
    }
}
