//! Copies in the key-value store, which no answer waits for. A copy saves time and decides nothing, so a request queues what
//! it changes in the store, and the change is made after the answer.
//!
//! If the isolate ends before that, or changes of two requests overtake each other, the store lacks a copy or has an older
//! one, as a stale store does anyway. Every reader checks a copy: a session's against the coordinator's generation, other
//! copies by their age.

use std::time::Duration;

use futures_util::future::join_all;

pub(crate) use super::copy_queue::CopyChange;
use super::{clock::within, copy_queue::CopyQueue, dependency::Dependency, platform::Platform};

/// How long the store may take for a change.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

impl CopyChange {
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

/// Makes the changes that a request has queued.
pub(crate) async fn make_all(platform: &impl Platform, queue: &CopyQueue) {
    join_all(queue.take().into_iter().map(|change| change.make(platform))).await;
}
