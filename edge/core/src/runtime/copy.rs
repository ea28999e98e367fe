//! Copies in the key-value store, which no answer waits for. A copy saves time and decides nothing, so a request queues what
//! it changes in the store, and the change is made after the answer.
//!
//! If the isolate ends before that, or changes of two requests overtake each other, the store lacks a copy or has an older
//! one, as a stale store does anyway. Every reader checks a copy: a session's against the coordinator's generation, other
//! copies by their age.

use std::{cell::RefCell, time::Duration};

use futures_util::future::join_all;

use super::{clock::within, dependency::Dependency, platform::Platform, telemetry::Event};

/// Most changes that a request leaves for after its answer. It waits for any further ones.
const MAX_QUEUED: usize = 16;
/// How long the store may take for a change.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// A change of a copy.
#[derive(Debug)]
pub(crate) struct CopyChange {
    key: String,
    /// The new copy and its lifetime; `None` deletes the copy.
    copy: Option<(Vec<u8>, Duration)>,
    /// Logged if the change fails.
    failure: Event,
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

    /// Leaves the change for after the answer. Makes it now if the platform has no queue, or a full one.
    pub(crate) async fn queue(self, platform: &impl Platform) {
        let refused = match platform.copy_queue() {
            Some(queue) => queue.push(self),
            None => Err(self),
        };
        if let Err(change) = refused {
            change.make(platform).await;
        }
    }

    async fn make(self, platform: &impl Platform) {
        let Self { key, copy, failure } = self;
        let change = async {
            match copy {
                Some((copy, ttl)) => platform.put(&key, &copy, ttl).await,
                None => platform.delete(&key).await,
            }
        };
        if let Err(error) = within(platform, STORE_TIMEOUT, Dependency::KeyValue, change).await {
            failure.with("detail", &error).write(platform);
        }
    }
}

/// The changes that a request has queued.
#[derive(Debug, Default)]
pub struct CopyQueue(RefCell<Vec<CopyChange>>);

impl CopyQueue {
    /// Adds a change. It replaces an earlier one of the same copy.
    fn push(&self, change: CopyChange) -> Result<(), CopyChange> {
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

    /// Makes the changes.
    pub(crate) async fn make_all(&self, platform: &impl Platform) {
        let queued = self.0.take();
        join_all(queued.into_iter().map(|change| change.make(platform))).await;
    }
}
