//! Keys fetched out of turn, because a token was signed by one that nobody knew: once a minute in a whole deployment,
//! however many isolates meet such tokens (M43, S42, S125).
//!
//! Who comes first claims the fetch at the coordinator and leaves there what came of it; the others take it from there,
//! for the key-value store may not show it to them for a minute. A claim whose holder was cut off lapses, so a key that
//! has just come into use is refused for no longer than it takes to fetch it twice (S52).

use serde::{Deserialize, Serialize};

use crate::runtime::machine::Machine;

/// How long after one claim there is no other, in milliseconds.
pub const COOL_DOWN_MS: u64 = 60 * 1000;
/// The same after one whose fetch failed.
pub const FAILED_MS: u64 = 30 * 1000;
/// How long a claim holds without a word of what came of it: a little longer than a fetch may take.
pub const LEASE_MS: u64 = 12 * 1000;

/// The machine of one key set.
#[derive(Debug)]
pub struct JwksRefreshLockMachine;

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// When, in Unix milliseconds; names the claim, too.
    pub at_ms: u64,
    /// Until when there is no other, in Unix milliseconds.
    pub until_ms: u64,
    /// What came of it, once that is known.
    pub outcome: Option<Outcome>,
}

/// What came of a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Keys: sealed, in base64url.
    Fetched(String),
    /// Nothing.
    Failed,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Fetch, or have what somebody else has just fetched.
    Claim,
    /// Say what came of a claim.
    Settle {
        /// Which claim.
        at_ms: u64,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Fetch.
    Yours {
        /// Names the claim.
        at_ms: u64,
    },
    /// Somebody else fetches, or has.
    Theirs {
        /// What came of it; `None` if that is not known yet.
        outcome: Option<Outcome>,
        /// For how much longer nobody else may, in milliseconds.
        wait_ms: u64,
    },
    /// Noted, unless the claim had lapsed and was another's by then.
    Settled,
}

impl Machine for JwksRefreshLockMachine {
    const KIND: &'static str = "refetch";
    type State = Claimed;
    type Command = Command;
    type Reply = Reply;

    fn apply(state: Option<&Claimed>, now_ms: u64, command: Command) -> (Option<Claimed>, Reply) {
        match (command, state) {
            (Command::Claim, Some(claimed)) if (claimed.at_ms..claimed.until_ms).contains(&now_ms) => {
                let wait_ms = claimed.until_ms.saturating_sub(now_ms);
                (None, Reply::Theirs { outcome: claimed.outcome.clone(), wait_ms })
            }
            (Command::Claim, _) => {
                let until_ms = now_ms.saturating_add(LEASE_MS);
                (Some(Claimed { at_ms: now_ms, until_ms, outcome: None }), Reply::Yours { at_ms: now_ms })
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
    fn s42_one_fetches_and_the_others_have_what_it_brought_until_the_minute_is_over() {
        let state = &mut None;
        assert_eq!(step(state, 5, Command::Claim), Reply::Yours { at_ms: 5 });
        assert_eq!(step(state, 6, Command::Claim), Reply::Theirs { outcome: None, wait_ms: LEASE_MS - 1 });
        let outcome = Outcome::Fetched("keys".to_owned());
        step(state, 900, Command::Settle { at_ms: 5, outcome: outcome.clone() });
        let theirs = |wait_ms| Reply::Theirs { outcome: Some(outcome.clone()), wait_ms };
        assert_eq!(step(state, 901, Command::Claim), theirs(COOL_DOWN_MS - 896));
        assert_eq!(step(state, COOL_DOWN_MS + 4, Command::Claim), theirs(1));
        assert_eq!(step(state, COOL_DOWN_MS + 5, Command::Claim), Reply::Yours { at_ms: COOL_DOWN_MS + 5 });
    }

    #[test]
    fn a_claim_of_somebody_who_was_cut_off_lapses_and_settles_nothing_later() {
        let state = &mut None;
        step(state, 0, Command::Claim);
        assert_eq!(step(state, LEASE_MS, Command::Claim), Reply::Yours { at_ms: LEASE_MS });
        step(state, LEASE_MS + 1, Command::Settle { at_ms: 0, outcome: Outcome::Failed });
        assert_eq!(state.as_ref().unwrap().outcome, None);
        step(state, LEASE_MS + 2, Command::Settle { at_ms: LEASE_MS, outcome: Outcome::Failed });
        assert_eq!(step(state, LEASE_MS + FAILED_MS, Command::Claim), Reply::Yours { at_ms: LEASE_MS + FAILED_MS });
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let state = &mut None;
        step(state, 1_000_000, Command::Claim);
        assert_eq!(step(state, 0, Command::Claim), Reply::Yours { at_ms: 0 });
    }
}
