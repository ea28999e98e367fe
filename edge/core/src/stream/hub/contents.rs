//! What the hub knows of its buffer, so that it need not ask: loaded once when it wakes, and kept up to date.

use std::collections::BTreeMap;

use causeway_protocol::{channel::Channel, cursor::Position};

use super::doubt::Doubt;
use crate::stream::sql_buffer::{Database, Group, RecordRow, SourceRow, SqlBuffer};

/// The contents of a buffer.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The last number that was used.
    pub(super) last_seq: i64,
    /// When the oldest record arrived.
    pub(super) oldest_at_ms: Option<u64>,
    /// How many records there are, of any kind.
    pub(super) records: i64,
    pub(super) bytes: i64,
    /// How many of them are messages.
    messages: i64,
    sources: Vec<Source>,
    /// The unfinished messages, by source.
    pieces: BTreeMap<(i64, String), Pieces>,
}

/// A partition that records came from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) id: i64,
    pub(super) channel: Channel,
    pub(super) partition: i32,
    /// The highest generation of a reader that delivered.
    pub(super) generation: u64,
    /// The newest record, even if it was trimmed. A record at its position or before is a repeat.
    pub(super) newest: Option<Mark>,
    /// The last record that was trimmed.
    pub(super) trimmed: Option<Mark>,
}

/// A record's coordinates and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    pub(super) seq: i64,
}

/// The stored pieces of a message.
#[derive(Debug, Clone, Copy)]
struct Pieces {
    first_seq: i64,
    last_seq: i64,
    records: i64,
    bytes: i64,
}

/// A message whose pieces are not needed any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) source: i64,
    pub(super) message: String,
    pub(super) first_seq: i64,
    pub(super) last_seq: i64,
}

impl Contents {
    /// Reads what is stored.
    pub(super) fn load<D: Database>(buffer: &SqlBuffer<D>) -> Result<Self, D::Error> {
        let sources: Vec<_> = buffer.sources()?.into_iter().map(Source::from_row).collect();
        let trimmed_seq = sources.iter().filter_map(|source| source.trimmed).map(|mark| mark.seq).max();
        let last_seq = trimmed_seq.unwrap_or(0);
        let mut contents = Self { last_seq, sources, oldest_at_ms: buffer.oldest_at_ms()?, ..Self::default() };
        for group in buffer.groups(crate::stream::sql_buffer::MAX_NUMBER)? {
            contents.add(group);
        }
        Ok(contents)
    }

    fn add(&mut self, group: Group) {
        let Group { source, piece_of, first_seq, last_seq, records, bytes, epoch, offset } = group;
        self.last_seq = self.last_seq.max(last_seq);
        self.records = self.records.saturating_add(records);
        self.bytes = self.bytes.saturating_add(bytes);
        match piece_of {
            None => self.messages = self.messages.saturating_add(records),
            Some(message) if message.is_empty() => {}
            Some(message) => {
                let pieces = self.pieces.entry((source, message)).or_insert(Pieces {
                    first_seq,
                    last_seq,
                    records: 0,
                    bytes: 0,
                });
                pieces.first_seq = pieces.first_seq.min(first_seq);
                pieces.last_seq = pieces.last_seq.max(last_seq);
                pieces.records = pieces.records.saturating_add(records);
                pieces.bytes = pieces.bytes.saturating_add(bytes);
            }
        }
        if let Some(source) = self.sources.iter_mut().find(|known| known.id == source)
            && source.newest.is_none_or(|newest| newest.seq < last_seq)
        {
            source.newest = Some(Mark { position: Position { epoch, offset }, seq: last_seq });
        }
    }

    /// Notes a record that was stored.
    pub(super) fn add_record(&mut self, row: &RecordRow<'_>, at_ms: u64) {
        if self.records == 0 {
            self.oldest_at_ms = Some(at_ms);
        }
        self.add(Group {
            source: row.source,
            piece_of: row.piece_of.map(str::to_owned),
            first_seq: row.seq,
            last_seq: row.seq,
            records: 1,
            bytes: row.bytes,
            epoch: row.epoch,
            offset: row.offset,
        });
    }

    /// Notes sources that were stored, new ones or with a new generation.
    pub(super) fn put_sources(&mut self, rows: &[SourceRow]) {
        for row in rows {
            match self.sources.iter_mut().find(|known| known.id == row.id) {
                Some(known) => known.generation = row.generation,
                None => self.sources.push(Source::from_row(row.clone())),
            }
        }
    }

    /// Whether pieces of an unfinished message are known.
    pub(super) fn has_pieces(&self, source: i64, message: &str) -> bool {
        self.pieces.contains_key(&(source, message.to_owned()))
    }

    /// Notes that a message is complete. Returns which of its pieces must be emptied, if any are stored.
    pub(super) fn finish(&mut self, source: i64, message: &str) -> Option<Finished> {
        let key = (source, message.to_owned());
        let Pieces { first_seq, last_seq, bytes, .. } = self.pieces.remove(&key)?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(Finished { source, message: key.1, first_seq, last_seq })
    }

    /// Notes that groups are trimmed. Returns the sources that changed.
    pub(super) fn remove(&mut self, groups: Vec<Group>) -> Vec<SourceRow> {
        let mut changed = Vec::new();
        for Group { source, piece_of, last_seq, records, bytes, epoch, offset, .. } in groups {
            self.records = self.records.saturating_sub(records);
            self.bytes = self.bytes.saturating_sub(bytes);
            match piece_of {
                None => self.messages = self.messages.saturating_sub(records),
                Some(message) => self.remove_pieces((source, message), records, bytes),
            }
            if let Some(source) = self.sources.iter_mut().find(|known| known.id == source)
                && source.trimmed.is_none_or(|trimmed| trimmed.seq < last_seq)
            {
                source.trimmed = Some(Mark { position: Position { epoch, offset }, seq: last_seq });
                changed.push(source.id);
            }
        }
        let is_changed = |source: &&Source| changed.contains(&source.id);
        self.sources.iter().filter(is_changed).map(Source::to_row).collect()
    }

    fn remove_pieces(&mut self, key: (i64, String), records: i64, bytes: i64) {
        if let Some(pieces) = self.pieces.get_mut(&key) {
            pieces.records = pieces.records.saturating_sub(records);
            pieces.bytes = pieces.bytes.saturating_sub(bytes);
            if pieces.records <= 0 {
                self.pieces.remove(&key);
            }
        }
    }

    /// How many messages there are. An unfinished one counts, its pieces do not.
    pub(super) fn messages(&self) -> i64 {
        self.messages.saturating_add(i64::try_from(self.pieces.len()).unwrap_or(i64::MAX))
    }

    /// The numbers of the last pieces of unfinished messages.
    pub(super) fn last_pieces(&self) -> Vec<i64> {
        self.pieces.values().map(|pieces| pieces.last_seq).collect()
    }

    /// A source by its coordinates.
    pub(super) fn source(&self, channel: &Channel, partition: i32) -> Option<&Source> {
        self.sources.iter().find(|source| source.partition == partition && source.channel == *channel)
    }

    /// Whether all records so far came from one source.
    pub(super) fn has_one_source(&self) -> bool {
        self.sources.len() == 1
    }

    /// A source by its id.
    pub(super) fn source_of(&self, id: i64) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// The id of the next new source.
    pub(super) fn next_source_id(&self) -> i64 {
        self.sources.iter().map(|source| source.id).max().unwrap_or(0).saturating_add(1)
    }

    /// The ids of the sources of some channels.
    pub(super) fn sources_of(&self, is_wanted: impl Fn(&Channel) -> bool) -> Vec<i64> {
        self.sources.iter().filter(|source| is_wanted(&source.channel)).map(|source| source.id).collect()
    }

    /// The numbers of each source's newest record.
    pub(super) fn newest_seqs(&self) -> Vec<i64> {
        self.sources.iter().filter_map(|source| source.newest).map(|newest| newest.seq).collect()
    }

    /// The number of the newest record of some sources, or 0.
    pub(super) fn newest_of(&self, sources: &[i64]) -> i64 {
        self.max_of(sources, |source| source.newest)
    }

    /// The number of the last trimmed record of some sources, or 0. A stream that was sent less missed something.
    pub(super) fn trimmed_of(&self, sources: &[i64]) -> i64 {
        self.max_of(sources, |source| source.trimmed)
    }

    fn max_of(&self, sources: &[i64], mark: impl Fn(&Source) -> Option<Mark>) -> i64 {
        let marks = self.sources.iter().filter(|source| sources.contains(&source.id)).filter_map(mark);
        marks.map(|mark| mark.seq).max().unwrap_or(0)
    }

    /// Whether the last of the records in doubt, or a later one, was stored and trimmed again.
    pub(super) fn has_trimmed(&self, doubt: &Doubt) -> bool {
        let source = self.source(&doubt.channel, doubt.partition);
        source.and_then(|source| source.trimmed).is_some_and(|trimmed| trimmed.position >= doubt.to)
    }
}

impl Source {
    fn from_row(row: SourceRow) -> Self {
        let SourceRow { id, channel, partition, generation, trimmed_epoch, trimmed_offset, trimmed_seq } = row;
        let trimmed = match (trimmed_epoch, trimmed_offset, trimmed_seq) {
            (Some(epoch), Some(offset), Some(seq)) => Some(Mark { position: Position { epoch, offset }, seq }),
            _ => None,
        };
        Self { id, channel, partition, generation, newest: trimmed, trimmed }
    }

    /// The source as it is stored.
    pub(super) fn to_row(&self) -> SourceRow {
        SourceRow {
            id: self.id,
            channel: self.channel.clone(),
            partition: self.partition,
            generation: self.generation,
            trimmed_epoch: self.trimmed.map(|mark| mark.position.epoch),
            trimmed_offset: self.trimmed.map(|mark| mark.position.offset),
            trimmed_seq: self.trimmed.map(|mark| mark.seq),
        }
    }
}
