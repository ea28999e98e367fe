//! Small state machines at the coordinator: the only truth there is about a session, an index of sessions, a token that
//! may be used once, a fetch that one does for all. A runtime stores a machine's state under its name and runs one command at a time on it; what a
//! command does is decided by the machine.
//!
//! A runtime with objects that run one thing at a time calls [`dispatch`]; one with a store that compares and sets
//! implements [`CompareAndSet`] and calls [`run_on`].

use std::future::Future;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    oauth::refetch::RefetchMachine,
    platform::Unavailable,
    session::{coordinator::SessionMachine, index::IndexMachine, once::OnceMachine},
};

/// Its name in errors.
const PART: &str = "coordinator";
/// How often a command is decided anew when another one came between.
const MAX_ATTEMPTS: usize = 16;
/// How long a state is kept at least, in milliseconds.
const MIN_KEPT_MS: u64 = 1000;

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

/// [`step`] for a runtime that has kind, command and reply as text only.
///
/// # Errors
/// No such kind, or text that is not what it must be.
pub fn dispatch(
    kind: &str,
    stored: Option<&str>,
    now_ms: u64,
    command: &str,
) -> Result<(Option<Store>, String), Unavailable> {
    match kind {
        SessionMachine::KIND => dispatch_to::<SessionMachine>(stored, now_ms, command),
        IndexMachine::KIND => dispatch_to::<IndexMachine>(stored, now_ms, command),
        RefetchMachine::KIND => dispatch_to::<RefetchMachine>(stored, now_ms, command),
        OnceMachine::KIND => dispatch_to::<OnceMachine>(stored, now_ms, command),
        _ => Err(Unavailable::new(PART, "no such kind")),
    }
}

fn dispatch_to<M: Machine>(
    stored: Option<&str>,
    now_ms: u64,
    command: &str,
) -> Result<(Option<Store>, String), Unavailable> {
    let broken = |error: serde_json::Error| Unavailable::new(PART, error);
    let (store, reply) = step::<M>(stored, now_ms, serde_json::from_str(command).map_err(broken)?)?;
    Ok((store, serde_json::to_string(&reply).map_err(broken)?))
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::{
        session::once::{Command, Reply},
        simulated::run,
    };

    /// A value in memory; others write to it a number of times just before we do.
    struct Contended {
        value: RefCell<String>,
        rivals: Cell<usize>,
    }

    impl CompareAndSet for Contended {
        async fn read(&self, _key: &str) -> Result<(String, u64), Unavailable> {
            Ok((self.value.borrow().clone(), 5))
        }

        async fn set_if(&self, _key: &str, expected: &str, value: &str, _forget: u64) -> Result<bool, Unavailable> {
            if let Some(left) = self.rivals.get().checked_sub(1) {
                self.rivals.set(left);
                let (store, _) = step::<OnceMachine>(None, left as u64, Command::Claim { for_ms: 10 })?;
                *self.value.borrow_mut() = store.unwrap().state;
            }
            let same = *self.value.borrow() == expected;
            if same {
                *self.value.borrow_mut() = value.to_owned();
            }
            Ok(same)
        }
    }

    fn claim(rivals: usize) -> Result<Reply, Unavailable> {
        let store = Contended { value: RefCell::default(), rivals: Cell::new(rivals) };
        run(run_on::<OnceMachine>(&store, "x", Command::Claim { for_ms: 95 }))
    }

    /// S151: an absent key is compared, too, so of two creators one loses.
    #[test]
    fn s151_of_two_creators_one_loses() {
        assert_eq!(claim(0), Ok(Reply::First));
        assert_eq!(claim(1), Ok(Reply::Claimed));
    }

    #[test]
    fn dispatching_text_is_the_same_as_calling() {
        let (store, reply) = dispatch("once", None, 0, r#"{"claim":{"for_ms":9}}"#).unwrap();
        assert_eq!((store.unwrap().forget_at_ms, reply.as_str()), (MIN_KEPT_MS, r#""first""#));
        assert!(dispatch("once", None, 0, "{}").is_err());
        assert!(dispatch("once", Some("junk"), 0, r#"{"claim":{"for_ms":9}}"#).is_err());
        assert!(dispatch("nope", None, 0, "{}").is_err());
    }
}
