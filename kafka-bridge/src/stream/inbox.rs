//! What one stream is to hear next, and whether it hears of records as they arrive.
//!
//! A stream is level when it has everything up to the end of the buffer. Then records come to it directly: from memory,
//! when this process delivers them, or with the wake after they are stored. What it has already is skipped by position.
//! A stream that is not level reads from the buffer, and becomes level at its end.
//!
//! A record from memory has no number in the buffer yet. A client's position is the record it got last, and it resumes
//! after that one's number. So a record is shown from memory only if it is certain to be stored after all that the
//! client has and before all that it hasn't: the record before it in the same partition must be one that the client has,
//! and no other partition may be busy with records of the user.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use causeway_protocol::{channel::Channel, cursor::Position};
use tokio::time::Instant;

use crate::redis_store::{News, ReadPosition, Wake};

/// The maximum number of records that wait for a client. More are read from the buffer, when the client has room.
pub(super) const MAX_WAITING_RECORDS: usize = 128;

/// The maximum number of bytes that wait for a client; a single record may exceed it.
pub(super) const MAX_WAITING_BYTES: usize = 64 * 1024;

/// A record that is shown from memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) channel: &'a str,
    pub(super) partition: i32,
    pub(super) position: Position,
    /// The user's record before it in the same partition.
    pub(super) before: Position,
}

/// The state of one stream, which the process' other parts change.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The channels that the stream hears; all of them if there are none.
    channels: Box<[Channel]>,
    position: ReadPosition,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    is_level: bool,
    /// Whether the buffer may have more than the read in progress will find.
    may_have_more: bool,
}

impl Inbox {
    /// A stream that has not read yet.
    pub(super) fn new(channels: &[Channel]) -> Self {
        Self { channels: channels.into(), may_have_more: true, ..Self::default() }
    }

    /// Sets the position of a stream that opens.
    pub(super) fn open(&mut self, position: ReadPosition) {
        self.position = position;
    }

    /// Notes that a record is about to be stored, whether or not it is shown.
    pub(super) fn expect(&mut self, channel: &str, partition: i32, now: Instant) {
        if self.hears(channel) {
            self.position.touch(channel, partition, now);
        }
    }

    /// Offers a record from memory. Returns whether the stream takes it.
    pub(super) fn show(&mut self, record: Shown<'_>, now: Instant, frame: impl FnOnce() -> Bytes) -> bool {
        let Shown { channel, partition, position, before } = record;
        if !self.is_level || !self.hears(channel) {
            return false;
        }
        let had = self.position.had(channel, partition);
        if had < Some(before) || had >= Some(position) || !self.position.is_only_busy(channel, partition, now) {
            return false;
        }
        let frame = frame();
        if !self.has_room(&frame) {
            return false;
        }
        self.position.advance(channel, partition, position, now);
        self.push(frame);
        true
    }

    /// Handles a wake. Returns whether the stream has something to do.
    pub(super) fn wake(&mut self, wake: &Wake<'_>, now: Instant) -> bool {
        let (buffer_id, seq) = self.position.in_buffer();
        let is_new_buffer = buffer_id.is_empty() && wake.before == 0;
        let is_other_buffer = buffer_id != wake.buffer_id && !is_new_buffer;
        if !self.is_level || is_other_buffer || wake.before > seq {
            return self.fall_behind();
        }
        if wake.last <= seq {
            return false;
        }
        match &wake.news {
            News::Records(records) => {
                for (number, record) in (wake.before + 1..).zip(records).filter(|(number, _)| *number > seq) {
                    let is_new = !self.position.has(record.channel, record.partition, record.position);
                    if self.hears(record.channel) {
                        if is_new && !self.has_room(&record.frame) {
                            return self.fall_behind();
                        }
                        self.position.advance(record.channel, record.partition, record.position, now);
                        if is_new {
                            self.push(record.frame.clone());
                        }
                    }
                    self.position.pass(wake.buffer_id, number);
                }
            }
            News::Positions(positions) => {
                for (channel, partition, position) in positions {
                    if self.hears(channel) && !self.position.has(channel, *partition, *position) {
                        return self.fall_behind();
                    }
                }
                for (channel, partition, position) in positions {
                    if self.hears(channel) {
                        self.position.advance(channel, *partition, *position, now);
                    }
                }
            }
        }
        self.position.pass(wake.buffer_id, wake.last);
        !self.waiting.is_empty()
    }

    /// From now on the stream reads from the buffer, until it has reached its end.
    pub(super) fn fall_behind(&mut self) -> bool {
        self.is_level = false;
        self.may_have_more = true;
        true
    }

    /// Takes all that waits, as one chunk.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let first = self.waiting.pop_front()?;
        let bytes = std::mem::take(&mut self.waiting_bytes);
        if self.waiting.is_empty() {
            return Some(first);
        }
        let mut chunk = BytesMut::with_capacity(bytes);
        chunk.extend_from_slice(&first);
        // The queue's own memory goes, too: most streams are idle most of the time.
        for frame in std::mem::take(&mut self.waiting) {
            chunk.extend_from_slice(&frame);
        }
        Some(chunk.freeze())
    }

    /// The position to read from, if the stream is not level.
    pub(super) fn begin_read(&mut self) -> Option<(ReadPosition, Box<[Channel]>)> {
        if self.is_level {
            return None;
        }
        self.may_have_more = false;
        Some((self.position.clone(), self.channels.clone()))
    }

    /// Sets the position after a read. Without more to read, the stream is level.
    pub(super) fn end_read(&mut self, position: ReadPosition, more: bool) {
        let before = std::mem::replace(&mut self.position, position);
        self.position.touch_all(&before);
        self.is_level = !more && !self.may_have_more;
    }

    /// Whether the stream has to read.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_level
    }

    fn hears(&self, channel: &str) -> bool {
        self.channels.is_empty() || self.channels.iter().any(|heard| heard.as_str() == channel)
    }

    fn has_room(&self, frame: &Bytes) -> bool {
        let fits = self.waiting_bytes.saturating_add(frame.len()) <= MAX_WAITING_BYTES;
        self.waiting.is_empty() || (fits && self.waiting.len() < MAX_WAITING_RECORDS)
    }

    fn push(&mut self, frame: Bytes) {
        self.waiting_bytes = self.waiting_bytes.saturating_add(frame.len());
        self.waiting.push_back(frame);
    }
}
