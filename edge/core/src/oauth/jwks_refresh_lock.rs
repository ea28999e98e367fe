//! The lock on early refreshes of a provider's keys. A token signed by an unknown key causes one, but a whole deployment
//! makes one a minute at most, however many isolates receive such tokens (M43, S42, S125).
//!
//! The first isolate claims the fetch at the coordinator and leaves the outcome there. The others take it from there,
//! because the key-value store may show it to them a minute late. A claim whose holder was cut off lapses, so a new key is
//! unknown for no longer than two fetches take (S52).

use serde::{Deserialize, Serialize};

use crate::runtime::machine::Machine;

/// Time from a claim to the next one, in milliseconds.
pub const COOL_DOWN_MS: u64 = 60 * 1000;
/// The same if the fetch failed.
pub const FAILED_MS: u64 = 30 * 1000;
/// How long a claim holds without an outcome, in milliseconds: a little longer than a fetch may take.
pub const LEASE_MS: u64 = 12 * 1000;

/// The lock of one key set.
#[derive(Debug)]
pub struct JwksRefreshLockMachine;

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// When it was claimed, in Unix milliseconds. Also identifies the claim.
    pub at_ms: u64,
    /// When the next claim is possible, in Unix milliseconds.
    pub until_ms: u64,
    /// The outcome, once it is known.
    pub outcome: Option<Outcome>,
}

/// The outcome of a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The keys, sealed, in base64url.
    Fetched(String),
    /// No keys.
    Failed,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Asks to fetch, or for what another isolate has just fetched.
    Claim,
    /// Leaves the outcome of a claim.
    Settle {
        /// Identifies the claim.
        at_ms: u64,
        /// The outcome.
        outcome: Outcome,
    },
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The caller fetches.
    Granted {
        /// Identifies the claim.
        at_ms: u64,
    },
    /// Another isolate fetches, or has fetched.
    Held {
        /// The outcome; `None` if it is not known yet.
        outcome: Option<Outcome>,
        /// Time until the next claim is possible, in milliseconds.
        wait_ms: u64,
    },
    /// The outcome is stored, unless the claim had lapsed and another isolate held it.
    Settled,
}

impl Machine for JwksRefreshLockMachine {
    // In the keys of stored states: keep it.
    const KIND: &'static str = "refetch";
    type State = Claimed;
    type Command = Command;
    type Reply = Reply;

    fn apply(state: Option<&Claimed>, now_ms: u64, command: Command) -> (Option<Claimed>, Reply) {
        match (command, state) {
            (Command::Claim, Some(claimed)) if (claimed.at_ms..claimed.until_ms).contains(&now_ms) => {
                let wait_ms = claimed.until_ms.saturating_sub(now_ms);
                (None, Reply::Held { outcome: claimed.outcome.clone(), wait_ms })
            }
            (Command::Claim, _) => {
                let until_ms = now_ms.saturating_add(LEASE_MS);
                (Some(Claimed { at_ms: now_ms, until_ms, outcome: None }), Reply::Granted { at_ms: now_ms })
            }
            (Command::Settle { at_ms, outcome }, Some(claimed)) if claimed.at_ms == at_ms => {
                let span_ms = match outcome {
                    Outcome::Fetched(_) => COOL_DOWN_MS,
                    Outcome::Failed => FAILED_MS,
                };
                let until_ms = at_ms.saturating_add(span_ms);
                (Some(Claimed { at_ms, until_ms, outcome: Some(outcome) }), Reply::Settled)
            }
            (Command::Settle { .. }, _) => (None, Reply::Settled),
        }
    }

    fn forget_at_ms(state: &Claimed) -> u64 {
        state.until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(state: &mut Option<Claimed>, now_ms: u64, command: Command) -> Reply {
        let (changed, reply) = JwksRefreshLockMachine::apply(state.as_ref(), now_ms, command);
        *state = changed.or(state.take());
        reply
    }

    #[test]
    fn s42_one_isolate_fetches_and_the_others_get_its_keys_for_a_minute() {
        let state = &mut None;
        assert_eq!(step(state, 5, Command::Claim), Reply::Granted { at_ms: 5 });
        assert_eq!(step(state, 6, Command::Claim), Reply::Held { outcome: None, wait_ms: LEASE_MS - 1 });
        let outcome = Outcome::Fetched("keys".to_owned());
        step(state, 900, Command::Settle { at_ms: 5, outcome: outcome.clone() });
        let held = |wait_ms| Reply::Held { outcome: Some(outcome.clone()), wait_ms };
        assert_eq!(step(state, 901, Command::Claim), held(COOL_DOWN_MS - 896));
        assert_eq!(step(state, COOL_DOWN_MS + 4, Command::Claim), held(1));
        assert_eq!(step(state, COOL_DOWN_MS + 5, Command::Claim), Reply::Granted { at_ms: COOL_DOWN_MS + 5 });
    }

    #[test]
    fn claim_of_a_cut_off_holder_lapses_and_can_no_longer_be_settled() {
        let state = &mut None;
        step(state, 0, Command::Claim);
        assert_eq!(step(state, LEASE_MS, Command::Claim), Reply::Granted { at_ms: LEASE_MS });
        step(state, LEASE_MS + 1, Command::Settle { at_ms: 0, outcome: Outcome::Failed });
        assert_eq!(state.as_ref().unwrap().outcome, None);
        step(state, LEASE_MS + 2, Command::Settle { at_ms: LEASE_MS, outcome: Outcome::Failed });
        assert_eq!(step(state, LEASE_MS + FAILED_MS, Command::Claim), Reply::Granted { at_ms: LEASE_MS + FAILED_MS });
    }

    #[test]
    fn clock_that_was_set_back_does_not_block_claims() {
        let state = &mut None;
        step(state, 1_000_000, Command::Claim);
        assert_eq!(step(state, 0, Command::Claim), Reply::Granted { at_ms: 0 });
    }
}
