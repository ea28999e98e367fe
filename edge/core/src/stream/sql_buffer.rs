//! A user's buffer in SQL: the tables and statements of a hub whose runtime has SQLite.
//!
//! A runtime provides a [`Database`]. Tests provide one as well, so the statements that run there are those deployed.
//! The [hub](super::hub) decides what is stored and what goes. While it is awake, it knows what the buffer contains, so
//! storing a batch is one statement.
//!
//! - `statement`: the tables and the longer statements

use causeway_protocol::{channel::Channel, cursor::Position, session::SessionHandle};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

mod statement;

/// The SQLite database of one user. The runtime makes all calls during one of its events one transaction.
///
/// The parameters of a statement are at most one text, which then is `?1`, and numbers. JavaScript passes a number as a
/// double, which is exact up to [`MAX_NUMBER`].
pub trait Database {
    /// A failure of the database.
    type Error;
    /// Executes statements that are separated by semicolons, without parameters and without rows.
    ///
    /// # Errors
    /// A statement failed.
    fn execute_all(&self, statements: &str) -> Result<(), Self::Error>;
    /// Executes a statement without rows.
    ///
    /// # Errors
    /// The statement failed.
    fn execute(&self, statement: &str, text: Option<&str>, numbers: &[i64]) -> Result<(), Self::Error>;
    /// Executes a statement and returns its rows, each the list of its values.
    ///
    /// # Errors
    /// The statement failed, or a row is not an `R`.
    fn query<R: DeserializeOwned>(
        &self,
        statement: &str,
        text: Option<&str>,
        numbers: &[i64],
    ) -> Result<Vec<R>, Self::Error>;
}

/// The largest number that a [`Database`] stores: JavaScript's `MAX_SAFE_INTEGER`.
pub const MAX_NUMBER: i64 = (1 << 53) - 1;

/// A partition that records came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceRow {
    /// Names it in the other tables.
    pub(super) id: i64,
    pub(super) channel: Channel,
    pub(super) partition: i32,
    /// The highest generation of a reader that delivered.
    pub(super) generation: u64,
    /// The last record that was trimmed.
    pub(super) trimmed_epoch: Option<u32>,
    pub(super) trimmed_offset: Option<i64>,
    pub(super) trimmed_seq: Option<i64>,
}

/// A record to store.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RecordRow<'a> {
    pub(super) seq: i64,
    pub(super) source: i64,
    pub(super) epoch: u32,
    pub(super) offset: i64,
    /// Empty if only the position is kept.
    pub(super) frame: &'a str,
    pub(super) bytes: i64,
    /// The unfinished message that it is a piece of. The empty text stands for any finished one.
    pub(super) piece_of: Option<&'a str>,
}

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct StoredRecord {
    pub(super) seq: i64,
    pub(super) source: i64,
    pub(super) epoch: u32,
    pub(super) offset: i64,
    pub(super) frame: String,
}

/// What is stored from one source of one kind: messages, pieces of one unfinished message, or mere positions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Group {
    pub(super) source: i64,
    /// As in [`RecordRow::piece_of`].
    pub(super) piece_of: Option<String>,
    pub(super) first_seq: i64,
    pub(super) last_seq: i64,
    pub(super) records: i64,
    pub(super) bytes: i64,
    /// The position of the last one.
    pub(super) epoch: u32,
    pub(super) offset: i64,
}

/// A user's buffer in a [`Database`].
#[derive(Debug)]
pub struct SqlBuffer<D>(D);

impl<D: Database> SqlBuffer<D> {
    /// The buffer in a database. Creates the tables that are missing.
    ///
    /// # Errors
    /// The database failed.
    pub fn open(database: D) -> Result<Self, D::Error> {
        database.execute_all(statement::SCHEMA)?;
        Ok(Self(database))
    }

    /// All sources.
    pub(super) fn sources(&self) -> Result<Vec<SourceRow>, D::Error> {
        self.0.query(statement::SOURCES, None, &[])
    }

    /// Stores sources in place of those with the same id.
    pub(super) fn put_sources(&self, sources: &[SourceRow]) -> Result<(), D::Error> {
        self.execute_with(statement::PUT_SOURCES, &sources, &[])
    }

    /// What is stored up to and including a number.
    pub(super) fn groups(&self, up_to_seq: i64) -> Result<Vec<Group>, D::Error> {
        self.0.query(statement::GROUPS, None, &[up_to_seq])
    }

    /// Stores records.
    pub(super) fn insert(&self, records: &[RecordRow<'_>], at_ms: u64) -> Result<(), D::Error> {
        self.execute_with(statement::INSERT, &records, &[number(at_ms)])
    }

    /// Stores records: a list of [`RecordRow`]s in JSON.
    pub(super) fn insert_json(&self, records: &str, at_ms: u64) -> Result<(), D::Error> {
        self.0.execute(statement::INSERT, Some(records), &[number(at_ms)])
    }

    /// Empties the pieces of a message between two numbers, so that only their positions are kept.
    pub(super) fn empty_pieces(&self, source: i64, message: &str, first: i64, last: i64) -> Result<(), D::Error> {
        self.0.execute(statement::EMPTY_PIECES, Some(message), &[first, last, source])
    }

    /// The number of the record at a position, also of an emptied one. Searches from the newest.
    pub(super) fn seq_of(&self, source: i64, position: Position) -> Result<Option<i64>, D::Error> {
        let numbers = [source, position.epoch.into(), position.offset];
        self.first(statement::SEQ_OF, None, &numbers)
    }

    /// The number of the first record of a source at a position or after it.
    pub(super) fn first_seq_from(&self, source: i64, position: Position) -> Result<Option<i64>, D::Error> {
        let numbers = [source, position.epoch.into(), position.offset];
        self.first(statement::FIRST_SEQ_FROM, None, &numbers)
    }

    /// Whether a record that is no mere position lies between two numbers, of any of these sources.
    pub(super) fn has_between(&self, sources: &[i64], after: i64, before: i64) -> Result<bool, D::Error> {
        let sources = json(&sources);
        let first: Option<i64> = self.first(statement::FIRST_BETWEEN, Some(&sources), &[after, before])?;
        Ok(first.is_some())
    }

    /// The records of some sources after a number, in order and without mere positions. At most `records`, and none
    /// that begins `bytes` bytes after the first one.
    pub(super) fn page(
        &self,
        sources: &[i64],
        after: i64,
        records: i64,
        bytes: i64,
    ) -> Result<Vec<StoredRecord>, D::Error> {
        self.0.query(statement::PAGE, Some(&json(&sources)), &[after, records, bytes])
    }

    /// The records of a source and epoch before an offset and a number, mere positions too, from the newest to the oldest.
    pub(super) fn page_before(
        &self,
        source: i64,
        epoch: u32,
        offset: i64,
        seq: i64,
        records: i64,
    ) -> Result<Vec<StoredRecord>, D::Error> {
        self.0.query(statement::PAGE_BEFORE, None, &[source, epoch.into(), offset, seq, records])
    }

    /// The frame of the first record of a source and epoch at an offset or after it.
    pub(super) fn frame_from(&self, source: i64, epoch: u32, offset: i64) -> Result<Option<String>, D::Error> {
        self.first(statement::FRAME_FROM, None, &[source, epoch.into(), offset])
    }

    /// The number of the `count`th oldest message. An unfinished message counts once, at its last piece; `last_pieces`
    /// are the numbers of those.
    pub(super) fn seq_of_message(&self, count: i64, last_pieces: &[i64]) -> Result<Option<i64>, D::Error> {
        self.first(statement::SEQ_OF_MESSAGE, Some(&json(&last_pieces)), &[count.saturating_sub(1)])
    }

    /// The number of the `count`th oldest record.
    pub(super) fn seq_of_record(&self, count: i64) -> Result<Option<i64>, D::Error> {
        self.first(statement::SEQ_OF_RECORD, None, &[count.saturating_sub(1)])
    }

    /// The number of the oldest record with which the oldest ones have so many bytes.
    pub(super) fn seq_of_byte(&self, bytes: i64) -> Result<Option<i64>, D::Error> {
        self.first(statement::SEQ_OF_BYTE, None, &[bytes])
    }

    /// The oldest mere positions, at most `limit`, without the numbers in `kept`: how many, and the last one's number.
    pub(super) fn oldest_positions(&self, kept: &[i64], limit: i64) -> Result<Option<(i64, i64)>, D::Error> {
        let rows: Vec<(i64, Option<i64>)> = self.0.query(statement::OLDEST_POSITIONS, Some(&json(&kept)), &[limit])?;
        Ok(rows.into_iter().find_map(|(count, up_to)| Some((count, up_to?))))
    }

    /// Deletes the mere positions up to and including a number, without the numbers in `kept`.
    pub(super) fn delete_positions(&self, kept: &[i64], up_to: i64) -> Result<(), D::Error> {
        self.execute_with(statement::DELETE_POSITIONS, &kept, &[up_to])
    }

    /// The number of the oldest record that arrived at a time or later.
    pub(super) fn first_seq_since(&self, at_ms: u64) -> Result<Option<i64>, D::Error> {
        self.first(statement::FIRST_SEQ_SINCE, None, &[number(at_ms)])
    }

    /// The time at which the oldest record arrived.
    pub(super) fn oldest_at_ms(&self) -> Result<Option<u64>, D::Error> {
        self.first(statement::OLDEST_AT, None, &[])
    }

    /// Deletes the records up to and including a number.
    pub(super) fn trim(&self, up_to_seq: i64) -> Result<(), D::Error> {
        self.0.execute("DELETE FROM records WHERE seq <= ?1", None, &[up_to_seq])
    }

    /// The doubts of the hub, as it wrote them.
    pub(super) fn doubts<T: DeserializeOwned>(&self) -> Result<Vec<T>, D::Error> {
        let rows: Vec<(String,)> = self.0.query("SELECT json FROM doubts", None, &[])?;
        Ok(rows.iter().filter_map(|(json,)| serde_json::from_str(json).ok()).collect())
    }

    /// Stores doubts in place of all before.
    pub(super) fn put_doubts(&self, doubts: &[impl Serialize]) -> Result<(), D::Error> {
        self.0.execute("DELETE FROM doubts", None, &[])?;
        self.execute_with("INSERT INTO doubts (json) SELECT value FROM json_each(?1)", &doubts, &[])
    }

    /// Stores that a session ended, and deletes the ends before a time.
    pub(super) fn remember_end(
        &self,
        session: &SessionHandle,
        at_ms: u64,
        forget_before_ms: u64,
    ) -> Result<(), D::Error> {
        self.0.execute("DELETE FROM ended WHERE at_ms < ?1", None, &[number(forget_before_ms)])?;
        let insert = "INSERT OR REPLACE INTO ended (session, at_ms) VALUES (?1, ?2)";
        self.0.execute(insert, Some(session.as_str()), &[number(at_ms)])
    }

    /// Whether a session's end is stored.
    pub(super) fn has_ended(&self, session: &SessionHandle) -> Result<bool, D::Error> {
        let ended = "SELECT at_ms FROM ended WHERE session = ?1";
        Ok(self.first::<u64>(ended, Some(session.as_str()), &[])?.is_some())
    }

    fn execute_with(&self, statement: &str, list: &impl Serialize, numbers: &[i64]) -> Result<(), D::Error> {
        self.0.execute(statement, Some(&json(list)), numbers)
    }

    /// The only value of the first row.
    fn first<T: DeserializeOwned>(
        &self,
        statement: &str,
        text: Option<&str>,
        numbers: &[i64],
    ) -> Result<Option<T>, D::Error> {
        let rows: Vec<(Option<T>,)> = self.0.query(statement, text, numbers)?;
        Ok(rows.into_iter().next().and_then(|(value,)| value))
    }
}

/// Rows as `json_each` reads them.
fn json(rows: &impl Serialize) -> String {
    serde_json::to_string(rows).unwrap_or_default()
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(MAX_NUMBER)
}

#[cfg(test)]
pub(super) mod sqlite;
#[cfg(test)]
mod tests;
