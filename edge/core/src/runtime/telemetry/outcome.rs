//! What becomes of sign-ins and refreshes, as the log says it.

use serde_json::Value;

use super::{Event, Field, Level, Log, Name};
use crate::runtime::{clock::Clock, event_name::EventName, reason::Reason};

/// The outcome of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// A session has begun.
    Done,
    /// An account was added to a session.
    Connected,
    /// The user cancelled at the provider.
    Cancelled,
    /// Rejected; a `reject` line says why.
    Refused,
    /// A dependency did not answer; a `reject` line names it.
    Failed,
}

impl Field for Login {
    fn value(self) -> Value {
        match self {
            Self::Done => "done",
            Self::Connected => "connected",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
        .into()
    }
}

/// The outcome of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// New tokens are stored.
    Done,
    /// The provider says that the grant has ended, so the account ends.
    Ended(Reason),
    /// The provider denies a token with the requested restriction.
    Denied(Reason),
    /// The response names another subject, so the session ends.
    SubjectMismatch(Reason),
    /// The provider asked for a later retry.
    NotNow(Reason),
    /// The response was lost; whether the token was consumed is unknown.
    Lost,
    /// Too many responses were lost; the user must link the account again.
    Exhausted,
    /// The lease expired and another writer took over; the new tokens were discarded.
    Superseded,
    /// The session ended meanwhile; the new tokens were revoked.
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

    fn detail(self) -> Option<Reason> {
        match self {
            Self::Ended(detail) | Self::Denied(detail) | Self::SubjectMismatch(detail) | Self::NotNow(detail) => {
                Some(detail)
            }
            _ => None,
        }
    }
}

/// Logs the outcome of a sign-in.
pub fn login(to: &(impl Clock + Log), provider: &str, outcome: Login) {
    let level = if matches!(outcome, Login::Refused | Login::Failed) { Level::Warn } else { Level::Info };
    Event::new(level, EventName::Login).with("provider", Name(provider)).with("outcome", outcome).write(to);
}

/// Logs the outcome of a refresh.
pub fn refresh(to: &(impl Clock + Log), provider: &str, renewal: Renewal) {
    let level = if renewal == Renewal::Done { Level::Info } else { Level::Warn };
    let event =
        Event::new(level, EventName::Refresh).with("provider", Name(provider)).with("outcome", renewal.outcome());
    event.with("detail", renewal.detail()).write(to);
}
