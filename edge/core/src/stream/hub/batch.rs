//! A delivery's new records, with their numbers.

use causeway_protocol::{
    cursor::{Cursor, Position},
    deliver::{Item, MAX_RECORD_BYTES, Outcome, Slice, Source},
};

use super::{
    contents::{Contents, Finished},
    doubt::Doubt,
};
use crate::stream::sql_buffer::{Database, MAX_NUMBER, RecordRow, SourceRow, SqlBuffer};

/// How much larger than a record its frame may be here. The bridge keeps to the limit; a hub that refused what is an id
/// too long would lose it.
const MARGIN_BYTES: usize = 1024;

/// The most bytes of frames in one statement, give or take a record. A Durable Object takes 2 MB of text, and quotation
/// marks in a frame double in JSON.
const STATEMENT_BYTES: i64 = 512 * 1024;

/// New records. Nothing of them is stored yet.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) records: Vec<NewRecord<'a>>,
    /// The sources that are new, or have a new reader.
    sources: Vec<SourceRow>,
}

/// A new record.
#[derive(Debug)]
pub(super) struct NewRecord<'a> {
    pub(super) seq: i64,
    pub(super) source: &'a Source,
    pub(super) item: &'a Item,
    source_id: i64,
    /// Whether a later record of the batch completes the message that this is a piece of.
    is_finished: bool,
}

impl<'a> Batch<'a> {
    /// What is new of a delivery.
    ///
    /// # Errors
    /// Why nothing of it is stored.
    pub(super) fn new(contents: &Contents, slices: &'a [Slice]) -> Result<Self, Outcome> {
        if !slices.iter().all(is_acceptable) {
            return Err(Outcome::Refused);
        }
        let mut batch = Self { records: Vec::new(), sources: Vec::new() };
        for slice in slices {
            batch.add(contents, slice)?;
        }
        Ok(batch)
    }

    fn add(&mut self, contents: &Contents, slice: &'a Slice) -> Result<(), Outcome> {
        let source = &slice.source;
        let source_id = self.source_id(contents, source)?;
        if let Some(after) = slice.after {
            let newest = contents.source_of(source_id).and_then(|known| known.newest);
            if newest.is_none_or(|newest| newest.position < source.at(after)) {
                return Err(Outcome::Missing);
            }
        }
        let of_source = |record: &&NewRecord<'_>| record.source_id == source_id;
        let mut newest = match self.records.iter().rev().find(of_source) {
            Some(record) => Some(record.position()),
            None => contents.source_of(source_id).and_then(|known| known.newest).map(|mark| mark.position),
        };
        for item in &slice.items {
            let position = source.at(item.offset);
            if newest.is_some_and(|newest| newest >= position) {
                continue;
            }
            newest = Some(position);
            if let Some(message) = &item.completes {
                let is_piece = |record: &&mut NewRecord<'_>| {
                    record.source_id == source_id && record.piece_of() == Some(message.as_str())
                };
                self.records.iter_mut().filter(is_piece).for_each(|piece| piece.is_finished = true);
            }
            let seq = self.records.last().map_or(contents.last_seq, |last| last.seq).saturating_add(1);
            self.records.push(NewRecord { seq, source, item, source_id, is_finished: false });
        }
        Ok(())
    }

    /// The id of a source. A source that is new or has a new reader is noted.
    fn source_id(&mut self, contents: &Contents, source: &Source) -> Result<i64, Outcome> {
        let is_same = |row: &&mut SourceRow| row.partition == source.partition && row.channel == source.channel;
        if let Some(row) = self.sources.iter_mut().find(is_same) {
            row.generation = row.generation.max(source.generation);
            return Ok(row.id);
        }
        let known = contents.source(&source.channel, source.partition);
        let row = match known {
            Some(known) if known.generation > source.generation => return Err(Outcome::Stale),
            Some(known) if known.generation == source.generation => return Ok(known.id),
            Some(known) => SourceRow { generation: source.generation, ..known.to_row() },
            None => SourceRow {
                id: self.sources.iter().map(|row| row.id + 1).fold(contents.next_source_id(), i64::max),
                channel: source.channel.clone(),
                partition: source.partition,
                generation: source.generation,
                trimmed_epoch: None,
                trimmed_offset: None,
                trimmed_seq: None,
            },
        };
        let id = row.id;
        self.sources.push(row);
        Ok(id)
    }

    /// Whether all records are of one source.
    pub(super) fn has_one_source(&self) -> bool {
        self.records.is_empty() || self.source().is_some()
    }

    /// The source of all records, if they have the same.
    pub(super) fn source(&self) -> Option<i64> {
        let first = self.records.first()?.source_id;
        self.records.iter().all(|record| record.source_id == first).then_some(first)
    }

    /// Whether the records may be held: storing them takes one statement, and leaves nothing else to do.
    pub(super) fn is_plain(&self, contents: &Contents) -> bool {
        let finishes = |record: &NewRecord<'_>| {
            record.item.completes.as_deref().is_some_and(|message| contents.has_pieces(record.source_id, message))
        };
        self.sources.is_empty() && self.source().is_some() && !self.records.iter().any(finishes)
    }

    /// How many records there are, and the bytes of their frames.
    pub(super) fn size(&self) -> (i64, i64) {
        self.rows().fold((0, 0), |(records, bytes), row| (records + 1, bytes.saturating_add(row.bytes)))
    }

    /// The records as the buffer stores them.
    pub(super) fn rows(&self) -> impl Iterator<Item = RecordRow<'_>> {
        self.records.iter().map(NewRecord::row)
    }

    /// Stores the records: with one statement, unless they are very large, or a source is new or has a new reader.
    pub(super) fn store<D: Database>(&self, buffer: &SqlBuffer<D>, at_ms: u64) -> Result<(), D::Error> {
        if !self.sources.is_empty() {
            buffer.put_sources(&self.sources)?;
        }
        let mut rows = Vec::new();
        let mut bytes = 0_i64;
        for row in self.rows() {
            bytes = bytes.saturating_add(row.bytes);
            rows.push(row);
            if bytes >= STATEMENT_BYTES {
                buffer.insert(&std::mem::take(&mut rows), at_ms)?;
                bytes = 0;
            }
        }
        if rows.is_empty() { Ok(()) } else { buffer.insert(&rows, at_ms) }
    }

    /// Notes that the records are stored. Returns the messages whose stored pieces are not needed any more.
    pub(super) fn note(&self, contents: &mut Contents, at_ms: u64) -> Vec<Finished> {
        contents.put_sources(&self.sources);
        let mut finished = Vec::new();
        for record in &self.records {
            contents.add_record(&record.row(), at_ms);
            let message = record.item.completes.as_deref();
            finished.extend(message.and_then(|message| contents.finish(record.source_id, message)));
        }
        finished
    }

    /// What is in doubt if the records were sent, but could not be stored. All are of one source.
    pub(super) fn doubt(&self, contents: &Contents) -> Option<Doubt> {
        let last = self.records.last()?;
        let known = contents.source_of(last.source_id);
        Some(Doubt {
            channel: last.source.channel.clone(),
            partition: last.source.partition,
            from: known.and_then(|known| known.newest).map(|mark| mark.position),
            to: last.position(),
            seq: contents.last_seq,
        })
    }
}

/// Whether a slice is one that a bridge sends and a [`Database`] stores.
fn is_acceptable(slice: &Slice) -> bool {
    let is_number = |number: i64| (0..=MAX_NUMBER).contains(&number);
    slice.source.partition >= 0
        && i64::try_from(slice.source.generation).is_ok_and(is_number)
        && slice.after.is_none_or(is_number)
        && slice
            .items
            .iter()
            .all(|item| is_number(item.offset) && item.frame.len() <= MAX_RECORD_BYTES.saturating_add(MARGIN_BYTES))
}

impl NewRecord<'_> {
    pub(super) fn position(&self) -> Position {
        self.source.at(self.item.offset)
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor::of_record(&self.source.channel, self.source.partition, self.position())
    }

    /// The unfinished message that this is a piece of. What completes a message is a message itself.
    fn piece_of(&self) -> Option<&str> {
        let is_whole = self.item.completes.is_some();
        self.item.piece_of.as_deref().filter(|message| !message.is_empty() && !is_whole)
    }

    fn row(&self) -> RecordRow<'_> {
        let is_position = self.is_finished || self.item.frame.is_empty();
        let frame = if is_position { "" } else { self.item.frame.as_str() };
        RecordRow {
            seq: self.seq,
            source: self.source_id,
            epoch: self.source.epoch,
            offset: self.item.offset,
            frame,
            bytes: i64::try_from(frame.len()).unwrap_or(i64::MAX),
            piece_of: if is_position { Some("") } else { self.piece_of() },
        }
    }
}
