//! Why a client can't simply go on with what is in the buffer.

use causeway_protocol::{cursor::Cursor, hub::ResetReason};

use super::{contents::Contents, doubt::Doubt, reader::Reader, socket::StreamSocket};

/// What a client must get before the records of the buffer.
#[derive(Debug)]
pub(super) enum Lost {
    /// Its position is lost.
    Reset(ResetReason),
    /// The buffer begins after the records from the client's position up to this one. Kafka may have them.
    Missing(Cursor),
}

/// The last record that a client misses which is at this position and has everything of other partitions up to a number,
/// if it misses only records of the partition that its id is of, and the stream hears that.
pub(super) fn missing<S: StreamSocket>(
    contents: &Contents,
    doubts: &[Doubt],
    reader: &Reader<S>,
    cursor: &Cursor,
    has_others_up_to: i64,
) -> Option<Cursor> {
    let source = contents.source(&cursor.channel, cursor.partition)?;
    let last = source.trimmed.filter(|_| reader.hears(&cursor.channel))?.position;
    let is_before = cursor.position.epoch == last.epoch && cursor.received() < last;
    let others: Vec<_> = reader.sources(contents).into_iter().filter(|id| *id != source.id).collect();
    let is_doubtful = |doubt: &Doubt| !doubt.is_of(&cursor.channel, cursor.partition) && reader.hears(&doubt.channel);
    let is_alone = contents.trimmed_of(&others) <= has_others_up_to && !doubts.iter().any(is_doubtful);
    (is_before && is_alone).then(|| Cursor::of_record(&cursor.channel, cursor.partition, last))
}
