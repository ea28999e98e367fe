//! Indexes of sessions: of a user (to list and end them), of an (issuer, subject) and of an issuer's `sid` (so that a
//! provider can end them). Each session's own state machine decides whether it is live; an index only lists handles.
//!
//! An ended index remembers when it was ended: a sign-in that was in progress then, and is written later, is rejected.
//!
//! An end concerns what was signed in before it. A logout token that is delivered late, or once more, must not end the
//! sessions that began since (S156). So the index keeps when each session's account signed in. If that time is unknown, the
//! session ends.

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
/// Most messages without a time that an index remembers; the oldest are forgotten.
const MAX_MESSAGES: usize = 16;
/// How long they are remembered, in milliseconds: 30 days, longer than GitHub keeps deliveries for a redelivery.
const MESSAGE_REMEMBERED_MS: u64 = 30 * 24 * 60 * 60 * 1000;

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
    entries: Vec<Member>,
    /// Sign-ins up to this time are rejected, in Unix milliseconds.
    ended_before_ms: u64,
    /// Until when that is remembered, in Unix milliseconds.
    end_remembered_until_ms: u64,
    /// The messages without a time that ended sessions, the oldest first.
    #[serde(default)]
    messages: Vec<Message>,
}

/// An entry, with what decides which ends concern it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    #[serde(flatten)]
    entry: Entry,
    /// When the session's account signed in, in Unix milliseconds. `None`: unknown.
    #[serde(default)]
    signed_in_at_ms: Option<u64>,
    /// The last end that was known when the session was added, in Unix milliseconds. Its sign-in was newer. So no repeat of
    /// that end, and no earlier end, concerns it.
    #[serde(default)]
    outlives_ms: Option<u64>,
}

impl Member {
    /// Whether an end of sign-ins up to this time concerns the session.
    fn ends(&self, before_ms: u64, tolerance_ms: u64) -> bool {
        let outlives = self.outlives_ms.is_some_and(|end_ms| before_ms <= end_ms);
        !self.signed_in_at_ms.is_some_and(|at_ms| outlives || at_ms > before_ms.saturating_add(tolerance_ms))
    }
}

/// A message that names no time, such as a delivery of GitHub. It counts as sent when it came first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Message {
    id: MessageId,
    received_at_ms: u64,
}

impl Message {
    fn forget_at_ms(&self) -> u64 {
        self.received_at_ms.saturating_add(MESSAGE_REMEMBERED_MS)
    }
}

/// A digest of the id that a message's sender gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    /// The id of a message.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(digest(&[b"message", id.as_bytes()]))
    }
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
        index.entries.retain(|member| now_ms < member.entry.expires_at_ms);
        match command {
            Command::Add { entry, signed_in } => index.add(now_ms, entry, signed_in),
            Command::Confirm { session, generation, signed_in } => {
                let confirmed =
                    |member: &&mut Member| member.entry.session == session && member.entry.generation == generation;
                if let Some(member) = index.entries.iter_mut().find(confirmed) {
                    member.signed_in_at_ms = Some(signed_in.at_ms(now_ms));
                }
                let entries = index.list();
                (state.is_some().then_some(index), Reply::Entries(entries))
            }
            Command::Remove { session, generation } => {
                index.entries.retain(|known| known.entry.session != session || known.entry.generation > generation);
                let entries = index.list();
                (state.is_some().then_some(index), Reply::Entries(entries))
            }
            Command::List => (None, Reply::Entries(index.list())),
            Command::End(ending) => index.end(now_ms, ending),
        }
    }

    fn forget_at_ms(index: &Index) -> u64 {
        let last = index.entries.iter().map(|member| member.entry.expires_at_ms).max().unwrap_or_default();
        let last_message = index.messages.iter().map(Message::forget_at_ms).max().unwrap_or_default();
        last.max(index.end_remembered_until_ms).max(last_message)
    }
}

impl Index {
    fn list(&self) -> Vec<Entry> {
        self.entries.iter().map(|member| member.entry.clone()).collect()
    }

    /// Sign-ins up to this time were ended, as far as that is remembered.
    fn known_end_ms(&self, now_ms: u64) -> Option<u64> {
        (now_ms < self.end_remembered_until_ms).then_some(self.ended_before_ms)
    }

    fn add(mut self, now_ms: u64, mut entry: Entry, signed_in: Option<IssuedAt>) -> (Option<Self>, Reply) {
        let mut signed_in_at_ms = signed_in.map(|at| at.at_ms(now_ms));
        let known_end_ms = self.known_end_ms(now_ms);
        if known_end_ms.is_some_and(|end_ms| signed_in_at_ms.is_none_or(|at_ms| at_ms <= end_ms)) {
            return (None, Reply::Ended);
        }
        let mut outlives_ms = known_end_ms;
        if let Some(known) = self.entries.iter().find(|known| known.entry.session == entry.session) {
            // A session that is added again, with another account, keeps its label.
            if entry.label.is_empty() {
                entry.label.clone_from(&known.entry.label);
            }
            entry.generation = entry.generation.max(known.entry.generation);
            // Its record still has the account as it was before. `None` is less than any time.
            signed_in_at_ms = signed_in_at_ms.min(known.signed_in_at_ms);
            outlives_ms = known.outlives_ms;
        }
        self.entries.retain(|known| known.entry.session != entry.session);
        if self.entries.len() >= MAX_ENTRIES {
            return (None, Reply::Full);
        }
        self.entries.push(Member { entry, signed_in_at_ms, outlives_ms });
        let count = self.entries.len().saturating_sub(MAX_SESSIONS);
        let surplus = self.entries.iter().take(count).map(|member| member.entry.session.clone()).collect();
        (Some(self), Reply::Added { surplus })
    }

    fn end(mut self, now_ms: u64, ending: Ending) -> (Option<Self>, Reply) {
        let Ending { before, tolerance_ms, message } = ending;
        let (before_ms, tolerance_ms) = match message.map(|id| self.note_message(now_ms, id)) {
            None => (before.at_ms(now_ms), tolerance_ms),
            Some(None) => (now_ms, u64::MAX),
            Some(Some(received_at_ms)) => (received_at_ms, tolerance_ms),
        };
        self.ended_before_ms = self.known_end_ms(now_ms).unwrap_or_default().max(before_ms);
        self.end_remembered_until_ms = now_ms.saturating_add(END_REMEMBERED_MS);
        let ended = self.entries.iter().filter(|member| member.ends(before_ms, tolerance_ms));
        let ended = ended.map(|member| member.entry.clone()).collect();
        (Some(self), Reply::Entries(ended))
    }

    /// When a message came first. `None`: now, and the index remembers it.
    fn note_message(&mut self, now_ms: u64, id: MessageId) -> Option<u64> {
        self.messages.retain(|known| now_ms < known.forget_at_ms());
        if let Some(known) = self.messages.iter().find(|known| known.id == id) {
            return Some(known.received_at_ms);
        }
        if self.messages.len() >= MAX_MESSAGES {
            self.messages.remove(0);
        }
        self.messages.push(Message { id, received_at_ms: now_ms });
        None
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
        IndexMachine::apply(state, now_ms, Command::Add { entry: entry(n), signed_in: Some(IssuedAt::At(n)) })
    }

    fn end_with(state: Option<&Index>, now_ms: u64, ending: Ending) -> (Option<Index>, Vec<Entry>) {
        match IndexMachine::apply(state, now_ms, Command::End(ending)) {
            (index, Reply::Entries(entries)) => (index, entries),
            (_, reply) => panic!("{reply:?}"),
        }
    }

    fn end(state: Option<&Index>, now_ms: u64, before: IssuedAt) -> (Option<Index>, Vec<Entry>) {
        end_with(state, now_ms, Ending { before, tolerance_ms: 0, message: None })
    }

    #[test]
    fn a_sign_in_ended_before_it_is_written_is_rejected() {
        let (index, _) = end(None, 10, IssuedAt::At(10));
        assert_eq!(add(index.as_ref(), 11, 10), (None, Reply::Ended));
        assert!(matches!(add(index.as_ref(), 11, 11).1, Reply::Added { .. }), "a later sign-in is accepted");
    }

    #[test]
    fn s117_a_sign_in_without_a_provider_time_is_dated_by_the_coordinators_clock() {
        let (index, _) = end(None, 10, IssuedAt::Ago(0));
        let add = |signed_in| {
            IndexMachine::apply(
                index.as_ref(),
                15,
                Command::Add { entry: entry(1), signed_in: Some(IssuedAt::Ago(signed_in)) },
            )
            .1
        };
        assert_eq!(add(5), Reply::Ended);
        assert!(matches!(add(4), Reply::Added { .. }));
    }

    #[test]
    fn ending_lists_each_session_until_it_is_removed() {
        let index = add(None, 1, 1).0;
        let (index, ended) = end(index.as_ref(), 5, IssuedAt::At(5));
        assert_eq!(ended, [entry(1)]);
        let (index, ended) = end(index.as_ref(), 6, IssuedAt::At(5));
        assert_eq!(ended, [entry(1)], "a repeated command, after a crash, gets the same answer");
        let (index, _) =
            IndexMachine::apply(index.as_ref(), 7, Command::Remove { session: entry(1).session, generation: 1 });
        assert_eq!(IndexMachine::apply(index.as_ref(), 8, Command::List).1, Reply::Entries(Vec::new()));
    }

    #[test]
    fn s156_an_end_concerns_only_what_was_signed_in_before_it() {
        let index = add(None, 100, 10).0;
        let index = add(index.as_ref(), 100, 20).0;
        let index = add(index.as_ref(), 100, 31).0;
        let ended = |before, tolerance_ms| {
            end_with(index.as_ref(), 100, Ending { before: IssuedAt::At(before), tolerance_ms, message: None }).1
        };
        assert_eq!(ended(9, 0), []);
        assert_eq!(ended(10, 0), [entry(10)], "of the same time, the later one is unknown");
        assert_eq!(ended(10, 20), [entry(10), entry(20)], "nor within the tolerance");
        assert_eq!(ended(0, u64::MAX).len(), 3);
    }

    #[test]
    fn s156_session_of_unknown_time_ends_with_any_end() {
        let add = |signed_in| IndexMachine::apply(None, 1, Command::Add { entry: entry(1), signed_in }).0;
        assert_eq!(end(add(None).as_ref(), 2, IssuedAt::At(0)).1, [entry(1)]);
        // As it was stored before the index kept that time.
        let mut stored = serde_json::to_value(add(Some(IssuedAt::At(1)))).unwrap();
        stored["entries"][0]
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !["signed_in_at_ms", "outlives_ms"].contains(&name.as_str()));
        stored.as_object_mut().unwrap().remove("messages");
        let stored: Index = serde_json::from_value(stored).unwrap();
        assert_eq!(end(Some(&stored), 2, IssuedAt::At(0)).1, [entry(1)]);
    }

    #[test]
    fn s156_repeated_end_spares_the_sign_ins_that_it_let_pass() {
        let ending = |at| Ending { before: IssuedAt::At(at), tolerance_ms: 60, message: None };
        let index = add(None, 5, 5).0;
        let (index, ended) = end_with(index.as_ref(), 10, ending(10));
        assert_eq!(ended, [entry(5)]);
        let index = add(index.as_ref(), 12, 12).0;
        assert_eq!(end_with(index.as_ref(), 13, ending(10)).1, [entry(5)], "the same token again, after a failure");
        assert_eq!(end_with(index.as_ref(), 13, ending(8)).1, [entry(5)], "an earlier token that comes late");
        assert_eq!(end_with(index.as_ref(), 13, ending(11)).1, [entry(5), entry(12)], "a later one");
    }

    #[test]
    fn s156_message_without_a_time_counts_from_its_first_delivery() {
        let ending = |id: &str| Ending { before: IssuedAt::Ago(0), tolerance_ms: 0, message: Some(MessageId::new(id)) };
        let index = add(None, 1, 1).0;
        let (index, ended) = end_with(index.as_ref(), 10, ending("a"));
        assert_eq!(ended, [entry(1)]);
        let index = add(index.as_ref(), 20, 20).0;
        let (index, ended) = end_with(index.as_ref(), 30, ending("a"));
        assert_eq!(ended, [entry(1)], "a failed delivery is completed, and the new session stays");
        let (mut index, ended) = end_with(index.as_ref(), 30, ending("b"));
        assert_eq!(ended.len(), 2, "another delivery");
        for n in 0..MAX_MESSAGES {
            index = end_with(index.as_ref(), 40, ending(&n.to_string())).0;
        }
        assert_eq!(index.as_ref().unwrap().messages.len(), MAX_MESSAGES);
        let kept_ms = IndexMachine::forget_at_ms(index.as_ref().unwrap());
        assert_eq!(kept_ms, 40 + MESSAGE_REMEMBERED_MS);
        let (index, _) = end_with(index.as_ref(), kept_ms, ending("c"));
        assert_eq!(index.unwrap().messages.len(), 1, "old ones are forgotten");
    }

    #[test]
    fn s156_account_connected_again_is_newer_once_its_record_is_stored() {
        let again = Entry { generation: 7, ..entry(1) };
        let index = add(None, 1, 1).0;
        let readd = Command::Add { entry: again.clone(), signed_in: Some(IssuedAt::At(50)) };
        let (index, _) = IndexMachine::apply(index.as_ref(), 51, readd);
        assert_eq!(
            end(index.as_ref(), 52, IssuedAt::At(20)).1,
            vec![again.clone()],
            "its record may have the old account"
        );
        for (generation, newer) in [(6, false), (7, true)] {
            let confirm = Command::Confirm { session: again.session.clone(), generation, signed_in: IssuedAt::At(50) };
            let (index, _) = IndexMachine::apply(index.as_ref(), 52, confirm);
            assert_eq!(end(index.as_ref(), 53, IssuedAt::At(20)).1.is_empty(), newer, "{generation}");
        }
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
            IndexMachine::apply(None, 1, Command::Add { entry: named.clone(), signed_in: Some(IssuedAt::At(1)) });
        let index = add(index.as_ref(), 2, 1).0;
        assert_eq!(IndexMachine::apply(index.as_ref(), 3, Command::List).1, Reply::Entries(vec![named]));
    }

    #[test]
    fn a_late_removal_keeps_an_entry_of_a_later_generation() {
        let again = Entry { generation: 4, ..entry(1) };
        let index = add(None, 1, 1).0;
        let (index, _) =
            IndexMachine::apply(index.as_ref(), 2, Command::Add { entry: again, signed_in: Some(IssuedAt::At(2)) });
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
