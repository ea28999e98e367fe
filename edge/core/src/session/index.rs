//! Which sessions there are: of a user (to list and end them), of an (issuer, subject) and of an issuer's `sid` (so that a
//! provider can end them). The truth about each is its own machine's; an index only says whom to ask.
//!
//! An ended index remembers when it was ended: a sign-in that was under way then, and would be written later, is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::session::SessionHandle;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{runtime::machine::Machine, seal::length_prefixed};

/// Most sessions of a user; the oldest give way.
pub const MAX_SESSIONS: usize = 50;
/// Most sessions in any index. Beyond it nobody signs in: an account that so many users share must not let one of them
/// end the others' sessions.
const MAX_ENTRIES: usize = 300;
/// How long an end is remembered, in milliseconds: longer than a sign-in can be under way.
const END_REMEMBERED_MS: u64 = 60 * 60 * 1000;

/// The name of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IndexName(String);

impl IndexName {
    /// A user's own sessions, by the subject that our streams know them by.
    #[must_use]
    pub fn user(subject: &str) -> Self {
        Self(digest(&[b"user", subject.as_bytes()]))
    }

    /// The sessions into which an account of a provider is signed in.
    #[must_use]
    pub fn account(issuer: &str, sub: &str) -> Self {
        Self(digest(&[b"account", issuer.as_bytes(), sub.as_bytes()]))
    }

    /// Those of them whose sign-in named no session of the provider: a provider that ends one of its sessions may mean any.
    #[must_use]
    pub fn account_without_session(issuer: &str, sub: &str) -> Self {
        Self(digest(&[b"account-without-sid", issuer.as_bytes(), sub.as_bytes()]))
    }

    /// The sessions that belong to a session at a provider.
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

/// Whatever is in the parts, no two lists share a digest and none can be read back out of it.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let digest = Sha256::new_with_prefix(b"causeway-session-index-v1").chain_update(length_prefixed(parts));
    BASE64.encode(digest.finalize())
}

/// A session in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub session: SessionHandle,
    /// When it began, in Unix milliseconds.
    pub created_at_ms: u64,
    /// When it ends whatever happens, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// What the user recognises it by, see [`super::label`]. Empty if whoever adds it again does not know.
    pub label: String,
    /// Since which generation of its record it belongs here.
    #[serde(default)]
    pub generation: u64,
}

/// The machine.
#[derive(Debug)]
pub struct IndexMachine;

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    entries: Vec<Entry>,
    /// Sign-ins up to this moment are refused, in Unix milliseconds.
    ended_before_ms: u64,
    /// Until when that is remembered, in Unix milliseconds.
    end_remembered_until_ms: u64,
}

/// When a provider vouched for somebody, or took that back. An index is told in one of the two ways only.
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

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Put a session in, before it begins.
    Add {
        /// Which.
        entry: Entry,
        /// When the provider said that the user is signed in.
        signed_in: IssuedAt,
    },
    /// Take a session out, after it ended or after its record stopped naming this index.
    Remove {
        /// Which.
        session: SessionHandle,
        /// The generation of the record that does not name it: whoever put it in again for a later one needs it here.
        generation: u64,
    },
    /// Which are there?
    List,
    /// Everything that is there ends, and what is still under way. The entries stay until each is removed, so it can be
    /// asked again.
    End {
        /// Sign-ins up to this moment are ended.
        before: IssuedAt,
    },
}

impl Command {
    /// Take a session out, whatever put it in: it is over.
    #[must_use]
    pub fn remove(session: &SessionHandle) -> Self {
        Self::Remove { session: session.clone(), generation: u64::MAX }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is in.
    Added {
        /// Those that are more than [`MAX_SESSIONS`], the oldest first. They stay until each is ended and removed, so that
        /// no session that lives is in no index.
        surplus: Vec<SessionHandle>,
    },
    /// It is not in: there are too many.
    Full,
    /// It is not in: this sign-in was ended before it was complete.
    Ended,
    /// What was asked for is done; these are there.
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
                // A session that is written again, with another account, is called what it was called.
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
    fn a_sign_in_that_was_ended_before_it_was_written_stays_out() {
        let (index, _) = IndexMachine::apply(None, 10, Command::End { before: IssuedAt::At(10) });
        assert_eq!(add(index.as_ref(), 11, 10), (None, Reply::Ended));
        assert!(matches!(add(index.as_ref(), 11, 11).1, Reply::Added { .. }), "a later sign-in is another one");
    }

    #[test]
    fn s117_a_sign_in_without_a_time_of_the_providers_is_placed_by_the_machines_clock() {
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
    fn ending_names_what_there_is_until_each_is_gone() {
        let index = add(None, 1, 1).0;
        let (index, reply) = IndexMachine::apply(index.as_ref(), 5, Command::End { before: IssuedAt::At(5) });
        assert_eq!(reply, Reply::Entries(vec![entry(1)]));
        let (index, reply) = IndexMachine::apply(index.as_ref(), 6, Command::End { before: IssuedAt::At(6) });
        assert_eq!(reply, Reply::Entries(vec![entry(1)]), "whoever asks again, after a crash, is told again");
        let (index, _) =
            IndexMachine::apply(index.as_ref(), 7, Command::Remove { session: entry(1).session, generation: 1 });
        assert_eq!(IndexMachine::apply(index.as_ref(), 8, Command::List).1, Reply::Entries(Vec::new()));
    }

    #[test]
    fn it_is_bounded_and_says_who_has_to_go() {
        let mut index = None;
        for n in 0..MAX_SESSIONS as u64 {
            let (next, reply) = add(index.as_ref(), 0, n);
            assert_eq!(reply, Reply::Added { surplus: Vec::new() });
            index = next;
        }
        for n in 0..5 {
            let (next, reply) = add(index.as_ref(), 0, 100 + n);
            let oldest = (0..=n).map(|n| entry(n).session).collect();
            assert_eq!(reply, Reply::Added { surplus: oldest }, "many may begin at once, and none is turned away");
            index = next;
        }
        for n in 0..(MAX_ENTRIES - MAX_SESSIONS - 5) as u64 {
            index = add(index.as_ref(), 0, 1000 + n).0;
        }
        assert_eq!(add(index.as_ref(), 0, 9999), (None, Reply::Full));
    }

    #[test]
    fn a_session_that_is_written_again_keeps_its_label() {
        let named = Entry { label: "Firefox on Linux".to_owned(), ..entry(1) };
        let (index, _) =
            IndexMachine::apply(None, 1, Command::Add { entry: named.clone(), signed_in: IssuedAt::At(1) });
        let index = add(index.as_ref(), 2, 1).0;
        assert_eq!(IndexMachine::apply(index.as_ref(), 3, Command::List).1, Reply::Entries(vec![named]));
    }

    #[test]
    fn who_disconnected_an_account_does_not_take_out_who_connected_it_again() {
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
    fn what_is_over_is_not_listed() {
        let index = add(None, 1, 1).0;
        assert_eq!(IndexMachine::apply(index.as_ref(), 1000, Command::List).1, Reply::Entries(Vec::new()));
    }

    #[test]
    fn names_of_different_indexes_never_meet() {
        assert_ne!(IndexName::account("a", "bc"), IndexName::account("ab", "c"));
        assert_ne!(IndexName::account("a", "b"), IndexName::provider_session("a", "b"));
    }
}
