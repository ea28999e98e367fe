//! What an index is asked and answers.

use causeway_protocol::session::SessionHandle;
use serde::{Deserialize, Serialize};

use super::name::MessageId;

/// A session in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The session.
    pub session: SessionHandle,
    /// When it was created, in Unix milliseconds.
    pub created_at_ms: u64,
    /// When it ends at the latest, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// By what the user recognises it, see [`super::super::label`]. Empty where it is added again, which keeps the label.
    pub label: String,
    /// The generation of its record since which it is in this index.
    #[serde(default)]
    pub generation: u64,
}

/// Which sign-ins and sessions an end concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Sign-ins up to this time end, if they are not complete yet.
    pub before: IssuedAt,
    /// Sessions end if they were signed in up to so long after it, in milliseconds: the clocks of a provider's machines
    /// differ, and of two times so close to each other neither is certainly the later one.
    pub tolerance_ms: u64,
    /// The message that asks for the end, if it names no time. When it comes first, every session ends. When it is
    /// repeated, `before` is the time at which it came first.
    pub message: Option<MessageId>,
}

/// When a provider authenticated a user, or ended that. An index gets only one of the two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuedAt {
    /// By the provider's clock, in Unix milliseconds.
    At(u64),
    /// So many milliseconds ago: the provider names no time, and isolates' clocks differ.
    Ago(u64),
}

impl IssuedAt {
    pub(super) fn at_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::At(at_ms) => at_ms,
            Self::Ago(ago_ms) => now_ms.saturating_sub(ago_ms),
        }
    }
}

/// The commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Add a session, before it is created.
    Add {
        /// Its entry.
        entry: Entry,
        /// When the provider authenticated the user; `None` if no provider ends this index. A session that is added again
        /// keeps the earlier time, until [`Command::Confirm`].
        signed_in: Option<IssuedAt>,
    },
    /// Set the time of a session that was added again, once its record is stored.
    Confirm {
        /// The session.
        session: SessionHandle,
        /// The generation of that record. An entry that was added for another one is not changed.
        generation: u64,
        /// When the provider authenticated the user.
        signed_in: IssuedAt,
    },
    /// Remove a session, after it ended or after its record stopped naming this index.
    Remove {
        /// The session.
        session: SessionHandle,
        /// The generation of the record that no longer names the index. An entry added for a later one stays.
        generation: u64,
    },
    /// List the sessions.
    List,
    /// End sessions and the sign-ins in progress. The entries stay until each is removed, so the command can be repeated.
    /// Lists the sessions to end.
    End(Ending),
}

impl Command {
    /// Removes a session that ended, whichever generation added it.
    #[must_use]
    pub fn remove(session: &SessionHandle) -> Self {
        Self::Remove { session: session.clone(), generation: u64::MAX }
    }
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The session is in the index.
    Added {
        /// The sessions beyond [`MAX_SESSIONS`](super::MAX_SESSIONS), the oldest first. They stay until each is ended and removed, so that every
        /// live session is in its index.
        surplus: Vec<SessionHandle>,
    },
    /// The session was not added: there are too many.
    Full,
    /// The session was not added: its sign-in was ended before it was complete.
    Ended,
    /// The command is done; these sessions are in the index.
    Entries(Vec<Entry>),
}
