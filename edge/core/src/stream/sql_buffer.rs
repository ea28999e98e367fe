//! [`Buffer`] in SQL: the tables and statements of a hub whose runtime has SQLite.
//!
//! A runtime provides a [`Database`]. Tests provide one as well, so the statements that run there are the deployed ones.

use causeway_protocol::{cursor::Cursor, session::SessionHandle};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::hub::{Buffer, StoredRecord, Watermark};

/// The SQLite database of one user. The runtime makes all calls during one of its events one transaction.
pub trait Database {
    /// A failure of the database.
    type Error;
    /// Executes a statement, with one parameter for each `?`, and returns its rows: maps from a column's name to its value.
    ///
    /// # Errors
    /// The statement failed, or a row is not an `R`.
    fn execute<R: DeserializeOwned>(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<R>, Self::Error>;
}

/// A value for a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// A number. JavaScript passes it as a double, which is exact for every time and count, but not for every `i64`.
    Integer(i64),
    /// A text.
    Text(&'a str),
}

impl From<i64> for Parameter<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Parameter<'_> {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a str> for Parameter<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

/// Deployed databases have these tables. `IF NOT EXISTS` does not alter them: a changed column needs a migration.
const SCHEMA: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY AUTOINCREMENT, cursor TEXT NOT NULL UNIQUE, \
     json TEXT NOT NULL, bytes INTEGER NOT NULL, at_ms INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS watermarks (part INTEGER PRIMARY KEY, cursor TEXT NOT NULL, seq INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS records_by_age ON records (at_ms)",
    "CREATE TABLE IF NOT EXISTS ended (session TEXT PRIMARY KEY, at_ms INTEGER NOT NULL)",
];

/// A [`Buffer`] in a [`Database`].
#[derive(Debug)]
pub struct SqlBuffer<D>(D);

impl<D: Database> SqlBuffer<D> {
    /// The buffer in a database. Creates the tables that are missing.
    ///
    /// # Errors
    /// The database failed.
    pub fn open(database: D) -> Result<Self, D::Error> {
        let buffer = Self(database);
        for statement in SCHEMA {
            buffer.execute(statement, &[])?;
        }
        Ok(buffer)
    }

    fn execute(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<(), D::Error> {
        self.0.execute::<IgnoredAny>(statement, parameters)?;
        Ok(())
    }

    fn first<R: DeserializeOwned>(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<Option<R>, D::Error> {
        Ok(self.0.execute(statement, parameters)?.into_iter().next())
    }
}

#[derive(Deserialize)]
struct SeqRow {
    seq: i64,
}

#[derive(Deserialize)]
struct AgeRow {
    at_ms: u64,
}

#[derive(Deserialize)]
struct WatermarkRow {
    cursor: Cursor,
    seq: i64,
}

#[derive(Deserialize)]
struct RecordRow {
    seq: i64,
    cursor: Cursor,
    json: String,
}

#[derive(Deserialize)]
struct SumRow {
    bytes: usize,
}

impl<D: Database> Buffer for SqlBuffer<D> {
    type Error = D::Error;

    fn watermark(&self, partition: i32) -> Result<Option<Watermark>, D::Error> {
        let row = self.first("SELECT cursor, seq FROM watermarks WHERE part = ?", &[i64::from(partition).into()])?;
        Ok(row.map(|WatermarkRow { cursor, seq }| Watermark { cursor, seq }))
    }

    fn insert(&self, cursor: Cursor, json: &str, at_ms: u64) -> Result<(), D::Error> {
        let id = cursor.to_string();
        self.execute(
            "INSERT OR IGNORE INTO records (cursor, json, bytes, at_ms) VALUES (?, ?, ?, ?)",
            &[id.as_str().into(), json.into(), (json.len() as u64).into(), at_ms.into()],
        )?;
        self.execute(
            "INSERT INTO watermarks (part, cursor, seq) SELECT ?, cursor, seq FROM records WHERE cursor = ? \
             ON CONFLICT (part) DO UPDATE SET cursor = excluded.cursor, seq = excluded.seq",
            &[i64::from(cursor.partition).into(), id.as_str().into()],
        )
    }

    fn seq_of(&self, cursor: Cursor) -> Result<Option<i64>, D::Error> {
        let id = cursor.to_string();
        let row = self.first("SELECT seq FROM records WHERE cursor = ?", &[id.as_str().into()])?;
        Ok(row.map(|SeqRow { seq }| seq))
    }

    fn after(&self, seq: i64, limit: u32) -> Result<Vec<StoredRecord>, D::Error> {
        let rows = self.0.execute(
            "SELECT seq, cursor, json FROM records WHERE seq > ? ORDER BY seq LIMIT ?",
            &[seq.into(), i64::from(limit).into()],
        )?;
        Ok(rows.into_iter().map(|RecordRow { seq, cursor, json }| StoredRecord { seq, cursor, json }).collect())
    }

    fn bytes_between(&self, from: i64, to: i64) -> Result<usize, D::Error> {
        let query = "SELECT COALESCE(SUM(bytes), 0) AS bytes FROM records WHERE seq > ? AND seq <= ?";
        let row = self.first(query, &[from.into(), to.into()])?;
        Ok(row.map_or(0, |SumRow { bytes }| bytes))
    }

    fn last_seq(&self) -> Result<i64, D::Error> {
        let row = self.first("SELECT COALESCE(MAX(seq), 0) AS seq FROM watermarks", &[])?;
        Ok(row.map_or(0, |SeqRow { seq }| seq))
    }

    fn trim(&self, up_to_seq: i64, older_than_ms: u64) -> Result<(), D::Error> {
        self.execute("DELETE FROM records WHERE seq <= ? OR at_ms < ?", &[up_to_seq.into(), older_than_ms.into()])
    }

    fn oldest_at_ms(&self) -> Result<Option<u64>, D::Error> {
        let row = self.first("SELECT at_ms FROM records ORDER BY seq LIMIT 1", &[])?;
        Ok(row.map(|AgeRow { at_ms }| at_ms))
    }

    fn remember_end(&self, session: &SessionHandle, at_ms: u64, forget_before_ms: u64) -> Result<(), D::Error> {
        self.execute("DELETE FROM ended WHERE at_ms < ?", &[forget_before_ms.into()])?;
        self.execute(
            "INSERT OR REPLACE INTO ended (session, at_ms) VALUES (?, ?)",
            &[session.as_str().into(), at_ms.into()],
        )
    }

    fn has_ended(&self, session: &SessionHandle) -> Result<bool, D::Error> {
        let row: Option<AgeRow> =
            self.first("SELECT at_ms FROM ended WHERE session = ?", &[session.as_str().into()])?;
        Ok(row.is_some())
    }
}

#[cfg(test)]
pub(super) mod sqlite;
#[cfg(test)]
mod tests;
