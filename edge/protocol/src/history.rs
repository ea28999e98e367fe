//! A page of a user's earlier events. The user's buffer has the newest of them, and Kafka the older ones: so a page comes
//! from the buffer first, and Kafka is asked only for what the buffer does not have.
//!
//! What a buffer has of a partition is without holes down to the last gap, or to the last record that it has dropped.

use serde::{Deserialize, Serialize};

use crate::{
    channel::Channel,
    cursor::{Cursor, Position},
    frame::is_gap,
    replay::{MAX_REPLAY_BYTES, ReplayHead},
};

/// Which page is asked for: the last records before a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRequest {
    /// The channel.
    pub channel: Channel,
    /// The position, of this channel. Without it, the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Cursor>,
    /// The most records.
    pub limit: u32,
}

/// A page, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// How many records there are, what the page before this one is asked for with, and whether records are missing.
    pub head: ReplayHead,
    /// Complete events, the newest last.
    pub frames: String,
}

impl HistoryPage {
    /// What Kafka is to be asked for if the buffer has this part of a page. `None` if the page is full.
    #[must_use]
    pub fn rest_of(&self, asked: &HistoryRequest) -> Option<HistoryRequest> {
        let limit = asked.limit.saturating_sub(self.head.records);
        let has_room = limit > 0 && self.frames.len() < MAX_REPLAY_BYTES;
        has_room.then(|| HistoryRequest { channel: asked.channel.clone(), before: self.head.next.clone(), limit })
    }

    /// The page with an older part before it.
    #[must_use]
    pub fn with_older(self, older: Self) -> Self {
        let records = self.head.records.saturating_add(older.head.records);
        Self { head: ReplayHead { records, ..older.head }, frames: older.frames + &self.frames }
    }
}

/// Gathers a page from what a buffer has of one partition and epoch. Records are added from the newest to the oldest.
#[derive(Debug)]
pub struct BufferedPage {
    channel: Channel,
    partition: i32,
    epoch: u32,
    limit: u32,
    /// The newest first.
    frames: Vec<String>,
    bytes: usize,
    /// The oldest offset that the page reaches down to.
    from: Option<i64>,
}

impl BufferedPage {
    /// An empty page.
    #[must_use]
    pub fn new(request: &HistoryRequest, partition: i32, epoch: u32) -> Self {
        let HistoryRequest { channel, limit, .. } = request;
        Self { channel: channel.clone(), partition, epoch, limit: *limit, frames: Vec::new(), bytes: 0, from: None }
    }

    /// Adds a record. An empty frame is a piece of a message that is complete: the page reaches beyond it, so that nobody
    /// asks for it again. Returns whether the page takes more.
    pub fn add(&mut self, offset: i64, frame: &str) -> bool {
        if !frame.is_empty() {
            // Kafka may have what is missing at a gap.
            if self.is_full() || is_gap(frame) {
                return false;
            }
            self.bytes = self.bytes.saturating_add(frame.len());
            self.frames.push(frame.to_owned());
        }
        self.from = Some(offset);
        true
    }

    /// The page, if the buffer has any of it.
    #[must_use]
    pub fn finish(self) -> Option<HistoryPage> {
        let position = Position { epoch: self.epoch, offset: self.from? };
        let next = Some(Cursor::of_record(&self.channel, self.partition, position));
        let records = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        let frames = self.frames.into_iter().rev().collect();
        Some(HistoryPage { head: ReplayHead { records, next, gone: None }, frames })
    }

    fn is_full(&self) -> bool {
        self.frames.len() >= usize::try_from(self.limit).unwrap_or(usize::MAX) || self.bytes >= MAX_REPLAY_BYTES
    }
}

/// Whether a buffer whose newest record of a partition is at `newest` knows all of the user's records before a position
/// there. A position beyond it is of a record that the buffer does not have yet.
#[must_use]
pub fn reaches(newest: Position, before: Option<&Cursor>) -> bool {
    before.is_none_or(|before| {
        let Position { epoch, offset } = before.position;
        epoch == newest.epoch && offset <= newest.offset.saturating_add(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::{gap_frame, record_frame},
        hub::ResetReason,
    };

    fn cursor(offset: i64) -> Cursor {
        Cursor::of_record(&Channel::parse("chat").unwrap(), 3, Position { epoch: 7, offset })
    }

    fn frame(offset: i64) -> String {
        record_frame(&cursor(offset), &[offset.to_string()])
    }

    fn request(before: Option<i64>, limit: u32) -> HistoryRequest {
        HistoryRequest { channel: Channel::parse("chat").unwrap(), before: before.map(cursor), limit }
    }

    #[test]
    fn a_full_page_needs_nothing_of_kafka_and_a_short_one_the_rest() {
        let mut page = BufferedPage::new(&request(None, 2), 3, 7);
        assert!(page.add(9, &frame(9)) && page.add(8, "") && page.add(5, &frame(5)));
        assert!(page.add(4, ""), "a piece of the message that the page begins with");
        assert!(!page.add(3, &frame(3)));
        let page = page.finish().unwrap();
        assert_eq!(page.frames, frame(5) + &frame(9));
        assert_eq!(page.head, ReplayHead { records: 2, next: Some(cursor(4)), gone: None });
        assert_eq!(page.rest_of(&request(None, 2)), None);
        assert_eq!(page.rest_of(&request(None, 5)), Some(request(Some(4), 3)));
        let older = HistoryPage { head: ReplayHead { records: 1, next: None, gone: None }, frames: frame(1) };
        let whole = page.with_older(older);
        assert_eq!((whole.head.records, whole.head.next), (3, None));
        assert_eq!(whole.frames, frame(1) + &frame(5) + &frame(9));
    }

    #[test]
    fn a_page_ends_at_a_gap() {
        let mut page = BufferedPage::new(&request(None, 5), 3, 7);
        assert!(page.add(9, &frame(9)));
        assert!(!page.add(8, &gap_frame(&cursor(8), ResetReason::Parked)));
        assert_eq!(page.finish().unwrap().head.next, Some(cursor(9)));
        let mut page = BufferedPage::new(&request(None, 5), 3, 7);
        assert!(!page.add(8, &gap_frame(&cursor(8), ResetReason::Parked)));
        assert_eq!(page.finish(), None);
    }

    #[test]
    fn a_buffer_says_nothing_of_positions_that_it_has_not_reached() {
        let newest = Position { epoch: 7, offset: 9 };
        assert!(reaches(newest, None) && reaches(newest, Some(&cursor(10))));
        assert!(!reaches(newest, Some(&cursor(11))));
        assert!(!reaches(Position { epoch: 8, ..newest }, Some(&cursor(5))));
    }
}
