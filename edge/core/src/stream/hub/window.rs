//! What is sent to a stream and not acknowledged.

use std::collections::VecDeque;

use causeway_protocol::hub::{WINDOW_BYTES, WINDOW_RECORDS};

/// The messages in flight to a stream.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Whether it was full before hibernation, and nothing was acknowledged since.
    was_full: bool,
    /// One for each message, so at most [`WINDOW_RECORDS`].
    messages: VecDeque<Message>,
    records: i64,
    bytes: i64,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    /// The number of its last record.
    seq: i64,
    records: i64,
    bytes: i64,
}

impl Window {
    /// The window after hibernation. What is in flight then is forgotten with the first acknowledgement, so it may have
    /// one window more in flight.
    pub(super) fn after_hibernation(was_full: bool) -> Self {
        Self { was_full, ..Self::default() }
    }

    /// How many records and bytes fit: both positive, or nothing does. The last record may exceed the bytes.
    pub(super) fn room(&self) -> Option<(i64, i64)> {
        let bytes = i64::try_from(WINDOW_BYTES).unwrap_or(i64::MAX).saturating_sub(self.bytes);
        let records = WINDOW_RECORDS.saturating_sub(self.records);
        (records > 0 && bytes > 0 && !self.was_full).then_some((records, bytes))
    }

    /// Counts a message with records.
    pub(super) fn sent(&mut self, seq: i64, records: i64, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.messages.push_back(Message { seq, records, bytes });
        self.records = self.records.saturating_add(records);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Counts what was taken, up to a message's last record. Returns whether it was in flight.
    pub(super) fn acknowledge(&mut self, taken: i64) -> bool {
        if std::mem::take(&mut self.was_full) {
            return true;
        }
        if self.messages.back().is_none_or(|last| taken > last.seq) {
            return false;
        }
        let before = self.messages.len();
        while let Some(&message) = self.messages.front().filter(|message| message.seq <= taken) {
            self.messages.pop_front();
            self.records = self.records.saturating_sub(message.records);
            self.bytes = self.bytes.saturating_sub(message.bytes);
        }
        self.messages.len() < before
    }
}
