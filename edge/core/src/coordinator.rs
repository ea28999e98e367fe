//! Dispatch of commands to the state machines, for runtimes that pass kind, state and command as text.

use crate::{
    oauth::jwks_refresh_lock::JwksRefreshLockMachine,
    runtime::{
        machine::{DEPENDENCY, Machine, Store, step},
        unavailable::Unavailable,
    },
    session::{index::IndexMachine, replay_guard::ReplayGuardMachine, state::SessionMachine},
};

/// [`step`] for a runtime that has kind, command and reply as text only.
///
/// # Errors
/// An unknown kind, or malformed text.
pub fn dispatch(
    kind: &str,
    stored: Option<&str>,
    now_ms: u64,
    command: &str,
) -> Result<(Option<Store>, String), Unavailable> {
    match kind {
        SessionMachine::KIND => dispatch_to::<SessionMachine>(stored, now_ms, command),
        IndexMachine::KIND => dispatch_to::<IndexMachine>(stored, now_ms, command),
        JwksRefreshLockMachine::KIND => dispatch_to::<JwksRefreshLockMachine>(stored, now_ms, command),
        ReplayGuardMachine::KIND => dispatch_to::<ReplayGuardMachine>(stored, now_ms, command),
        _ => Err(Unavailable::new(DEPENDENCY, "no such kind")),
    }
}

fn dispatch_to<M: Machine>(
    stored: Option<&str>,
    now_ms: u64,
    command: &str,
) -> Result<(Option<Store>, String), Unavailable> {
    let broken = |error: serde_json::Error| Unavailable::new(DEPENDENCY, error);
    let (store, reply) = step::<M>(stored, now_ms, serde_json::from_str(command).map_err(broken)?)?;
    Ok((store, serde_json::to_string(&reply).map_err(broken)?))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::{
        runtime::machine::{CompareAndSet, MIN_KEPT_MS, run_on},
        session::replay_guard::{Command, Reply},
        testing::run::run,
    };

    /// A value in memory that rivals write a number of times, each just before a compare-and-set.
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
                let (store, _) = step::<ReplayGuardMachine>(None, left as u64, Command::Claim { for_ms: 10 })?;
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
        run(run_on::<ReplayGuardMachine>(&store, "x", Command::Claim { for_ms: 95 }))
    }

    /// S151: an absent key is compared, too, so of two concurrent creations one loses.
    #[test]
    fn s151_of_two_concurrent_creations_one_loses() {
        assert_eq!(claim(0), Ok(Reply::First));
        assert_eq!(claim(1), Ok(Reply::Claimed));
    }

    #[test]
    fn dispatch_of_text_equals_a_typed_call() {
        let (store, reply) = dispatch("once", None, 0, r#"{"claim":{"for_ms":9}}"#).unwrap();
        assert_eq!((store.unwrap().forget_at_ms, reply.as_str()), (MIN_KEPT_MS, r#""first""#));
        assert!(dispatch("once", None, 0, "{}").is_err());
        assert!(dispatch("once", Some("junk"), 0, r#"{"claim":{"for_ms":9}}"#).is_err());
        assert!(dispatch("nope", None, 0, "{}").is_err());
    }
}
