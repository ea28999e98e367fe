//! The write lease of a session, and the count of uses of refresh tokens.
//!
//! Writing is exclusive, by a lease with a fencing token: a refresh token is sent by one isolate at a time, and a
//! writer whose lease has passed to another one can no longer store anything. Each use of a refresh token is counted
//! here *before* it is sent, so that the next writer knows of a crash between sending and storing. Leases run by the
//! coordinator's own clock.

use super::{
    command::{Consumption, Outcome},
    reply::{GONE, Reply},
    stored::{Lease, SessionState},
};

/// How long a lease lasts, in milliseconds. Longer than a refresh may take, see `sign_in::refresh`.
pub const LEASE_MS: u64 = 40 * 1000;
/// How soon to ask again while another writer has the lease, in milliseconds.
pub(super) const BUSY_RETRY_MS: u64 = 150;
/// How long after a refresh for a refused token the next refusal costs no refresh, in milliseconds. An upstream that
/// answers 401 to everything, or to one path, must not make its callers exhaust refresh tokens or the provider's
/// limits.
pub(super) const REFUSAL_PAUSE_MS: u64 = 60 * 1000;

/// Gives the caller the lease, unless another writer has it, the caller's record is stale, or the refresh token must
/// wait.
pub(super) fn acquire_lease(
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

/// Takes the lease back and stores its outcome, unless another writer got a lease in the meantime.
pub(super) fn release_lease(
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
    // An expired lease is valid until another writer gets one.
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
