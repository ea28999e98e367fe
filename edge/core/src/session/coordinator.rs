//! The coordinator's state machine: the truth about one session. A runtime stores the state and runs [`apply`] on it
//! one command at a time; what the answer is, is decided here.

use causeway_protocol::subject::Subject;
use serde::{Deserialize, Serialize};

/// A dead session is remembered this much longer than it could have lived, so that a late write cannot revive it.
const TOMBSTONE_MARGIN_MS: u64 = 10 * 60 * 1000;

/// What is stored of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// Counts the record's versions; a copy in the key-value store with a lower one is stale.
    pub generation: u64,
    /// Whose session it is: whoever ends it must know whose streams end with it.
    pub subject: Subject,
    /// When the session ends whatever happens, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// Whether it was ended; never becomes false again.
    pub revoked: bool,
    /// The sealed record; `None` once revoked.
    pub record: Option<String>,
}

impl SessionState {
    /// When the stored state itself may be forgotten, in Unix milliseconds.
    #[must_use]
    pub fn forget_at_ms(&self) -> u64 {
        self.expires_at_ms.saturating_add(TOMBSTONE_MARGIN_MS)
    }
}

/// What can be asked of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Begin the session.
    Create {
        /// Whose it is.
        subject: Subject,
        /// Its end.
        expires_at_ms: u64,
        /// Its sealed record, in base64url.
        record: String,
    },
    /// Is it alive, and which generation of the record is current?
    Status,
    /// The same with the record itself, for a reader whose key-value store has not caught up.
    Read,
    /// End it.
    Revoke,
}

/// A coordinator's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The session lives.
    Active {
        /// Current generation of the record.
        generation: u64,
        /// The record, if it was asked for.
        record: Option<String>,
    },
    /// The session was ended, is over, or never was. After [`Command::Revoke`] with the user whose streams end with it,
    /// also when the session had been ended before: telling them may have failed then.
    Gone {
        /// Whose it was, if it was.
        subject: Option<Subject>,
    },
}

/// Runs a command. Returns the state to store, if it changed, and the answer.
#[must_use]
pub fn apply(state: Option<&SessionState>, now_ms: u64, command: Command) -> (Option<SessionState>, Reply) {
    match (state, command) {
        (None, Command::Create { subject, expires_at_ms, record }) => {
            let state = SessionState { generation: 1, subject, expires_at_ms, revoked: false, record: Some(record) };
            (Some(state), Reply::Active { generation: 1, record: None })
        }
        (Some(state), Command::Revoke) => {
            let ended = SessionState { revoked: true, record: None, ..state.clone() };
            ((!state.revoked).then_some(ended), Reply::Gone { subject: Some(state.subject.clone()) })
        }
        (Some(state), command @ (Command::Status | Command::Read))
            if !state.revoked && now_ms < state.expires_at_ms =>
        {
            let record = if command == Command::Read { state.record.clone() } else { None };
            (None, Reply::Active { generation: state.generation, record })
        }
        // An id is drawn once, so a second creation is a replay; and whatever is asked of a dead session, it is dead.
        _ => (None, Reply::Gone { subject: None }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn create() -> Command {
        Command::Create { subject: Subject::new("t", "u").unwrap(), expires_at_ms: 1000, record: "r".to_owned() }
    }

    fn created() -> SessionState {
        apply(None, 0, create()).0.unwrap()
    }

    #[test]
    fn lives_until_it_expires() {
        let state = created();
        assert_eq!(apply(Some(&state), 999, Command::Status).1, Reply::Active { generation: 1, record: None });
        assert_eq!(
            apply(Some(&state), 999, Command::Read).1,
            Reply::Active { generation: 1, record: Some("r".to_owned()) }
        );
        assert_eq!(apply(Some(&state), 1000, Command::Status).1, Reply::Gone { subject: None });
        assert_eq!(apply(None, 0, Command::Status).1, Reply::Gone { subject: None });
    }

    #[test]
    fn ending_it_forgets_the_record_at_once_and_tells_whose_it_was() {
        let (ended, reply) = apply(Some(&created()), 1, Command::Revoke);
        assert_eq!(reply, Reply::Gone { subject: Some(created().subject) });
        assert_eq!(ended.unwrap().record, None);
    }

    proptest! {
        /// Whatever is asked after a revocation, in whatever order, the session stays dead.
        #[test]
        fn a_revoked_session_never_lives_again(commands in proptest::collection::vec(0..4u8, 1..20), now in 0..2000u64) {
            let mut state = apply(Some(&created()), now, Command::Revoke).0.unwrap();
            for command in commands {
                let command = [create(), Command::Status, Command::Read, Command::Revoke][usize::from(command)].clone();
                let (changed, reply) = apply(Some(&state), now, command);
                let gone = matches!(reply, Reply::Gone { .. });
                prop_assert!(gone);
                state = changed.unwrap_or(state);
                prop_assert!(state.revoked);
            }
        }
    }
}
