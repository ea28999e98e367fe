//! A [`Database`] for tests: SQLite in memory, with the conversions of a Durable Object.

use std::{convert::Infallible, rc::Rc};

use rusqlite::{
    Connection,
    types::{ToSql, ToSqlOutput, ValueRef},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Database, Parameter, SqlBuffer};

/// A database in memory. A statement that fails is a mistake in it, so it panics.
#[derive(Debug, Clone)]
pub(in crate::stream) struct Sqlite(Rc<Connection>);

impl Sqlite {
    pub(in crate::stream) fn new() -> Self {
        Self::with("")
    }

    /// A database in which statements have been executed.
    pub(in crate::stream) fn with(statements: &str) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(statements).unwrap();
        Self(Rc::new(connection))
    }
}

/// An empty buffer.
pub(in crate::stream) fn empty_buffer() -> SqlBuffer<Sqlite> {
    let Ok(buffer) = SqlBuffer::open(Sqlite::new());
    buffer
}

impl Database for Sqlite {
    type Error = Infallible;

    fn execute<R: DeserializeOwned>(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<R>, Infallible> {
        let mut statement = self.0.prepare(statement).unwrap();
        let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query(rusqlite::params_from_iter(parameters)).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let values =
                columns.iter().enumerate().map(|(index, name)| (name.clone(), json(row.get_ref(index).unwrap())));
            found.push(serde_json::from_value(Value::Object(values.collect::<Map<_, _>>())).unwrap());
        }
        Ok(found)
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match *self {
            // As in JavaScript. The column's affinity makes it an integer again.
            Self::Integer(number) => (number as f64).into(),
            Self::Text(text) => text.into(),
        })
    }
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(number) => number.into(),
        ValueRef::Text(text) => str::from_utf8(text).unwrap().into(),
        other => panic!("no column has {other:?}"),
    }
}
