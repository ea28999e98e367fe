//! The life of a session: its use, its redemption by a page of another site, and its end.

use super::{
    reply::{GONE, LastRecord, Reply},
    stored::SessionState,
};

/// How long a session that was ended before it was created is remembered, in milliseconds.
const ENDED_UNCREATED_MS: u64 = 60 * 60 * 1000;
/// How many times within the idle limit the last use is stored, instead of at each request.
const USES_STORED_PER_IDLE_LIMIT: u64 = 20;

/// Ends the session. The reply is the same if it had ended before, except for the record.
pub(super) fn revoke(state: Option<&SessionState>, now_ms: u64) -> (Option<SessionState>, Reply) {
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

/// Makes a session live that was created for a page of another site. A second redemption ends it.
pub(super) fn redeem(state: &SessionState, now_ms: u64) -> (Option<SessionState>, Reply) {
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

/// The state with this use, if it is time to store one.
pub(super) fn with_use(state: &SessionState, now_ms: u64) -> Option<SessionState> {
    let is_due = now_ms.saturating_sub(state.used_at_ms) > state.idle_limit_ms / USES_STORED_PER_IDLE_LIMIT;
    is_due.then(|| SessionState { used_at_ms: now_ms, ..state.clone() })
}
