//! The machine of one session: whether it lives, its sealed record, and who may write it.
//!
//! Writing is exclusive, by a lease with a fencing token: a refresh token is sent by one isolate at a time, and a writer whose
//! lease is over can no longer store anything. Each use of a refresh token is counted here *before* it is sent, so that a
//! crash between sending and storing is known to whoever comes next. Leases are judged by the coordinator's own clock.

use std::collections::BTreeMap;

use causeway_protocol::subject::Subject;
use serde::{Deserialize, Serialize};

use super::index::IndexName;
use crate::runtime::machine::Machine;

/// A dead session is remembered this much longer than it could have lived, so that a late write cannot revive it.
const TOMBSTONE_MARGIN_MS: u64 = 10 * 60 * 1000;
/// How long a session that was ended before it began is remembered.
const UNBORN_MS: u64 = 60 * 60 * 1000;
/// How long a writer has, in milliseconds. Longer than a refresh may take, see [`crate::sign_in::refresh`].
pub const LEASE_MS: u64 = 40 * 1000;
/// How soon to ask again whether the writer is done, in milliseconds.
const BUSY_MS: u64 = 150;
/// How long after one refresh that a refused token has cost the next refusal is believed to be about something else, in
/// milliseconds: an upstream that answers 401 to everything, or to one path, must not let its callers wear out the
/// refresh tokens, or the provider's patience.
const REFUSAL_PAUSE_MS: u64 = 60 * 1000;
/// Being used is noted this many times within the idle limit, not at each request.
const TOUCHES: u64 = 20;

/// The machine.
#[derive(Debug)]
pub struct SessionMachine;

/// What is stored of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// Counts the record's versions; a copy in the key-value store with a lower one is stale.
    pub generation: u64,
    /// Whose session it is: whoever ends it must know whose streams end with it. `None` if it was ended before it began.
    pub subject: Option<Subject>,
    /// When the session ends whatever happens, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// How long it may lie unused, in milliseconds.
    pub idle_limit_ms: u64,
    /// When it was last used, in Unix milliseconds, to within a twentieth of the idle limit.
    pub used_at_ms: u64,
    /// Until when the page that it was begun for can take it, in Unix milliseconds; until that page has, it is nobody's.
    /// `None` from then on, and for every other session.
    pub redeem_by_ms: Option<u64>,
    /// Whether it was ended; never becomes false again.
    pub revoked: bool,
    /// The sealed record; `None` once revoked.
    pub record: Option<String>,
    /// The indexes it is in.
    pub indexes: Vec<IndexName>,
    /// Counts the leases.
    pub fencing_token: u64,
    /// Who may write.
    pub lease: Option<Lease>,
    /// Refresh tokens that were sent and whose answer nobody has, by account.
    pub token_uses: BTreeMap<String, TokenUse>,
    /// When the refusal of a token that had not ended last cost a refresh, in Unix milliseconds, by token.
    #[serde(default)]
    pub refusals: BTreeMap<String, u64>,
}

/// The right to write, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Ends in Unix milliseconds.
    pub until_ms: u64,
    /// Whose refresh token its holder sends, if any.
    pub account: Option<String>,
    /// The token that was refused before its end, if it is for one.
    #[serde(default)]
    pub refused: Option<String>,
    /// What its holder drew when it asked, by which it is known if it asks again.
    pub attempt_id: u64,
}

/// What became of an account's present refresh token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// How often it was sent and may have been used up.
    pub count: u32,
    /// Not to be sent before, in Unix milliseconds: the provider asked for it, or failed.
    pub not_before_ms: u64,
    /// Whether the provider broke down over it at some time, and may have used it up all the same.
    #[serde(default)]
    pub possibly_consumed: bool,
}

impl SessionState {
    fn is_alive(&self, now_ms: u64) -> bool {
        !self.revoked
            && self.redeem_by_ms.is_none()
            && now_ms < self.expires_at_ms
            && now_ms.saturating_sub(self.used_at_ms) < self.idle_limit_ms
    }
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Begin the session.
    Create {
        /// Whose it is.
        subject: Subject,
        /// Its end, in Unix milliseconds.
        expires_at_ms: u64,
        /// How long it may lie unused, in milliseconds.
        idle_limit_ms: u64,
        /// Its sealed record, in base64url.
        record: String,
        /// The indexes it is in already.
        indexes: Vec<IndexName>,
        /// If it is to be handed to a page of another site: how long that page has to take it, in milliseconds.
        redeem_in_ms: Option<u64>,
    },
    /// Take the session that was begun for a page of another site: once. Who takes it again ends it, since one of the two
    /// is not who it was meant for (RFC 6749 §4.1.2).
    Redeem,
    /// Is it alive, and which generation of the record is current? Counts as use.
    Status,
    /// The same with the record itself, for a reader whose key-value store has not caught up.
    Read,
    /// Is it alive? Somebody else asks: no use of it.
    Peek,
    /// Become the writer.
    AcquireLease {
        /// To send this account's refresh token; `None` to write something else.
        account: Option<String>,
        /// The token of it that an upstream refused though it has not ended, if it is for one. Where clocks are wrong, all
        /// that an account has may be refused at the same time, and one refresh renews one of them.
        refused: Option<String>,
        /// The generation that the asker knows: if there is a newer one, that is the answer.
        known_generation: u64,
        /// Drawn by the asker, the same if it asks again because the answer was lost.
        attempt_id: u64,
    },
    /// Be done writing.
    ReleaseLease {
        /// Of the lease.
        fencing_token: u64,
        /// What came of it.
        outcome: Outcome,
    },
    /// End it.
    Revoke,
    /// End it as its writer, at its provider's word: not if another began since, who may have stored tokens that the provider
    /// honours.
    EndWithLease {
        /// Of the lease.
        fencing_token: u64,
    },
}

/// Whether a refresh token that was sent may have been used up, though it is still the one there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumption {
    /// It was not: the provider does not rotate, or it was not sent.
    #[default]
    None,
    /// It may have been: what the provider says later of it may be the consequence.
    Possible,
    /// It may have been, and must not be risked by another use.
    Counted,
}

/// What came of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new record of the next generation.
    Stored {
        /// Sealed, in base64url.
        record: String,
        /// Indexes it is in now that it was not before.
        indexes: Vec<IndexName>,
        /// Connections whose refresh token is another one now, or none: what became of the old one no longer matters.
        replaced: Vec<String>,
        /// What is to be thought of the lease's refresh token if it is still the same one.
        #[serde(default)]
        consumption: Consumption,
    },
    /// Nothing was used up, as far as the provider says.
    NotConsumed {
        /// How long not to try again, in milliseconds.
        wait_ms: u64,
        /// Whether it broke down over it: what it says later of this refresh token may be the consequence.
        possibly_consumed: bool,
    },
    /// The refresh token was sent and no answer came: it may be used up.
    Unanswered {
        /// How long not to try again, in milliseconds.
        wait_ms: u64,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The session lives.
    Active {
        /// Current generation of the record.
        generation: u64,
        /// The record, if it was asked for or is newer than what the asker knows.
        record: Option<String>,
    },
    /// The asker is the writer now.
    Leased {
        /// To be given back with what comes of it.
        fencing_token: u64,
        /// Current generation of the record.
        generation: u64,
        /// The record that the new one must come from.
        record: String,
        /// How often the account's refresh token was sent before, without an answer that anybody has.
        unanswered_sends: u32,
        /// Whether it may have been used up by an earlier use.
        possibly_consumed: bool,
    },
    /// Somebody else writes.
    Busy {
        /// When to ask again, in milliseconds.
        wait_ms: u64,
    },
    /// The account's provider is not to be asked now.
    RetryLater {
        /// When it is, in milliseconds.
        wait_ms: u64,
    },
    /// A refusal has cost a refresh a moment ago: this one is about something else than the token.
    RefreshedRecently,
    /// The lease was over and another began: nothing was stored.
    Superseded,
    /// The session was ended, is over, or never was. After [`Command::Revoke`] or [`Command::EndWithLease`] with the user whose
    /// streams end with it, also when the session had been ended before: telling them may have failed then.
    Gone {
        /// Whose it was, if it was.
        subject: Option<Subject>,
        /// The indexes it was in.
        indexes: Vec<IndexName>,
        /// What it had last. Only for who really ended it: nobody else ever finds it again.
        #[serde(default)]
        last: Option<LastRecord>,
    },
}

/// The record that a session ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRecord {
    /// Which version it is.
    pub generation: u64,
    /// Sealed, in base64url.
    pub record: String,
}

const GONE: Reply = Reply::Gone { subject: None, indexes: Vec::new(), last: None };

impl Machine for SessionMachine {
    const KIND: &'static str = "session";
    type State = SessionState;
    type Command = Command;
    type Reply = Reply;

    fn apply(state: Option<&SessionState>, now_ms: u64, command: Command) -> (Option<SessionState>, Reply) {
        match (state, command) {
            (state, Command::Revoke) => revoke(state, now_ms),
            // Whoever asks again is told again whose streams end with it.
            (Some(state), Command::EndWithLease { fencing_token })
                if fencing_token == state.fencing_token && (state.lease.is_some() || state.revoked) =>
            {
                revoke(Some(state), now_ms)
            }
            (None, Command::Create { subject, expires_at_ms, idle_limit_ms, record, indexes, redeem_in_ms }) => {
                let state = SessionState {
                    generation: 1,
                    subject: Some(subject),
                    expires_at_ms,
                    idle_limit_ms,
                    used_at_ms: now_ms,
                    record: Some(record),
                    indexes,
                    redeem_by_ms: redeem_in_ms.map(|in_ms| now_ms.saturating_add(in_ms)),
                    ..SessionState::default()
                };
                (Some(state), Reply::Active { generation: 1, record: None })
            }
            (Some(state), Command::Redeem) => redeem(state, now_ms),
            // An id is drawn once, so a second creation is a replay; and whatever is asked of a dead session, it is dead.
            (None, _) | (Some(_), Command::Create { .. }) => (None, GONE),
            (Some(state), _) if !state.is_alive(now_ms) => (None, GONE),
            (Some(state), Command::Status) => {
                (touched(state, now_ms), Reply::Active { generation: state.generation, record: None })
            }
            (Some(state), Command::Peek) => (None, Reply::Active { generation: state.generation, record: None }),
            (Some(state), Command::Read) => {
                let reply = Reply::Active { generation: state.generation, record: state.record.clone() };
                (touched(state, now_ms), reply)
            }
            (Some(state), Command::AcquireLease { account, refused, known_generation, attempt_id }) => {
                begin(state, now_ms, account, refused, known_generation, attempt_id)
            }
            (Some(state), Command::ReleaseLease { fencing_token, outcome }) => {
                finish(state, now_ms, fencing_token, outcome)
            }
            (Some(_), Command::EndWithLease { .. }) => (None, Reply::Superseded),
        }
    }

    fn forget_at_ms(state: &SessionState) -> u64 {
        // What nobody took in time is over.
        state.redeem_by_ms.unwrap_or(state.expires_at_ms).saturating_add(TOMBSTONE_MARGIN_MS)
    }
}

fn revoke(state: Option<&SessionState>, now_ms: u64) -> (Option<SessionState>, Reply) {
    let Some(state) = state else {
        // It may be about to begin: whoever ends it saw it in an index, which is written first.
        let unborn = SessionState {
            expires_at_ms: now_ms.saturating_add(UNBORN_MS),
            used_at_ms: now_ms,
            revoked: true,
            ..SessionState::default()
        };
        return (Some(unborn), GONE);
    };
    // There is none any more if it had been ended before.
    let last = state.record.clone().map(|record| LastRecord { generation: state.generation, record });
    let reply = Reply::Gone { subject: state.subject.clone(), indexes: state.indexes.clone(), last };
    let ended = SessionState { revoked: true, record: None, lease: None, ..state.clone() };
    ((!state.revoked).then_some(ended), reply)
}

fn redeem(state: &SessionState, now_ms: u64) -> (Option<SessionState>, Reply) {
    match state.redeem_by_ms {
        Some(_) if state.revoked => (None, GONE),
        Some(redeem_by_ms) if now_ms < redeem_by_ms => {
            let taken = SessionState { redeem_by_ms: None, used_at_ms: now_ms, ..state.clone() };
            (Some(taken), Reply::Active { generation: state.generation, record: None })
        }
        Some(_) => (None, GONE),
        None => revoke(Some(state), now_ms),
    }
}

fn touched(state: &SessionState, now_ms: u64) -> Option<SessionState> {
    let is_due = now_ms.saturating_sub(state.used_at_ms) > state.idle_limit_ms / TOUCHES;
    is_due.then(|| SessionState { used_at_ms: now_ms, ..state.clone() })
}

fn begin(
    state: &SessionState,
    now_ms: u64,
    account: Option<String>,
    refused: Option<String>,
    known_generation: u64,
    attempt_id: u64,
) -> (Option<SessionState>, Reply) {
    if state.generation > known_generation {
        return (None, Reply::Active { generation: state.generation, record: state.record.clone() });
    }
    let Some(record) = state.record.clone() else { return (None, GONE) };
    if let Some(lease) = state.lease.as_ref().filter(|lease| now_ms < lease.until_ms) {
        if lease.attempt_id != attempt_id || lease.account != account {
            return (None, Reply::Busy { wait_ms: BUSY_MS });
        }
        let sends = account.as_ref().and_then(|account| state.token_uses.get(account));
        let unanswered_sends = sends.map_or(0, |sends| sends.count.saturating_sub(1));
        let possibly_consumed = unanswered_sends > 0 || sends.is_some_and(|sends| sends.possibly_consumed);
        let (fencing_token, generation) = (state.fencing_token, state.generation);
        return (None, Reply::Leased { fencing_token, generation, record, unanswered_sends, possibly_consumed });
    }
    let last_refusal_ms = refused.as_ref().and_then(|token| state.refusals.get(token));
    if last_refusal_ms.is_some_and(|at_ms| now_ms.saturating_sub(*at_ms) < REFUSAL_PAUSE_MS) {
        return (None, Reply::RefreshedRecently);
    }
    let mut next = state.clone();
    let (mut unanswered_sends, mut possibly_consumed) = (0, false);
    if let Some(account) = &account {
        let sends = next.token_uses.entry(account.clone()).or_default();
        if let Some(wait_ms) = sends.not_before_ms.checked_sub(now_ms).filter(|wait_ms| *wait_ms > 0) {
            return (None, Reply::RetryLater { wait_ms });
        }
        unanswered_sends = sends.count;
        possibly_consumed = unanswered_sends > 0 || sends.possibly_consumed;
        // Counted before it is sent: a crash must not look as if nothing had happened.
        sends.count = sends.count.saturating_add(1);
    }
    next.fencing_token = next.fencing_token.saturating_add(1);
    next.lease = Some(Lease { until_ms: now_ms.saturating_add(LEASE_MS), account, refused, attempt_id });
    let reply = Reply::Leased {
        fencing_token: next.fencing_token,
        generation: next.generation,
        record,
        unanswered_sends,
        possibly_consumed,
    };
    (Some(next), reply)
}

fn finish(state: &SessionState, now_ms: u64, fencing_token: u64, outcome: Outcome) -> (Option<SessionState>, Reply) {
    let (Some(lease), true) = (&state.lease, fencing_token == state.fencing_token) else {
        // The last lease, given back before: that answer was lost.
        let is_done = fencing_token == state.fencing_token && fencing_token > 0;
        let again = Reply::Active { generation: state.generation, record: None };
        return (None, if is_done { again } else { Reply::Superseded });
    };
    // Late but not superseded is not too late: nobody else began.
    let mut next = SessionState { lease: None, used_at_ms: now_ms, ..state.clone() };
    let account = lease.account.clone().unwrap_or_default();
    match outcome {
        Outcome::Stored { record, indexes, replaced, consumption } => {
            next.generation = next.generation.saturating_add(1);
            next.record = Some(record);
            if let Some(token) = &lease.refused {
                next.refusals.insert(token.clone(), now_ms);
            }
            match (consumption, next.token_uses.get_mut(&account)) {
                (Consumption::Possible, Some(sends)) => {
                    sends.count = sends.count.saturating_sub(1);
                    sends.possibly_consumed = true;
                }
                (Consumption::Counted, _) | (_, None) => {}
                (Consumption::None, Some(_)) => drop(next.token_uses.remove(&account)),
            }
            for account in &replaced {
                next.token_uses.remove(account);
            }
            for index in indexes {
                if !next.indexes.contains(&index) {
                    next.indexes.push(index);
                }
            }
        }
        Outcome::NotConsumed { wait_ms, possibly_consumed } => {
            if let Some(sends) = next.token_uses.get_mut(&account) {
                sends.count = sends.count.saturating_sub(1);
                sends.possibly_consumed |= possibly_consumed;
                sends.not_before_ms = now_ms.saturating_add(wait_ms);
            }
        }
        Outcome::Unanswered { wait_ms } => {
            if let Some(sends) = next.token_uses.get_mut(&account) {
                sends.not_before_ms = now_ms.saturating_add(wait_ms);
            }
        }
    }
    let generation = next.generation;
    (Some(next), Reply::Active { generation, record: None })
}

#[cfg(test)]
mod tests;
