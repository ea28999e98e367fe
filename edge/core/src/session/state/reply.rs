//! The replies of a session's state machine.

use causeway_protocol::subject::Subject;
use serde::{Deserialize, Serialize};

use crate::session::index::IndexName;

/// The reply to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The session is live.
    Active {
        /// Current generation of the record.
        generation: u64,
        /// The record, if it was asked for or is newer than the one that the caller knows.
        record: Option<String>,
    },
    /// The caller has the lease.
    Leased {
        /// Proves the lease when it is released.
        fencing_token: u64,
        /// Current generation of the record.
        generation: u64,
        /// The record that the new one must be derived from.
        record: String,
        /// How often the account's refresh token was sent before without a stored answer.
        unanswered_sends: u32,
        /// Whether an earlier use may have consumed it.
        possibly_consumed: bool,
    },
    /// Another writer has the lease.
    Busy {
        /// When to ask again, in milliseconds.
        wait_ms: u64,
    },
    /// The account's provider must not be asked now.
    RetryLater {
        /// When it may be asked again, in milliseconds from now.
        wait_ms: u64,
    },
    /// A refusal of this token caused a refresh recently: another refresh would not help.
    RefreshedRecently,
    /// Another writer got a lease in the meantime: nothing was stored.
    Superseded,
    /// The session ended, expired or never existed. The reply to [`super::Command::Revoke`] and
    /// [`super::Command::EndWithLease`] names the user whose streams end with it, also if it had ended before: ending
    /// the streams may have failed then.
    Gone {
        /// Whose session it was.
        subject: Option<Subject>,
        /// The indexes it was in.
        indexes: Vec<IndexName>,
        /// Its last record, only in the reply to the command that ended it.
        #[serde(default)]
        last: Option<LastRecord>,
    },
}

/// The record of a session when it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRecord {
    /// Its version.
    pub generation: u64,
    /// Sealed, in base64url.
    pub record: String,
}

/// The reply about a session that is not live, to a caller that did not end it.
pub(super) const GONE: Reply = Reply::Gone { subject: None, indexes: Vec::new(), last: None };
