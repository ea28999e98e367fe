//! What one stream is to hear next, and whether it hears of records as they arrive.
//!
//! A stream is level when it has everything up to the end of the buffer. Then records come to it directly: from memory,
//! when this process delivers them, or with the wake after they are stored. What it has already is skipped by position.
//! A stream that is not level reads from the buffer, and becomes level at its end.
//!
//! A record from memory has no number in the buffer yet. A client's position is the record it got last, and it resumes
//! after that one's number. So a record is shown from memory only if it is certain to be stored after all that the
//! client has and before all that it hasn't. The record before it in the same partition must be one that the client
//! has, and no other partition may be busy with records of the user.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use causeway_protocol::{
    channel::{Channel, hears},
    cursor::Position,
};
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
    /// The channels that the stream hears. Empty means all.
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
        hears(&self.channels, channel)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::redis_store::BufferedRecord;

    const FRAME: Bytes = Bytes::from_static(b"data: 1\n\n");

    fn at(offset: i64) -> Position {
        Position { epoch: 1, offset }
    }

    /// A stream that has read an empty buffer.
    fn level() -> Inbox {
        let mut inbox = Inbox::new(&[]);
        let (position, _) = inbox.begin_read().unwrap();
        inbox.end_read(position, false);
        inbox
    }

    /// Shows a record whose predecessor is the one before it.
    fn show(inbox: &mut Inbox, channel: &str, offset: i64) -> bool {
        let record = Shown { channel, partition: 0, position: at(offset), before: at(offset - 1) };
        inbox.expect(channel, 0, Instant::now());
        inbox.show(record, Instant::now(), || FRAME)
    }

    fn wake(inbox: &mut Inbox, channel: &str, seq: i64, offset: i64) -> bool {
        let record = BufferedRecord { channel, partition: 0, position: at(offset), frame: FRAME };
        let wake = Wake { buffer_id: "id", before: seq - 1, last: seq, news: News::Records(vec![record]) };
        inbox.wake(&wake, Instant::now())
    }

    fn count(inbox: &mut Inbox) -> usize {
        inbox.take().map_or(0, |chunk| chunk.len() / FRAME.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_heard_once_from_memory_or_with_its_wake() {
        let mut inbox = level();
        assert!(!show(&mut inbox, "chat", 5), "records before it may be on their way");
        assert!(wake(&mut inbox, "chat", 1, 5));
        assert!(show(&mut inbox, "chat", 6));
        assert!(!show(&mut inbox, "chat", 6), "a redelivery");
        assert_eq!(count(&mut inbox), 2);
        assert!(!wake(&mut inbox, "chat", 2, 6), "the wake of what was shown");
        assert!(!show(&mut inbox, "chat", 8), "the one before it is missing");
        assert!(wake(&mut inbox, "chat", 4, 8) && inbox.is_behind(), "a wake was missed");
        assert_eq!(count(&mut inbox), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn records_of_another_partition_keep_records_from_being_shown_for_an_hour() {
        let mut inbox = level();
        assert!(wake(&mut inbox, "chat", 1, 1) && show(&mut inbox, "chat", 2));
        assert!(!show(&mut inbox, "feed", 1));
        assert!(!show(&mut inbox, "chat", 3), "it could be stored before the one of the other channel, or after it");
        assert!(wake(&mut inbox, "chat", 2, 3) && wake(&mut inbox, "feed", 3, 1));
        tokio::time::advance(Duration::from_mins(61)).await;
        assert!(show(&mut inbox, "chat", 4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_client_is_limited() {
        let mut inbox = level();
        assert!(wake(&mut inbox, "chat", 1, 1));
        let shown = (2..1000).take_while(|offset| show(&mut inbox, "chat", *offset)).count();
        assert_eq!(shown + 1, MAX_WAITING_RECORDS);
        assert!(!inbox.is_behind(), "it may be read before the next one is stored");
        for (seq, offset) in (2..).zip(2..=i64::try_from(shown).unwrap() + 1) {
            wake(&mut inbox, "chat", seq, offset);
        }
        assert!(!inbox.is_behind());
        wake(&mut inbox, "chat", 129, 129);
        assert!(inbox.is_behind());
        assert_eq!(count(&mut inbox), MAX_WAITING_RECORDS);
    }
}
