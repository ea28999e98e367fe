//! Indexes of sessions: of a user (to list and end them), of an (issuer, subject) and of an issuer's `sid` (so that a
//! provider can end them). Each session's own state machine decides whether it is live; an index only lists handles.
//!
//! An ended index remembers when it was ended: a sign-in that was in progress then, and is written later, is rejected.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::session::SessionHandle;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{runtime::machine::Machine, seal::length_prefixed};

/// Most sessions of a user; the oldest are ended.
pub const MAX_SESSIONS: usize = 50;
/// Most sessions in any index. Further sign-ins are rejected: many users may share an account, and one of them must not
/// end the others' sessions.
const MAX_ENTRIES: usize = 300;
/// How long an end is remembered, in milliseconds: longer than a sign-in can last.
const END_REMEMBERED_MS: u64 = 60 * 60 * 1000;

/// The name of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IndexName(String);

impl IndexName {
    /// A user's own sessions, by the subject of their streams.
    #[must_use]
    pub fn user(subject: &str) -> Self {
        Self(digest(&[b"user", subject.as_bytes()]))
    }

    /// The sessions with an account of a provider.
    #[must_use]
    pub fn account(issuer: &str, sub: &str) -> Self {
        Self(digest(&[b"account", issuer.as_bytes(), sub.as_bytes()]))
    }

    /// Those of them whose sign-in named no provider session. When a provider ends any of its sessions, it may be theirs.
    #[must_use]
    pub fn account_without_session(issuer: &str, sub: &str) -> Self {
        Self(digest(&[b"account-without-sid", issuer.as_bytes(), sub.as_bytes()]))
    }

    /// The sessions that belong to a provider's session.
    #[must_use]
    pub fn provider_session(issuer: &str, sid: &str) -> Self {
        Self(digest(&[b"sid", issuer.as_bytes(), sid.as_bytes()]))
    }

    /// Its text, for stores.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A digest of a list of parts. Different lists have different digests.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let digest = Sha256::new_with_prefix(b"causeway-session-index-v1").chain_update(length_prefixed(parts));
    BASE64.encode(digest.finalize())
}

/// A session in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The session.
    pub session: SessionHandle,
    /// When it was created, in Unix milliseconds.
    pub created_at_ms: u64,
    /// When it ends at the latest, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// By what the user recognises it, see [`super::label`]. Empty where it is added again, which keeps the label.
    pub label: String,
    /// The generation of its record since which it is in this index.
    #[serde(default)]
    pub generation: u64,
}

/// The state machine of an index.
#[derive(Debug)]
pub struct IndexMachine;

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    entries: Vec<Entry>,
    /// Sign-ins up to this time are rejected, in Unix milliseconds.
    ended_before_ms: u64,
    /// Until when that is remembered, in Unix milliseconds.
    end_remembered_until_ms: u64,
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
    fn at_ms(self, now_ms: u64) -> u64 {
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
    /// End all sessions and the sign-ins in progress. The entries stay until each is removed, so the command can be
    /// repeated.
    End {
        /// Sign-ins up to this time are ended.
        before: IssuedAt,
    },
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
        /// The sessions beyond [`MAX_SESSIONS`], the oldest first. They stay until each is ended and removed, so that every
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

impl Machine for IndexMachine {
    const KIND: &'static str = "index";
    type State = Index;
    type Command = Command;
    type Reply = Reply;

    fn apply(state: Option<&Index>, now_ms: u64, command: Command) -> (Option<Index>, Reply) {
        let mut index = state.cloned().unwrap_or_default();
        index.entries.retain(|entry| now_ms < entry.expires_at_ms);
        match command {
            Command::Add { signed_in, .. }
                if now_ms < index.end_remembered_until_ms && signed_in.at_ms(now_ms) <= index.ended_before_ms =>
            {
                (None, Reply::Ended)
            }
            Command::Add { mut entry, .. } => {
                // A session that is added again, with another account, keeps its label.
                if let Some(known) = index.entries.iter().find(|known| known.session == entry.session) {
                    if entry.label.is_empty() {
                        entry.label.clone_from(&known.label);
                    }
                    entry.generation = entry.generation.max(known.generation);
                }
                index.entries.retain(|known| known.session != entry.session);
                if index.entries.len() >= MAX_ENTRIES {
                    return (None, Reply::Full);
                }
                index.entries.push(entry);
                let count = index.entries.len().saturating_sub(MAX_SESSIONS);
                let surplus = index.entries.iter().take(count).map(|entry| entry.session.clone()).collect();
                (Some(index), Reply::Added { surplus })
            }
            Command::Remove { session, generation } => {
                index.entries.retain(|known| known.session != session || known.generation > generation);
                let entries = index.entries.clone();
                (state.is_some().then_some(index), Reply::Entries(entries))
            }
            Command::List => (None, Reply::Entries(index.entries)),
            Command::End { before } => {
                index.ended_before_ms = index.ended_before_ms.max(before.at_ms(now_ms));
                index.end_remembered_until_ms = now_ms.saturating_add(END_REMEMBERED_MS);
                let ended = index.entries.clone();
                (Some(index), Reply::Entries(ended))
            }
        }
    }

    fn forget_at_ms(index: &Index) -> u64 {
        let last = index.entries.iter().map(|entry| entry.expires_at_ms).max().unwrap_or_default();
        last.max(index.end_remembered_until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> Entry {
        let session = SessionHandle::parse(&format!("{n:0>43}")).unwrap();
        Entry { session, created_at_ms: n, expires_at_ms: 1000, label: String::new(), generation: n }
    }

    fn add(state: Option<&Index>, now_ms: u64, n: u64) -> (Option<Index>, Reply) {
        IndexMachine::apply(state, now_ms, Command::Add { entry: entry(n), signed_in: IssuedAt::At(n) })
    }

    #[test]
    fn a_sign_in_ended_before_it_is_written_is_rejected() {
        let (index, _) = IndexMachine::apply(None, 10, Command::End { before: IssuedAt::At(10) });
        assert_eq!(add(index.as_ref(), 11, 10), (None, Reply::Ended));
        assert!(matches!(add(index.as_ref(), 11, 11).1, Reply::Added { .. }), "a later sign-in is accepted");
    }

    #[test]
    fn s117_a_sign_in_without_a_provider_time_is_dated_by_the_coordinators_clock() {
        let (index, _) = IndexMachine::apply(None, 10, Command::End { before: IssuedAt::Ago(0) });
        let add = |signed_in| {
            IndexMachine::apply(
                index.as_ref(),
                15,
                Command::Add { entry: entry(1), signed_in: IssuedAt::Ago(signed_in) },
            )
            .1
        };
        assert_eq!(add(5), Reply::Ended);
        assert!(matches!(add(4), Reply::Added { .. }));
    }

    #[test]
    fn ending_lists_each_session_until_it_is_removed() {
        let index = add(None, 1, 1).0;
        let (index, reply) = IndexMachine::apply(index.as_ref(), 5, Command::End { before: IssuedAt::At(5) });
        assert_eq!(reply, Reply::Entries(vec![entry(1)]));
        let (index, reply) = IndexMachine::apply(index.as_ref(), 6, Command::End { before: IssuedAt::At(6) });
        assert_eq!(reply, Reply::Entries(vec![entry(1)]), "a repeated command, after a crash, gets the same answer");
        let (index, _) =
            IndexMachine::apply(index.as_ref(), 7, Command::Remove { session: entry(1).session, generation: 1 });
        assert_eq!(IndexMachine::apply(index.as_ref(), 8, Command::List).1, Reply::Entries(Vec::new()));
    }

    #[test]
    fn an_index_is_bounded_and_names_the_surplus() {
        let mut index = None;
        for n in 0..MAX_SESSIONS as u64 {
            let (next, reply) = add(index.as_ref(), 0, n);
            assert_eq!(reply, Reply::Added { surplus: Vec::new() });
            index = next;
        }
        for n in 0..5 {
            let (next, reply) = add(index.as_ref(), 0, 100 + n);
            let oldest = (0..=n).map(|n| entry(n).session).collect();
            assert_eq!(reply, Reply::Added { surplus: oldest }, "concurrent sign-ins are all accepted");
            index = next;
        }
        for n in 0..(MAX_ENTRIES - MAX_SESSIONS - 5) as u64 {
            index = add(index.as_ref(), 0, 1000 + n).0;
        }
        assert_eq!(add(index.as_ref(), 0, 9999), (None, Reply::Full));
    }

    #[test]
    fn a_session_added_again_keeps_its_label() {
        let named = Entry { label: "Firefox on Linux".to_owned(), ..entry(1) };
        let (index, _) =
            IndexMachine::apply(None, 1, Command::Add { entry: named.clone(), signed_in: IssuedAt::At(1) });
        let index = add(index.as_ref(), 2, 1).0;
        assert_eq!(IndexMachine::apply(index.as_ref(), 3, Command::List).1, Reply::Entries(vec![named]));
    }

    #[test]
    fn a_late_removal_keeps_an_entry_of_a_later_generation() {
        let again = Entry { generation: 4, ..entry(1) };
        let index = add(None, 1, 1).0;
        let (index, _) =
            IndexMachine::apply(index.as_ref(), 2, Command::Add { entry: again, signed_in: IssuedAt::At(2) });
        let late = add(index.as_ref(), 3, 1).0;
        let remove = Command::Remove { session: entry(1).session, generation: 3 };
        let (index, reply) = IndexMachine::apply(late.as_ref(), 4, remove);
        assert!(matches!(reply, Reply::Entries(left) if left.len() == 1));
        let remove = Command::Remove { session: entry(1).session, generation: 4 };
        assert_eq!(IndexMachine::apply(index.as_ref(), 5, remove).1, Reply::Entries(Vec::new()));
    }

    #[test]
    fn expired_sessions_are_not_listed() {
        let index = add(None, 1, 1).0;
        assert_eq!(IndexMachine::apply(index.as_ref(), 1000, Command::List).1, Reply::Entries(Vec::new()));
    }

    #[test]
    fn names_of_different_indexes_differ() {
        assert_ne!(IndexName::account("a", "bc"), IndexName::account("ab", "c"));
        assert_ne!(IndexName::account("a", "b"), IndexName::provider_session("a", "b"));
    }
}
