//! What may be used once: a logout token's `jti`, a sign-in's `state`.
//!
//! A token's use is claimed for a short while, so that of two at once only one goes on, and settled when what it was for is
//! done. A use that failed is settled as none; one that was broken off lapses. So the same token can be sent again until
//! it has worked, and no longer; while nobody knows yet, whoever sends it is told to come back.
//!
//! A sign-in's use is claimed for as long as the sign-in can last and never settled: the provider takes its code once, so
//! whatever came of it, there is nothing to try again.

use serde::{Deserialize, Serialize};

use super::index::digest;
use crate::runtime::machine::Machine;

/// Names what may be used once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayGuardName(String);

impl ReplayGuardName {
    /// A token, by the id that its issuer gave it.
    #[must_use]
    pub fn jti(issuer: &str, jti: &str) -> Self {
        Self(digest(&[b"jti", issuer.as_bytes(), jti.as_bytes()]))
    }

    /// A sign-in under way, by its `state`. Each is drawn by ourselves, so no provider's can be another's.
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

/// The machine: remembers that something was used for as long as it could be used again.
#[derive(Debug)]
pub struct ReplayGuardMachine;

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Until when it is remembered, in Unix milliseconds.
    pub until_ms: u64,
    /// Whether that is only a claim.
    #[serde(default)]
    pub claimed: bool,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Use it.
    Claim {
        /// How long the claim holds, in milliseconds.
        for_ms: u64,
    },
    /// Say what came of the use.
    Settle {
        /// How long it still counts as used, in milliseconds: until every isolate refuses it for other reasons, or 0 if it
        /// was not used after all.
        for_ms: u64,
    },
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It had not been used.
    First,
    /// Somebody claimed it, and has not said what came of it.
    Claimed,
    /// It was used before.
    Repeat,
}

impl Machine for ReplayGuardMachine {
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
    fn a_use_is_claimed_by_one_and_can_be_tried_again_until_it_worked() {
        let (used, reply) = ReplayGuardMachine::apply(None, 0, Command::Claim { for_ms: 20 });
        assert_eq!(reply, Reply::First);
        let claim =
            |used: Option<&Used>, now_ms| ReplayGuardMachine::apply(used, now_ms, Command::Claim { for_ms: 20 }).1;
        assert_eq!(claim(used.as_ref(), 19), Reply::Claimed);
        assert_eq!(claim(used.as_ref(), 20), Reply::First, "whoever claimed it broke off");
        let (failed, _) = ReplayGuardMachine::apply(used.as_ref(), 5, Command::Settle { for_ms: 0 });
        assert_eq!(claim(failed.as_ref(), 6), Reply::First);
        let (done, _) = ReplayGuardMachine::apply(used.as_ref(), 5, Command::Settle { for_ms: 95 });
        assert_eq!(claim(done.as_ref(), 99), Reply::Repeat);
    }
}
