//! The state machine of one session: whether it is live, its sealed record, and who may write it.
//!
//! Writing is exclusive, by a lease with a fencing token: a refresh token is sent by one isolate at a time, and a writer whose
//! lease has passed to another one can no longer store anything. Each use of a refresh token is counted here *before* it is
//! sent, so that the next writer knows of a crash between sending and storing. Leases run by the coordinator's own clock.

use std::collections::BTreeMap;

use causeway_protocol::subject::Subject;
use serde::{Deserialize, Serialize};

use super::index::IndexName;
use crate::runtime::machine::Machine;

/// How much longer than its longest lifetime an ended session is remembered, so that a late write cannot revive it.
const TOMBSTONE_MARGIN_MS: u64 = 10 * 60 * 1000;
/// How long a session that was ended before it was created is remembered, in milliseconds.
const ENDED_UNCREATED_MS: u64 = 60 * 60 * 1000;
/// How long a lease lasts, in milliseconds. Longer than a refresh may take, see `sign_in::refresh`.
pub const LEASE_MS: u64 = 40 * 1000;
/// How soon to ask again while another writer has the lease, in milliseconds.
const BUSY_RETRY_MS: u64 = 150;
/// How long after a refresh for a refused token the next refusal costs no refresh, in milliseconds. An upstream that
/// answers 401 to everything, or to one path, must not make its callers exhaust refresh tokens or the provider's limits.
const REFUSAL_PAUSE_MS: u64 = 60 * 1000;
/// How many times within the idle limit the last use is stored, instead of at each request.
const USES_STORED_PER_IDLE_LIMIT: u64 = 20;

/// The state machine of one session.
#[derive(Debug)]
pub struct SessionMachine;

/// What is stored of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// The version of the record. A copy in the key-value store with a lower one is stale.
    pub generation: u64,
    /// Whose session it is, so that the subject's streams can be ended with it. `None` if it was ended before it was
    /// created.
    pub subject: Option<Subject>,
    /// When the session ends at the latest, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// How long it may be idle, in milliseconds.
    pub idle_limit_ms: u64,
    /// When it was last used, in Unix milliseconds, to within a twentieth of the idle limit.
    pub used_at_ms: u64,
    /// Until when the page of another site can redeem it, in Unix milliseconds. Until then it is not live. `None` once it
    /// is redeemed, and for every other session.
    pub redeem_by_ms: Option<u64>,
    /// Whether it was ended. Never becomes false again.
    pub revoked: bool,
    /// The sealed record; `None` once revoked.
    pub record: Option<String>,
    /// The indexes it is in.
    pub indexes: Vec<IndexName>,
    /// The fencing token of the latest lease: the number of leases so far.
    pub fencing_token: u64,
    /// The present lease.
    pub lease: Option<Lease>,
    /// Uses of the accounts' present refresh tokens, by account.
    pub token_uses: BTreeMap<String, TokenUse>,
    /// When an upstream's refusal of an unexpired token last caused a refresh, in Unix milliseconds, by token.
    #[serde(default)]
    pub refusals: BTreeMap<String, u64>,
}

/// The right to write, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// When it ends, in Unix milliseconds.
    pub until_ms: u64,
    /// The account whose refresh token its holder sends, if any.
    pub account: Option<String>,
    /// The unexpired token that an upstream refused, if that is the reason.
    #[serde(default)]
    pub refused: Option<String>,
    /// The attempt id of its holder: the same holder gets it again.
    pub attempt_id: u64,
}

/// The uses of an account's present refresh token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// How often it was sent without an answer that shows that it was not consumed.
    pub count: u32,
    /// When it may be sent again, in Unix milliseconds, after the provider failed or asked for a pause.
    pub not_before_ms: u64,
    /// Whether the provider ever failed on it in a way that may have consumed it.
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
    /// Create the session.
    Create {
        /// Whose it is.
        subject: Subject,
        /// When it ends at the latest, in Unix milliseconds.
        expires_at_ms: u64,
        /// How long it may be idle, in milliseconds.
        idle_limit_ms: u64,
        /// Its sealed record, in base64url.
        record: String,
        /// The indexes it is in already.
        indexes: Vec<IndexName>,
        /// How long a page of another site has to redeem it, in milliseconds, if it is for one.
        redeem_in_ms: Option<u64>,
    },
    /// Redeem a session that was created for a page of another site. A second redemption ends the session, because one of
    /// the two came from somebody else (RFC 6749 §4.1.2).
    Redeem,
    /// Whether it is live, and the current generation of the record. Counts as use.
    Status,
    /// The same with the record itself, for a reader whose key-value store has not caught up.
    Read,
    /// Whether it is live, without counting as use.
    Peek,
    /// Acquire the write lease.
    AcquireLease {
        /// The account whose refresh token is to be sent; `None` for any other change.
        account: Option<String>,
        /// The unexpired token of the account that an upstream refused, if that is the reason. With wrong clocks all tokens
        /// of an account may be refused at once, and a refresh renews only one of them.
        refused: Option<String>,
        /// The generation that the caller knows. The answer is the newer record if there is one.
        known_generation: u64,
        /// Drawn by the caller. It repeats the id if it repeats the command because the answer was lost.
        attempt_id: u64,
    },
    /// Release the write lease.
    ReleaseLease {
        /// That of the lease.
        fencing_token: u64,
        /// The outcome of the work.
        outcome: Outcome,
    },
    /// End the session.
    Revoke,
    /// End the session because the provider ended the grant. Has no effect if another writer got a lease since: it may have
    /// stored tokens that the provider honours.
    EndWithLease {
        /// That of the lease.
        fencing_token: u64,
    },
}

/// Whether a refresh token that was sent, and stays in the record, may be consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumption {
    /// It is not: the provider does not rotate, or the token was not sent.
    #[default]
    None,
    /// It may be: a later refusal by the provider may be the consequence.
    Possible,
    /// It may be, and the use stays counted, so that it is not sent again.
    Counted,
}

/// The outcome of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new record, of the next generation.
    Stored {
        /// Sealed, in base64url.
        record: String,
        /// The indexes that it was added to.
        indexes: Vec<IndexName>,
        /// The accounts whose refresh token was replaced or removed: the uses of the old one no longer matter.
        replaced: Vec<String>,
        /// Whether the lease's refresh token may be consumed, if the record keeps it.
        #[serde(default)]
        consumption: Consumption,
    },
    /// The refresh token was not sent, or the provider's answer does not show that it is consumed.
    NotConsumed {
        /// How long not to send it again, in milliseconds.
        wait_ms: u64,
        /// Whether the provider failed in a way that may have consumed it: a later refusal may be the consequence.
        possibly_consumed: bool,
    },
    /// The refresh token was sent and no answer came: it may be consumed.
    Unanswered {
        /// How long not to send it again, in milliseconds.
        wait_ms: u64,
    },
}

/// What is answered.
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
        /// When it may be, in milliseconds from now.
        wait_ms: u64,
    },
    /// A refusal of this token caused a refresh recently: another refresh would not help.
    RefreshedRecently,
    /// Another writer got a lease since: nothing was stored.
    Superseded,
    /// The session ended, expired or never existed. The answer to [`Command::Revoke`] and [`Command::EndWithLease`] names the
    /// user whose streams end with it, also if it had ended before: ending the streams may have failed then.
    Gone {
        /// Whose it was.
        subject: Option<Subject>,
        /// The indexes it was in.
        indexes: Vec<IndexName>,
        /// Its last record, only in the answer to the command that ended it.
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
            // A repeated command gets the same answer, with whose streams end.
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
            // An id is drawn once, so a second creation is a replay.
            (None, _) | (Some(_), Command::Create { .. }) => (None, GONE),
            (Some(state), _) if !state.is_alive(now_ms) => (None, GONE),
            (Some(state), Command::Status) => {
                (with_use(state, now_ms), Reply::Active { generation: state.generation, record: None })
            }
            (Some(state), Command::Peek) => (None, Reply::Active { generation: state.generation, record: None }),
            (Some(state), Command::Read) => {
                let reply = Reply::Active { generation: state.generation, record: state.record.clone() };
                (with_use(state, now_ms), reply)
            }
            (Some(state), Command::AcquireLease { account, refused, known_generation, attempt_id }) => {
                acquire_lease(state, now_ms, account, refused, known_generation, attempt_id)
            }
            (Some(state), Command::ReleaseLease { fencing_token, outcome }) => {
                release_lease(state, now_ms, fencing_token, outcome)
            }
            (Some(_), Command::EndWithLease { .. }) => (None, Reply::Superseded),
        }
    }

    fn forget_at_ms(state: &SessionState) -> u64 {
        // A session that was not redeemed in time has ended.
        state.redeem_by_ms.unwrap_or(state.expires_at_ms).saturating_add(TOMBSTONE_MARGIN_MS)
    }
}

fn revoke(state: Option<&SessionState>, now_ms: u64) -> (Option<SessionState>, Reply) {
    let Some(state) = state else {
        // It may be about to be created: its index entry comes first, and the caller may have found it there.
        let ended = SessionState {
            expires_at_ms: now_ms.saturating_add(ENDED_UNCREATED_MS),
            used_at_ms: now_ms,
            revoked: true,
            ..SessionState::default()
        };
        return (Some(ended), GONE);
    };
    // `None` if it had ended before.
    let last = state.record.clone().map(|record| LastRecord { generation: state.generation, record });
    let reply = Reply::Gone { subject: state.subject.clone(), indexes: state.indexes.clone(), last };
    let ended = SessionState { revoked: true, record: None, lease: None, ..state.clone() };
    ((!state.revoked).then_some(ended), reply)
}

fn redeem(state: &SessionState, now_ms: u64) -> (Option<SessionState>, Reply) {
    match state.redeem_by_ms {
        Some(_) if state.revoked => (None, GONE),
        Some(redeem_by_ms) if now_ms < redeem_by_ms => {
            let redeemed = SessionState { redeem_by_ms: None, used_at_ms: now_ms, ..state.clone() };
            (Some(redeemed), Reply::Active { generation: state.generation, record: None })
        }
        Some(_) => (None, GONE),
        None => revoke(Some(state), now_ms),
    }
}

fn with_use(state: &SessionState, now_ms: u64) -> Option<SessionState> {
    let is_due = now_ms.saturating_sub(state.used_at_ms) > state.idle_limit_ms / USES_STORED_PER_IDLE_LIMIT;
    is_due.then(|| SessionState { used_at_ms: now_ms, ..state.clone() })
}

fn acquire_lease(
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
            return (None, Reply::Busy { wait_ms: BUSY_RETRY_MS });
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
        // Counted before it is sent, so that a crash cannot hide the use.
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

fn release_lease(
    state: &SessionState,
    now_ms: u64,
    fencing_token: u64,
    outcome: Outcome,
) -> (Option<SessionState>, Reply) {
    let (Some(lease), true) = (&state.lease, fencing_token == state.fencing_token) else {
        // The latest lease was released already, and the answer was lost.
        let was_released = fencing_token == state.fencing_token && fencing_token > 0;
        let again = Reply::Active { generation: state.generation, record: None };
        return (None, if was_released { again } else { Reply::Superseded });
    };
    // An expired lease is good as long as no other writer got one.
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
