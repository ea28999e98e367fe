//! Small state machines at the coordinator: the only truth there is about a session, an index of sessions, a token that
//! may be used once, a fetch that one does for all. A runtime stores a machine's state under its name and runs one command at a time on it; what a
//! command does is decided by the machine.
//!
//! A runtime with objects that run one thing at a time calls [`dispatch`]; one with a store that compares and sets
//! implements [`CompareAndSet`] and calls [`run_on`].

use std::future::Future;

use serde::{Serialize, de::DeserializeOwned};

use super::unavailable::Unavailable;

/// Its name in errors.
pub(crate) const PART: &str = "coordinator";
/// How often a command is decided anew when another one came between.
const MAX_ATTEMPTS: usize = 16;
/// How long a state is kept at least, in milliseconds.
pub(crate) const MIN_KEPT_MS: u64 = 1000;

/// A kind of state machine.
pub trait Machine {
    /// Names the kind to stores.
    const KIND: &'static str;
    /// What is stored.
    type State: Serialize + DeserializeOwned;
    /// What can be asked.
    type Command: Serialize + DeserializeOwned + Clone;
    /// What is answered.
    type Reply: Serialize + DeserializeOwned;

    /// Runs a command. Returns the state to store, if it changed, and the answer.
    fn apply(state: Option<&Self::State>, now_ms: u64, command: Self::Command) -> (Option<Self::State>, Self::Reply);

    /// When the state may be forgotten, in Unix milliseconds.
    fn forget_at_ms(state: &Self::State) -> u64;
}

/// A state to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The state as JSON.
    pub state: String,
    /// When it may be forgotten, in Unix milliseconds.
    pub forget_at_ms: u64,
}

/// One command on a stored state.
///
/// # Errors
/// The stored state is not one of this machine's.
pub fn step<M: Machine>(
    stored: Option<&str>,
    now_ms: u64,
    command: M::Command,
) -> Result<(Option<Store>, M::Reply), Unavailable> {
    let broken = |error: serde_json::Error| Unavailable::new(PART, error);
    let current: Option<M::State> = stored.map(serde_json::from_str).transpose().map_err(broken)?;
    let (changed, reply) = M::apply(current.as_ref(), now_ms, command);
    let store = match changed {
        Some(state) => {
            Some(Store {
                state: serde_json::to_string(&state).map_err(broken)?, // Stores refuse an end in the past.
                forget_at_ms: M::forget_at_ms(&state).max(now_ms.saturating_add(MIN_KEPT_MS)),
            })
        }
        None => None,
    };
    Ok((store, reply))
}

/// A store that sets a value only if it is still what was read.
pub trait CompareAndSet {
    /// The value of a key, empty if there is none, and the store's own time in Unix milliseconds: leases must not
    /// depend on whose clock is right.
    ///
    /// # Errors
    /// The store did not answer.
    fn read(&self, key: &str) -> impl Future<Output = Result<(String, u64), Unavailable>>;
    /// Sets the value if it still is `expected` (empty: if there is none). Tells whether it did.
    ///
    /// # Errors
    /// The store did not answer; whether the value was set is unknown.
    fn set_if(
        &self,
        key: &str,
        expected: &str,
        value: &str,
        forget_at_ms: u64,
    ) -> impl Future<Output = Result<bool, Unavailable>>;
}

/// Runs a command on a store that compares and sets.
///
/// # Errors
/// The store did not answer, or others came between too often.
pub async fn run_on<M: Machine>(
    store: &impl CompareAndSet,
    name: &str,
    command: M::Command,
) -> Result<M::Reply, Unavailable> {
    let key = format!("causeway:{}:{name}", M::KIND);
    for _ in 0..MAX_ATTEMPTS {
        let (stored, now_ms) = store.read(&key).await?;
        let current = (!stored.is_empty()).then_some(stored.as_str());
        let (changed, reply) = step::<M>(current, now_ms, command.clone())?;
        let Some(Store { state, forget_at_ms }) = changed else { return Ok(reply) };
        if store.set_if(&key, &stored, &state, forget_at_ms).await? {
            return Ok(reply);
        }
    }
    Err(Unavailable::new(PART, "too much at once"))
}
