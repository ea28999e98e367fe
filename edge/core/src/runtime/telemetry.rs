//! The log: one JSON line per event, built from values whose types are safe to print.
//!
//! Only an [`Event`] makes a [`Line`], and an event accepts only [`Field`]s. `String`, URL, header map and secrets are not
//! fields, so a logged value is a literal of this source (`&'static str`), a number, or a type that knows how to print
//! itself safely. docs/operations.md lists all events.
//!
//! - [`outcome`]: what becomes of sign-ins and refreshes

use std::{fmt, net::IpAddr};

use causeway_protocol::{session::SessionHandle, subject::Subject};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::{
    clock::{Clock, rfc3339},
    dependency::Dependency,
    event_name::EventName,
    reason::Reason,
    redact::without_secrets,
    unavailable::Unavailable,
};

pub mod outcome;

/// Longest operator-chosen name that is logged.
const MAX_NAME_CHARS: usize = 32;

/// The severity of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Normal operation.
    Info,
    /// Worth attention when frequent.
    Warn,
    /// A failure.
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A value that may be logged. Implement it only for types that cannot hold a secret.
pub trait Field {
    /// The value as JSON.
    fn value(self) -> Value;
}

macro_rules! plain {
    ($($kind:ty),*) => { $(impl Field for $kind { fn value(self) -> Value { self.into() } })* };
}
// Literals of this source only: borrowed text of other origins does not live as long and does not compile.
plain!(&'static str, bool, u16, u32, u64, usize, i32, i64);

impl<T: Field> Field for Option<T> {
    fn value(self) -> Value {
        self.map_or(Value::Null, Field::value)
    }
}

impl<T: Field> Field for Vec<T> {
    fn value(self) -> Value {
        self.into_iter().map(Field::value).collect()
    }
}

impl Field for StatusCode {
    fn value(self) -> Value {
        self.as_u16().into()
    }
}

impl Field for &Method {
    fn value(self) -> Value {
        // A client may invent a method of any length.
        self.as_str().chars().take(16).collect::<String>().into()
    }
}

impl Field for IpAddr {
    fn value(self) -> Value {
        self.to_string().into()
    }
}

impl Field for &Subject {
    fn value(self) -> Value {
        self.to_string().into()
    }
}

impl Field for &SessionHandle {
    fn value(self) -> Value {
        self.as_str().into()
    }
}

impl Field for &Unavailable {
    fn value(self) -> Value {
        without_secrets(&self.to_string()).into()
    }
}

/// A name chosen by an operator: a provider's id, a service, a host.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a>(pub &'a str);

impl Field for Name<'_> {
    fn value(self) -> Value {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let is_name = self.0.chars().count() <= 2 * MAX_NAME_CHARS && self.0.chars().all(plain);
        if is_name { self.0.into() } else { "…".into() }
    }
}

/// The code that rejections are counted by. Made of this source's own words only, so it needs no redaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonCode(String);

impl ReasonCode {
    /// A sentence as a code.
    #[must_use]
    pub fn new(sentence: &'static str) -> Self {
        Self(kebab(sentence))
    }

    /// The code for a dependency that does not answer.
    #[must_use]
    pub fn unavailable(dependency: Dependency) -> Self {
        Self(format!("{}-unavailable", kebab(dependency.as_str())))
    }
}

impl Field for Reason {
    fn value(self) -> Value {
        self.as_str().into()
    }
}

impl Field for ReasonCode {
    fn value(self) -> Value {
        self.0.into()
    }
}

/// Text from outside, redacted: shortened, URLs reduced to scheme and host, tokens and parameter values removed.
#[derive(Debug, Clone, Copy)]
pub struct Redacted<'a>(pub &'a str);

impl Field for Redacted<'_> {
    fn value(self) -> Value {
        without_secrets(self.0).into()
    }
}

/// A finished line. Only an [`Event`] makes one.
#[derive(Debug, Clone)]
pub struct Line(Map<String, Value>);

impl Line {
    /// Adds the fields that all lines of a request share.
    #[must_use]
    pub(crate) fn within(mut self, fields: &[(&'static str, &str)]) -> Self {
        for (name, value) in fields {
            self.0.entry(*name).or_insert_with(|| Value::from(*value));
        }
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// The log: one JSON line per event.
pub trait Log {
    /// Writes a line, which holds only values that are safe to print.
    fn log(&self, line: &Line);
}

/// A line under construction.
#[derive(Debug)]
#[must_use = "an event is in the log once it is written"]
pub struct Event(Map<String, Value>);

impl Event {
    /// Begins a line.
    pub fn new(level: Level, name: EventName) -> Self {
        let mut fields = Map::new();
        fields.insert("level".to_owned(), level.as_str().into());
        fields.insert("event".to_owned(), name.as_str().into());
        Self(fields)
    }

    /// Normal operation.
    pub fn info(name: EventName) -> Self {
        Self::new(Level::Info, name)
    }

    /// Worth attention when frequent.
    pub fn warn(name: EventName) -> Self {
        Self::new(Level::Warn, name)
    }

    /// A failure.
    pub fn error(name: EventName) -> Self {
        Self::new(Level::Error, name)
    }

    /// Adds a field; a null field is left out.
    pub fn with(mut self, name: &'static str, field: impl Field) -> Self {
        let value = field.value();
        if !value.is_null() {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// Writes the line.
    pub fn write(mut self, to: &(impl Clock + Log)) {
        self.0.insert("time".to_owned(), rfc3339(to.now_ms()).into());
        to.log(&Line(self.0));
    }
}

/// A sentence as a code: `Origin is not allowed` → `origin-is-not-allowed`.
#[must_use]
fn kebab(sentence: &str) -> String {
    let words = sentence.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
