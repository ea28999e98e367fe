//! A page of earlier events, as far as the buffer has it.

use causeway_protocol::{
    frame::is_gap,
    history::{BufferedPage, HistoryPage, HistoryRequest, reaches},
};

use super::{Failure, Hub, StreamSocket, contents::Source};
use crate::stream::sql_buffer::{Database, MAX_NUMBER};

/// The most records in one read from the database.
const READ_RECORDS: i64 = 64;

impl<D: Database, S: StreamSocket> Hub<D, S> {
    /// What the buffer has of a page, if it has any of it.
    ///
    /// # Errors
    /// The storage failed.
    pub fn history(&mut self, request: &HistoryRequest, now_ms: u64) -> Result<Option<HistoryPage>, Failure<D>> {
        self.store_held(now_ms)?;
        self.expire(now_ms)?;
        let Some(source) = self.source_of_page(request) else { return Ok(None) };
        let Some(newest) = source.newest.map(|newest| newest.position) else { return Ok(None) };
        if !reaches(newest, request.before.as_ref()) {
            return Ok(None);
        }
        let offset = request.before.as_ref().map_or(MAX_NUMBER, |before| before.position.offset);
        // What is missing at a gap is before it.
        if self.buffer.frame_from(source.id, newest.epoch, offset)?.is_some_and(|frame| is_gap(&frame)) {
            return Ok(None);
        }
        let mut page = BufferedPage::new(request, source.partition, newest.epoch);
        let mut seq = MAX_NUMBER;
        loop {
            let records = self.buffer.page_before(source.id, newest.epoch, offset, seq, READ_RECORDS)?;
            if !records.iter().all(|record| page.add(record.offset, &record.frame)) {
                break;
            }
            match records.last() {
                Some(last) => seq = last.seq,
                None => break,
            }
        }
        Ok(page.finish())
    }

    /// The partition of a page. Without a position, it is known only if all records of the channel came from one.
    fn source_of_page(&self, request: &HistoryRequest) -> Option<&Source> {
        match &request.before {
            Some(before) => self.contents.source(&request.channel, before.partition),
            None => match *self.contents.sources_of(|channel| *channel == request.channel) {
                [id] => self.contents.source_of(id),
                _ => None,
            },
        }
    }
}
