//! Small state machines at the coordinator. They hold the truth about sessions, session indexes, single-use values and the
//! refresh of signing keys. A runtime stores a machine's state under a name and runs one command at a time on it; the
//! machine decides what a command does.
//!
//! A runtime with objects that run one command at a time calls `coordinator::dispatch`. A runtime with a compare-and-set
//! store implements [`CompareAndSet`] and calls [`run_on`].

use std::future::Future;

use serde::{Serialize, de::DeserializeOwned};

use super::{dependency::Dependency, unavailable::Unavailable};

/// The coordinator's name in errors.
pub(crate) const DEPENDENCY: Dependency = Dependency::Coordinator;
/// How often a command is retried when another one changed the state in between.
const MAX_ATTEMPTS: usize = 16;
/// The shortest lifetime of a stored state, in milliseconds.
pub(crate) const MIN_KEPT_MS: u64 = 1000;

/// A kind of state machine.
pub trait Machine {
    /// The kind's name in stores.
    const KIND: &'static str;
    /// The stored state.
    type State: Serialize + DeserializeOwned;
    /// The commands.
    type Command: Serialize + DeserializeOwned + Clone;
    /// The replies.
    type Reply: Serialize + DeserializeOwned;

    /// Runs a command. Returns the state to store, if it changed, and the reply.
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
/// The stored state does not belong to this machine.
pub fn step<M: Machine>(
    stored: Option<&str>,
    now_ms: u64,
    command: M::Command,
) -> Result<(Option<Store>, M::Reply), Unavailable> {
    let broken = |error: serde_json::Error| Unavailable::new(DEPENDENCY, error);
    let current: Option<M::State> = stored.map(serde_json::from_str).transpose().map_err(broken)?;
    let (changed, reply) = M::apply(current.as_ref(), now_ms, command);
    let store = match changed {
        Some(state) => {
            Some(Store {
                state: serde_json::to_string(&state).map_err(broken)?,
                // Stores reject an expiry in the past.
                forget_at_ms: M::forget_at_ms(&state).max(now_ms.saturating_add(MIN_KEPT_MS)),
            })
        }
        None => None,
    };
    Ok((store, reply))
}

/// A store that sets a value only if it is unchanged since it was read.
pub trait CompareAndSet {
    /// The value of a key, empty if it is absent, and the store's own time in Unix milliseconds, so that leases do not
    /// depend on the clocks of isolates.
    ///
    /// # Errors
    /// The store did not answer.
    fn read(&self, key: &str) -> impl Future<Output = Result<(String, u64), Unavailable>>;
    /// Sets the value if it still is `expected` (empty: if the key is absent). Returns whether it did.
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

/// Runs a command on a compare-and-set store.
///
/// # Errors
/// The store did not answer, or other commands kept changing the state.
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
    Err(Unavailable::new(DEPENDENCY, "too much at once"))
}
