//! Where a client continues.
//!
//! Its id names a record that it has. The hub knows the record's number if the record is stored, if only its position
//! is kept, or if it was the last of its partition that was trimmed. Everything after that number is sent.

use causeway_protocol::{cursor::Cursor, hub::ResetReason};

use super::{
    Doubt, Failure, Hub, StreamSocket,
    contents::Source,
    lost::{Lost, missing},
    reader::Reader,
};
use crate::stream::sql_buffer::Database;

/// Where a client continues.
#[derive(Debug)]
struct Start {
    /// It has everything up to this number.
    after: i64,
    /// It also has the records of this partition up to here.
    ahead: Option<Cursor>,
}

impl<D: Database, S: StreamSocket> Hub<D, S> {
    /// Sets where a stream begins. Returns why the client's position is lost, if it is.
    pub(super) fn resume(
        &self,
        reader: &mut Reader<S>,
        last_event_id: Option<&str>,
        now_ms: u64,
    ) -> Result<Option<Lost>, Failure<D>> {
        let heard = reader.sources(&self.contents);
        let found = match last_event_id.filter(|id| !id.is_empty()).map(str::parse::<Cursor>) {
            None => Err(None),
            Some(Err(_)) => Err(Some(Lost::Reset(ResetReason::BadCursor))),
            Some(Ok(cursor)) => match self.find(reader, &heard, &cursor)? {
                Some(start) => Ok((start, cursor)),
                None => {
                    // Where it is in another partition, nobody knows once records of that are gone, too.
                    let missing = missing(&self.contents, &self.doubts, reader, &cursor, 0);
                    Err(Some(missing.map_or(Lost::Reset(ResetReason::OutOfBuffer), Lost::Missing)))
                }
            },
        };
        match found {
            Ok((Start { after, ahead }, cursor)) => {
                reader.start(after, Some(cursor), ahead, now_ms);
                Ok(None)
            }
            Err(lost) => {
                reader.start(self.contents.trimmed_of(&heard), None, None, now_ms);
                Ok(lost)
            }
        }
    }

    fn find(&self, reader: &Reader<S>, heard: &[i64], cursor: &Cursor) -> Result<Option<Start>, Failure<D>> {
        let Some(source) = self.contents.source(&cursor.channel, cursor.partition) else { return Ok(None) };
        let Some(newest) = source.newest else { return Ok(None) };
        if cursor.position > newest.position {
            let is_same_epoch = cursor.position.epoch == newest.position.epoch;
            return if is_same_epoch { self.find_ahead(reader, heard, source, cursor) } else { Ok(None) };
        }
        let Some(after) = self.seq_before_next(source, cursor)? else { return Ok(None) };
        let is_exact = after >= self.contents.trimmed_of(heard) && self.is_certain(reader, heard, cursor, after)?;
        Ok(is_exact.then_some(Start { after, ahead: None }))
    }

    /// The number after which a client continues that has a stored record, or some of its events.
    fn seq_before_next(&self, source: &Source, cursor: &Cursor) -> Result<Option<i64>, Failure<D>> {
        let is_whole = cursor.event.is_none();
        if let Some(trimmed) = source.trimmed.filter(|trimmed| trimmed.position >= cursor.position) {
            return Ok((is_whole && trimmed.position == cursor.position).then_some(trimmed.seq));
        }
        let seq = match source.newest.filter(|newest| newest.position == cursor.position) {
            Some(newest) => Some(newest.seq),
            None => self.buffer.seq_of(source.id, cursor.position)?,
        };
        Ok(seq.map(|seq| if is_whole { seq } else { seq.saturating_sub(1) }))
    }

    /// Believes a client that has more than is stored: it was sent records before they were stored. What else it has is
    /// what was stored then.
    fn find_ahead(
        &self,
        reader: &Reader<S>,
        heard: &[i64],
        source: &Source,
        cursor: &Cursor,
    ) -> Result<Option<Start>, Failure<D>> {
        let is_of_source = |doubt: &Doubt| doubt.is_of(&source.channel, source.partition);
        let is_in = |doubt: &Doubt| doubt.from < Some(cursor.position) && cursor.position <= doubt.to;
        let mut seqs = self.doubts.iter().filter(|doubt| is_of_source(doubt) && is_in(doubt)).map(|doubt| doubt.seq);
        let after = match seqs.next() {
            Some(seq) if seqs.all(|other| other == seq) => seq,
            // Sent more than once, with more stored in between.
            Some(_) => return Ok(None),
            None => {
                let newest = source.newest.map_or(0, |newest| newest.seq);
                if self.contents.newest_of(heard) > newest {
                    return Ok(None);
                }
                self.contents.last_seq
            }
        };
        if after < self.contents.trimmed_of(heard) {
            return Ok(None);
        }
        for doubt in self.doubts.iter().filter(|doubt| !is_of_source(doubt) && doubt.seq <= after) {
            if reader.hears(&doubt.channel) && !self.is_settled(doubt, after)? {
                return Ok(None);
            }
        }
        let ahead = Cursor::of_record(&cursor.channel, cursor.partition, cursor.received());
        Ok(Some(Start { after, ahead: Some(ahead) }))
    }

    /// Whether a client that has a record has exactly what is stored up to a number.
    fn is_certain(&self, reader: &Reader<S>, heard: &[i64], cursor: &Cursor, after: i64) -> Result<bool, Failure<D>> {
        for doubt in self.doubts.iter().filter(|doubt| doubt.seq < after && reader.hears(&doubt.channel)) {
            let is_of_source = doubt.is_of(&cursor.channel, cursor.partition);
            let is_certain = if is_of_source && cursor.position <= doubt.to {
                // It was sent the record before it was stored, or afterwards.
                let is_other = |&id: &i64| {
                    let source = self.contents.source_of(id);
                    source.is_some_and(|it| !doubt.is_of(&it.channel, it.partition))
                };
                let others: Vec<_> = heard.iter().copied().filter(is_other).collect();
                let is_trimmed = self.contents.trimmed_of(&others) > doubt.seq;
                !is_trimmed && !self.buffer.has_between(&others, doubt.seq, after)?
            } else {
                self.is_settled(doubt, after)?
            };
            if !is_certain {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the records in doubt were stored up to a number, so that every client there has them.
    fn is_settled(&self, doubt: &Doubt, at: i64) -> Result<bool, Failure<D>> {
        let Some(source) = self.contents.source(&doubt.channel, doubt.partition) else { return Ok(false) };
        if self.contents.has_trimmed(doubt) {
            return Ok(true);
        }
        Ok(self.buffer.first_seq_from(source.id, doubt.to)?.is_some_and(|seq| seq <= at))
    }
}
