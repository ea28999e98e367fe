//! The log: one JSON line an event, made of values whose types are safe to print.
//!
//! A [`Line`] can be made by an [`Event`] only, and an event's fields take a [`Field`] only. No `String`, URL, header
//! map or secret is one, so whatever goes into the log was either written in this source (`&'static str`), is a number,
//! or is of a type that knows how to show itself. docs/operations.md says what lines there are.

use std::{fmt, net::IpAddr};

use causeway_protocol::{session::SessionHandle, subject::Subject};
use chrono::{DateTime, SecondsFormat};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::{clock::Clock, redact::without_secrets, unavailable::Unavailable};

/// Longest name an operator gave something.
const MAX_NAME_CHARS: usize = 32;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Worth a look when there are many.
    Warn,
    /// Something does not work.
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

/// A value that may be seen in a log. Implement it for types that cannot hold a secret, and for no others.
pub trait Field {
    /// The value as JSON.
    fn value(self) -> Value;
}

macro_rules! plain {
    ($($kind:ty),*) => { $(impl Field for $kind { fn value(self) -> Value { self.into() } })* };
}
// Text that stands in this source. A borrowed text of any other origin does not live as long and does not compile.
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
        // A caller may invent one, of any length.
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

/// A name that an operator gave something: a provider's id, a service, a host.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a>(pub &'a str);

impl Field for Name<'_> {
    fn value(self) -> Value {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let is_name = self.0.chars().count() <= 2 * MAX_NAME_CHARS && self.0.chars().all(plain);
        if is_name { self.0.into() } else { "…".into() }
    }
}

/// What a refusal counts by: made of this source's own words, so nothing of others is in it that had to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// A sentence as a code.
    #[must_use]
    pub fn new(sentence: &'static str) -> Self {
        Self(kebab(sentence))
    }

    /// That a part does not answer.
    #[must_use]
    pub fn unavailable(part: &'static str) -> Self {
        Self(format!("{}-unavailable", kebab(part)))
    }
}

impl Field for Reason {
    fn value(self) -> Value {
        self.0.into()
    }
}

/// Text that something outside answered. It is shortened, URLs lose all but scheme and host, and whatever looks like a
/// token or a parameter's value is left out.
#[derive(Debug, Clone, Copy)]
pub struct Redacted<'a>(pub &'a str);

impl Field for Redacted<'_> {
    fn value(self) -> Value {
        without_secrets(self.0).into()
    }
}

/// A finished line. Nothing but an [`Event`] makes one.
#[derive(Debug, Clone)]
pub struct Line(Map<String, Value>);

impl Line {
    /// Adds what all lines of a request have in common.
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

/// The log: one JSON line an event.
pub trait Log {
    /// Writes a line. It holds only what is safe to print.
    fn log(&self, line: &Line);
}

/// A line in the making.
#[derive(Debug)]
#[must_use = "an event is in the log once it is written"]
pub struct Event(Map<String, Value>);

impl Event {
    /// Begins a line.
    pub fn new(level: Level, name: &'static str) -> Self {
        let mut fields = Map::new();
        fields.insert("level".to_owned(), level.as_str().into());
        fields.insert("event".to_owned(), name.into());
        Self(fields)
    }

    /// As it should be.
    pub fn info(name: &'static str) -> Self {
        Self::new(Level::Info, name)
    }

    /// Worth a look when there are many.
    pub fn warn(name: &'static str) -> Self {
        Self::new(Level::Warn, name)
    }

    /// Something does not work.
    pub fn error(name: &'static str) -> Self {
        Self::new(Level::Error, name)
    }

    /// Adds a field; one without a value is left out.
    pub fn with(mut self, name: &'static str, field: impl Field) -> Self {
        let value = field.value();
        if !value.is_null() {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// Writes the line.
    pub fn write(mut self, to: &(impl Clock + Log)) {
        let now = i64::try_from(to.now_ms()).ok().and_then(DateTime::from_timestamp_millis);
        let time = now.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true);
        self.0.insert("time".to_owned(), time.into());
        to.log(&Line(self.0));
    }
}

/// What became of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// A session has begun.
    Done,
    /// An account was added to a session.
    Connected,
    /// It was not believed; a `reject` line says why.
    Refused,
    /// Something did not answer; a `reject` line says what.
    Failed,
}

impl Field for Login {
    fn value(self) -> Value {
        match self {
            Self::Done => "done",
            Self::Connected => "connected",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
        .into()
    }
}

/// What became of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// New tokens are stored.
    Done,
    /// The provider says that the grant is over: the account ends.
    Ended(&'static str),
    /// The provider gives no token restricted as a service wants it.
    Denied(&'static str),
    /// The answer speaks of somebody else: the session ends.
    SubjectMismatch(&'static str),
    /// The provider answered, but not now.
    NotNow(&'static str),
    /// The answer was lost; what the provider did is unknown.
    Lost,
    /// Lost too often; the user must connect the account again.
    Exhausted,
    /// Whoever renewed was too slow, and somebody else took the turn; the new tokens were given up.
    Superseded,
    /// The session ended meanwhile; the new tokens were given up.
    SessionEnded,
}

impl Renewal {
    fn outcome(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Ended(_) => "ended",
            Self::Denied(_) => "denied",
            Self::SubjectMismatch(_) => "foreign",
            Self::NotNow(_) => "not-now",
            Self::Lost => "lost",
            Self::Exhausted => "exhausted",
            Self::Superseded => "superseded",
            Self::SessionEnded => "session-ended",
        }
    }

    fn detail(self) -> Option<&'static str> {
        match self {
            Self::Ended(detail) | Self::Denied(detail) | Self::SubjectMismatch(detail) | Self::NotNow(detail) => {
                Some(detail)
            }
            _ => None,
        }
    }
}

/// Reports what became of a sign-in.
pub fn login(to: &(impl Clock + Log), provider: &str, outcome: Login) {
    let level = if matches!(outcome, Login::Done | Login::Connected) { Level::Info } else { Level::Warn };
    Event::new(level, "login").with("provider", Name(provider)).with("outcome", outcome).write(to);
}

/// Reports what became of a refresh.
pub fn refresh(to: &(impl Clock + Log), provider: &str, renewal: Renewal) {
    let level = if renewal == Renewal::Done { Level::Info } else { Level::Warn };
    let event = Event::new(level, "refresh").with("provider", Name(provider)).with("outcome", renewal.outcome());
    event.with("detail", renewal.detail()).write(to);
}

/// A sentence as a code: `Origin is not allowed` → `origin-is-not-allowed`.
#[must_use]
fn kebab(sentence: &str) -> String {
    let words = sentence.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
