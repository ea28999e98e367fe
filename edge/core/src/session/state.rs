//! The state machine of one session: whether it is live, its sealed record, and who may write it.
//!
//! - `stored`: the state that is stored
//! - `command`, `reply`: the commands and the replies
//! - `lifetime`: use, redemption and end
//! - `lease`: the write lease, with the uses of refresh tokens

mod command;
mod lease;
mod lifetime;
mod reply;
mod stored;

pub use self::{
    command::{Command, Consumption, Outcome},
    lease::LEASE_MS,
    reply::{LastRecord, Reply},
    stored::{Lease, SessionState, TokenUse},
};
use self::{
    lease::{acquire_lease, release_lease},
    lifetime::{redeem, revoke, with_use},
    reply::GONE,
};
use crate::runtime::machine::Machine;

/// How much longer than its longest lifetime an ended session is remembered, so that a late write cannot revive it.
const TOMBSTONE_MARGIN_MS: u64 = 10 * 60 * 1000;

/// The state machine of one session.
#[derive(Debug)]
pub struct SessionMachine;

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

#[cfg(test)]
mod tests;
