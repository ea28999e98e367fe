//! Indexes of sessions: of a user (to list and end them), of an (issuer, subject) and of an issuer's `sid` (so that a
//! provider can end them). Each session's own state machine decides whether it is live; an index only lists handles.
//!
//! An ended index remembers when it was ended: a sign-in that was in progress then, and is written later, is rejected.
//!
//! An end concerns what was signed in before it. A logout token that is delivered late, or once more, must not end the
//! sessions that began since (S156). So the index keeps when each session's account signed in. If that time is unknown, the
//! session ends.
//!
//! - `command`: what an index is asked and answers
//! - `name`: what names indexes and messages

use serde::{Deserialize, Serialize};

use crate::runtime::machine::Machine;

mod command;
mod name;

pub use command::{Command, Ending, Entry, IssuedAt, Reply};
pub(super) use name::digest;
pub use name::{IndexName, MessageId};

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
mod tests;
