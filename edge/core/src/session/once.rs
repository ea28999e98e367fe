//! What may be used once: a logout token's `jti`.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// The machine: remembers that something was used for as long as it could be used again.
#[derive(Debug)]
pub struct OnceMachine;

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Until when it is remembered, in Unix milliseconds.
    pub until_ms: u64,
}

/// Use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// From when on its use is refused for other reasons, in Unix milliseconds.
    pub until_ms: u64,
}

/// Whether that was the first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claimed {
    /// It was.
    First,
    /// It was used before.
    Repeat,
}

impl Machine for OnceMachine {
    const KIND: &'static str = "once";
    type State = Used;
    type Command = Claim;
    type Reply = Claimed;

    fn apply(state: Option<&Used>, now_ms: u64, Claim { until_ms }: Claim) -> (Option<Used>, Claimed) {
        match state {
            Some(used) if now_ms < used.until_ms => (None, Claimed::Repeat),
            _ => (Some(Used { until_ms }), Claimed::First),
        }
    }

    fn forget_at_ms(state: &Used) -> u64 {
        state.until_ms
    }
}
