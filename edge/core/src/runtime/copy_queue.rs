//! The queue of a request's changes of copies, see [`super::copy`].

use std::{cell::RefCell, time::Duration};

use super::telemetry::Event;

/// Most changes that a request leaves for after its answer. It waits for any further ones.
const MAX_QUEUED: usize = 16;

/// A change of a copy.
#[derive(Debug)]
pub(crate) struct CopyChange {
    pub(super) key: String,
    /// The new copy and its lifetime; `None` deletes the copy.
    pub(super) copy: Option<(Vec<u8>, Duration)>,
    /// Logged if the change fails.
    pub(super) failure: Event,
}

impl CopyChange {
    /// A new copy.
    pub(crate) fn put(key: String, copy: Vec<u8>, ttl: Duration, failure: Event) -> Self {
        Self { key, copy: Some((copy, ttl)), failure }
    }

    /// The end of a copy.
    pub(crate) fn delete(key: String, failure: Event) -> Self {
        Self { key, copy: None, failure }
    }
}

/// The changes that a request has queued.
#[derive(Debug, Default)]
pub struct CopyQueue(RefCell<Vec<CopyChange>>);

impl CopyQueue {
    /// Adds a change. It replaces an earlier one of the same copy. A full queue returns the change.
    pub(super) fn push(&self, change: CopyChange) -> Result<(), CopyChange> {
        let mut queued = self.0.borrow_mut();
        queued.retain(|earlier| earlier.key != change.key);
        if queued.len() >= MAX_QUEUED {
            return Err(change);
        }
        queued.push(change);
        Ok(())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(super) fn take(&self) -> Vec<CopyChange> {
        self.0.take()
    }
}
