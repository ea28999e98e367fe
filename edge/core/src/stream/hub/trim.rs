//! What goes when the buffer is full or old: always the oldest records, so that one number says what is gone. Only of
//! the mere positions of finished pieces, which no stream is sent, some may go before.

use causeway_protocol::buffer::{MAX_AGE, MAX_BUFFER_BYTES, MAX_MESSAGES, MAX_RECORDS, TRIM_SLACK_PERCENT};

use super::{Failure, Hub, StreamSocket, batch::Batch, contents::Contents};
use crate::{runtime::clock::millis, stream::sql_buffer::Database};

const MESSAGES: i64 = MAX_MESSAGES as i64;
const RECORDS: i64 = MAX_RECORDS as i64;
const BYTES: i64 = MAX_BUFFER_BYTES.cast_signed();

/// By how much a number exceeds a limit, if by more than the slack.
fn excess(number: i64, limit: i64) -> Option<i64> {
    let slack = limit.saturating_mul(TRIM_SLACK_PERCENT.into()) / 100;
    (number > limit.saturating_add(slack)).then(|| number.saturating_sub(limit))
}

impl<D: Database, S: StreamSocket> Hub<D, S> {
    /// Deletes what is too old.
    ///
    /// # Errors
    /// The storage failed.
    pub fn expire(&mut self, now_ms: u64) -> Result<(), Failure<D>> {
        let kept_since_ms = now_ms.saturating_sub(millis(MAX_AGE));
        if self.contents.oldest_at_ms.is_none_or(|at_ms| at_ms >= kept_since_ms) {
            return Ok(());
        }
        self.store_held(now_ms)?;
        let kept = self.buffer.first_seq_since(kept_since_ms)?;
        self.trim_up_to(kept.map_or(self.contents.last_seq, |seq| seq.saturating_sub(1)))
    }

    /// Whether there is room for a batch without deleting anything.
    pub(super) fn has_room(&self, batch: &Batch<'_>, now_ms: u64) -> bool {
        let Contents { records, bytes, oldest_at_ms, .. } = &self.contents;
        let (more_records, more_bytes) = batch.size();
        excess(self.contents.messages().saturating_add(more_records), MESSAGES).is_none()
            && excess(records.saturating_add(more_records), RECORDS).is_none()
            && excess(bytes.saturating_add(more_bytes), BYTES).is_none()
            && oldest_at_ms.is_none_or(|at_ms| at_ms >= now_ms.saturating_sub(millis(MAX_AGE)))
    }

    /// Deletes the oldest records if a limit is exceeded. While a stream has not been sent all of them, only the bytes
    /// are limited: a burst, however many records it has, takes nothing from a stream that was level before.
    pub(super) fn trim_excess(&mut self) -> Result<(), Failure<D>> {
        self.trim_positions()?;
        let contents = &self.contents;
        let mut up_to = None;
        if self.readers.values().all(|reader| reader.waits_since_ms().is_none()) {
            if let Some(count) = excess(contents.messages(), MESSAGES) {
                up_to = up_to.max(self.buffer.seq_of_message(count, &contents.last_pieces())?);
            }
            if let Some(count) = excess(contents.records, RECORDS) {
                up_to = up_to.max(self.buffer.seq_of_record(count)?);
            }
        }
        if let Some(bytes) = excess(contents.bytes, BYTES) {
            up_to = up_to.max(self.buffer.seq_of_byte(bytes)?);
        }
        up_to.map_or(Ok(()), |seq| self.trim_up_to(seq))
    }

    /// Deletes the oldest mere positions if there are too many records. So the pieces of streamed messages push no
    /// message out of the buffer. A client that has nothing newer than such a piece is reset.
    fn trim_positions(&mut self) -> Result<(), Failure<D>> {
        let Some(count) = excess(self.contents.records, RECORDS) else { return Ok(()) };
        let kept = self.contents.newest_seqs();
        if let Some((count, up_to)) = self.buffer.oldest_positions(&kept, count)? {
            self.buffer.delete_positions(&kept, up_to)?;
            self.contents.records = self.contents.records.saturating_sub(count);
        }
        Ok(())
    }

    fn trim_up_to(&mut self, seq: i64) -> Result<(), Failure<D>> {
        let groups = self.buffer.groups(seq)?;
        let sources = self.contents.remove(groups);
        self.buffer.put_sources(&sources)?;
        self.buffer.trim(seq)?;
        self.contents.oldest_at_ms = self.buffer.oldest_at_ms()?;
        Ok(())
    }
}
