//! The tables of a user's buffer, and the statements on them.
//!
//! There is no index but the order of `seq`. Each would cost another write per record; what a statement searches, it
//! finds near an end, or it runs rarely.

/// One call creates the tables.
///
/// - `records`: the records of all sources in the order of arrival. `frame` is empty, `bytes` 0 and `piece_of` the
///   empty text if only the position is kept.
/// - `sources`: the partitions that records came from, with the last record of each that was trimmed. The newest record
///   of a source is its newest row in `records`, or else that one.
/// - `ended`: the sessions that ended.
/// - `doubts`: see the hub's module of that name.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, source INTEGER NOT NULL, epoch INTEGER NOT NULL,
        kafka_offset INTEGER NOT NULL, bytes INTEGER NOT NULL, at_ms INTEGER NOT NULL, piece_of TEXT,
        frame TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY, channel TEXT NOT NULL, kafka_partition INTEGER NOT NULL,
        generation INTEGER NOT NULL, trimmed_epoch INTEGER, trimmed_offset INTEGER, trimmed_seq INTEGER);
    CREATE TABLE IF NOT EXISTS ended (session TEXT PRIMARY KEY, at_ms INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS doubts (json TEXT NOT NULL);
";

pub(super) const SOURCES: &str = "SELECT id, channel, kafka_partition, generation, trimmed_epoch, trimmed_offset, \
    trimmed_seq FROM sources";

pub(super) const PUT_SOURCES: &str = "INSERT OR REPLACE INTO sources (id, channel, kafka_partition, generation, \
    trimmed_epoch, trimmed_offset, trimmed_seq) SELECT value ->> 'id', value ->> 'channel', value ->> 'partition', \
    value ->> 'generation', value ->> 'trimmed_epoch', value ->> 'trimmed_offset', value ->> 'trimmed_seq' \
    FROM json_each(?1)";

/// The columns that are not a group's are those of its last record.
pub(super) const GROUPS: &str = "SELECT g.source, g.piece_of, g.first_seq, g.last_seq, g.records, g.bytes, r.epoch, \
    r.kafka_offset FROM (SELECT source, piece_of, MIN(seq) AS first_seq, MAX(seq) AS last_seq, COUNT(*) AS records, \
    SUM(bytes) AS bytes FROM records WHERE seq <= ?1 GROUP BY source, piece_of) AS g \
    JOIN records AS r ON r.seq = g.last_seq";

pub(super) const INSERT: &str = "INSERT INTO records (seq, source, epoch, kafka_offset, bytes, at_ms, piece_of, frame) \
    SELECT value ->> 'seq', value ->> 'source', value ->> 'epoch', value ->> 'offset', value ->> 'bytes', ?2, \
    value ->> 'piece_of', value ->> 'frame' FROM json_each(?1)";

pub(super) const EMPTY_PIECES: &str = "UPDATE records SET frame = '', bytes = 0, piece_of = '' \
    WHERE seq BETWEEN ?2 AND ?3 AND source = ?4 AND piece_of = ?1";

pub(super) const SEQ_OF: &str = "SELECT seq FROM records WHERE source = ?1 AND epoch = ?2 AND kafka_offset = ?3 \
    ORDER BY seq DESC LIMIT 1";

pub(super) const FIRST_SEQ_FROM: &str = "SELECT seq FROM records WHERE source = ?1 \
    AND (epoch, kafka_offset) >= (?2, ?3) ORDER BY seq LIMIT 1";

pub(super) const FIRST_BETWEEN: &str = "SELECT seq FROM records WHERE seq > ?2 AND seq < ?3 AND bytes > 0 \
    AND source IN (SELECT value FROM json_each(?1)) ORDER BY seq LIMIT 1";

/// Finds the numbers first, so that no frame is read that does not fit.
pub(super) const PAGE: &str = "SELECT r.seq, r.source, r.epoch, r.kafka_offset, r.frame \
    FROM (SELECT seq, SUM(bytes) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) - bytes AS before_bytes \
        FROM (SELECT seq, bytes FROM records WHERE seq > ?2 AND bytes > 0 \
            AND source IN (SELECT value FROM json_each(?1)) ORDER BY seq LIMIT ?3)) AS p \
    JOIN records AS r ON r.seq = p.seq WHERE p.before_bytes < ?4 ORDER BY r.seq";

pub(super) const PAGE_BEFORE: &str = "SELECT seq, source, epoch, kafka_offset, frame FROM records \
    WHERE source = ?1 AND epoch = ?2 AND kafka_offset < ?3 AND seq < ?4 ORDER BY seq DESC LIMIT ?5";

pub(super) const FRAME_FROM: &str = "SELECT frame FROM records \
    WHERE source = ?1 AND epoch = ?2 AND kafka_offset >= ?3 ORDER BY seq LIMIT 1";

pub(super) const SEQ_OF_MESSAGE: &str = "SELECT seq FROM records \
    WHERE piece_of IS NULL OR seq IN (SELECT value FROM json_each(?1)) ORDER BY seq LIMIT 1 OFFSET ?2";

pub(super) const SEQ_OF_RECORD: &str = "SELECT seq FROM records ORDER BY seq LIMIT 1 OFFSET ?1";

pub(super) const SEQ_OF_BYTE: &str = "SELECT MIN(seq) FROM (SELECT seq, SUM(bytes) OVER \
    (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS up_to_bytes FROM records) WHERE up_to_bytes >= ?1";

pub(super) const OLDEST_POSITIONS: &str = "SELECT COUNT(*), MAX(seq) FROM (SELECT seq FROM records \
    WHERE bytes = 0 AND seq NOT IN (SELECT value FROM json_each(?1)) ORDER BY seq LIMIT ?2)";

pub(super) const DELETE_POSITIONS: &str = "DELETE FROM records \
    WHERE bytes = 0 AND seq <= ?2 AND seq NOT IN (SELECT value FROM json_each(?1))";

pub(super) const FIRST_SEQ_SINCE: &str = "SELECT seq FROM records WHERE at_ms >= ?1 ORDER BY seq LIMIT 1";

pub(super) const OLDEST_AT: &str = "SELECT at_ms FROM records ORDER BY seq LIMIT 1";
