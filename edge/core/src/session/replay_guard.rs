//! Values that may be used once: a logout token's `jti`, a sign-in's `state`.
//!
//! A logout token is claimed for a short time, so of concurrent uses one wins, and settled when its work is done. A failed
//! use is settled as unused, and an interrupted one expires. So a token can be sent again until it has worked, and not
//! after; while it is claimed, its sender is asked to retry.
//!
//! A sign-in is claimed for as long as it can last and never settled: the provider accepts its authorization code once,
//! so there is nothing to retry.

use serde::{Deserialize, Serialize};

use super::index::digest;
use crate::runtime::machine::Machine;

/// The name of a value that may be used once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayGuardName(String);

impl ReplayGuardName {
    /// A token, by its issuer's id of it.
    #[must_use]
    pub fn jti(issuer: &str, jti: &str) -> Self {
        Self(digest(&[b"jti", issuer.as_bytes(), jti.as_bytes()]))
    }

    /// A sign-in in progress, by its `state`. The edge draws it, so no two providers' sign-ins share one.
    #[must_use]
    pub fn state(state: &str) -> Self {
        Self(digest(&[b"state", state.as_bytes()]))
    }

    /// Its text, for stores.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Remembers a use for as long as the value could be used again.
#[derive(Debug)]
pub struct ReplayGuardMachine;

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Until when the use is remembered, in Unix milliseconds.
    pub until_ms: u64,
    /// Whether the use is claimed and not settled.
    #[serde(default)]
    pub claimed: bool,
}

/// The commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Claim the use.
    Claim {
        /// How long the claim holds, in milliseconds.
        for_ms: u64,
    },
    /// Settle the claim.
    Settle {
        /// How long the value counts as used, in milliseconds: until every isolate rejects it as expired, or 0 if it was not
        /// used after all.
        for_ms: u64,
    },
}

/// The answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was not used before.
    First,
    /// It is claimed and not settled.
    Claimed,
    /// It was used before.
    Repeat,
}

impl Machine for ReplayGuardMachine {
    // In the keys of stored states: keep it.
    const KIND: &'static str = "once";
    type State = Used;
    type Command = Command;
    type Reply = Reply;

    fn apply(state: Option<&Used>, now_ms: u64, command: Command) -> (Option<Used>, Reply) {
        let found = match state.filter(|used| now_ms < used.until_ms) {
            None => Reply::First,
            Some(Used { claimed: true, .. }) => Reply::Claimed,
            Some(_) => Reply::Repeat,
        };
        match command {
            Command::Claim { .. } if found != Reply::First => (None, found),
            Command::Claim { for_ms } => (Some(Used { until_ms: now_ms.saturating_add(for_ms), claimed: true }), found),
            Command::Settle { for_ms } => {
                (Some(Used { until_ms: now_ms.saturating_add(for_ms), claimed: false }), found)
            }
        }
    }

    fn forget_at_ms(state: &Used) -> u64 {
        state.until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_concurrent_uses_wins_and_a_failed_use_can_be_retried() {
        let (used, reply) = ReplayGuardMachine::apply(None, 0, Command::Claim { for_ms: 20 });
        assert_eq!(reply, Reply::First);
        let claim =
            |used: Option<&Used>, now_ms| ReplayGuardMachine::apply(used, now_ms, Command::Claim { for_ms: 20 }).1;
        assert_eq!(claim(used.as_ref(), 19), Reply::Claimed);
        assert_eq!(claim(used.as_ref(), 20), Reply::First, "an interrupted use expires");
        let (failed, _) = ReplayGuardMachine::apply(used.as_ref(), 5, Command::Settle { for_ms: 0 });
        assert_eq!(claim(failed.as_ref(), 6), Reply::First);
        let (done, _) = ReplayGuardMachine::apply(used.as_ref(), 5, Command::Settle { for_ms: 95 });
        assert_eq!(claim(done.as_ref(), 99), Reply::Repeat);
    }
}
