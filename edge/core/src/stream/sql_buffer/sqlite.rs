//! A [`Database`] for tests: SQLite in memory, with the conversions of a Durable Object.

use std::{cell::Cell, rc::Rc};

use rusqlite::{Connection, ToSql, types::ValueRef};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Database;

/// A database in memory. A statement that fails is a mistake in it, so it panics. Clones share the content.
#[derive(Debug, Clone)]
pub(in crate::stream) struct Sqlite {
    connection: Rc<Connection>,
    writes: Rc<Cell<usize>>,
    fails: Rc<Cell<bool>>,
}

/// The failure that a test asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) struct Failed;

impl Sqlite {
    pub(in crate::stream) fn new() -> Self {
        let connection = Rc::new(Connection::open_in_memory().unwrap());
        Self { connection, writes: Rc::default(), fails: Rc::default() }
    }

    /// Whether every write fails from now on.
    pub(in crate::stream) fn set_failing(&self, fails: bool) {
        self.fails.set(fails);
    }

    /// The number of statements that wrote.
    pub(in crate::stream) fn writes(&self) -> usize {
        self.writes.get()
    }
}

impl Database for Sqlite {
    type Error = Failed;

    fn execute_all(&self, statements: &str) -> Result<(), Failed> {
        self.connection.execute_batch(statements).unwrap();
        Ok(())
    }

    fn execute(&self, statement: &str, text: Option<&str>, numbers: &[i64]) -> Result<(), Failed> {
        if self.fails.get() {
            return Err(Failed);
        }
        self.writes.set(self.writes.get() + 1);
        let mut statement = self.connection.prepare(statement).unwrap();
        statement.execute(rusqlite::params_from_iter(parameters(text, numbers))).unwrap();
        Ok(())
    }

    fn query<R: DeserializeOwned>(
        &self,
        statement: &str,
        text: Option<&str>,
        numbers: &[i64],
    ) -> Result<Vec<R>, Failed> {
        let mut statement = self.connection.prepare(statement).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(parameters(text, numbers))).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|index| json(row.get_ref(index).unwrap())).collect();
            found.push(serde_json::from_value(Value::Array(values)).unwrap());
        }
        Ok(found)
    }
}

fn parameters(text: Option<&str>, numbers: &[i64]) -> Vec<Box<dyn ToSql>> {
    let text = text.map(|text| Box::new(text.to_owned()) as Box<dyn ToSql>);
    // As in JavaScript. The column's affinity makes it an integer again.
    text.into_iter().chain(numbers.iter().map(|&number| Box::new(number as f64) as Box<dyn ToSql>)).collect()
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Text(text) => str::from_utf8(text).unwrap().into(),
        other => panic!("no column has {other:?}"),
    }
}
