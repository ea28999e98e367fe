//! The memory that instances share, as one instance uses it: for a limited time, and not for a while after it failed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus::IntCounter;
use tokio::time::{Instant, timeout};

use super::{
    InboundLimits,
    note::{NoteChange, Replaced, SharedNotes},
};

/// How long a failing memory is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// The memory that instances share. A change that it does not make is counted.
pub(super) struct SharedMemory {
    notes: Box<dyn SharedNotes>,
    limits: InboundLimits,
    failures: IntCounter,
    paused_until: Mutex<Option<Instant>>,
}

impl SharedMemory {
    pub(super) fn new(notes: Box<dyn SharedNotes>, limits: InboundLimits, failures: IntCounter) -> Self {
        Self { notes, limits, failures, paused_until: Mutex::default() }
    }

    /// Makes a change while an event waits. Returns `None` if the memory fails.
    pub(super) async fn claim(&self, change: &NoteChange) -> Option<Replaced> {
        self.limited(1, self.notes.claim(change, self.limits.lease())).await
    }

    /// Makes lasting changes. Returns `None` if the memory fails.
    pub(super) async fn publish(&self, changes: &[NoteChange]) -> Option<Vec<Replaced>> {
        self.limited(changes.len(), self.notes.publish(changes, self.limits.remembered_for)).await
    }

    /// Notes that the memory failed, or does not hold what it should.
    pub(super) fn fail(&self, changes: usize, error: &str) {
        tracing::warn!(error, "repeats at other instances are not recognised for now");
        self.count(changes);
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }

    async fn limited<T>(&self, changes: usize, work: impl Future<Output = Result<T, String>>) -> Option<T> {
        if self.is_paused() {
            self.count(changes);
            return None;
        }
        match timeout(self.limits.sharing_timeout, work).await {
            Ok(Ok(result)) => return Some(result),
            Ok(Err(error)) => self.fail(changes, &error),
            Err(_) => self.fail(changes, "no answer in time"),
        }
        None
    }

    /// Counts changes that are not made.
    pub(super) fn count(&self, changes: usize) {
        self.failures.inc_by(changes.try_into().unwrap_or(u64::MAX));
    }

    fn is_paused(&self) -> bool {
        let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}
