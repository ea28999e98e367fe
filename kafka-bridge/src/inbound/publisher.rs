//! Tells the other instances what was written: not event by event, but all that was written within a moment at once.
//! So a Redis that puts each change on its disk before it goes on has one write for many events, and the claims of
//! other events seldom wait for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::{
    note::{NoteChange, Replaced},
    shared_memory::SharedMemory,
};

/// How long changes gather. An instance that gets a repeat meanwhile waits; one that dies meanwhile has told nobody
/// what it wrote, as if it had died a moment earlier.
const GATHER: Duration = Duration::from_millis(10);

/// The maximum number of changes in one call.
const MAX_CALL: usize = 256;

/// The maximum number of changes that wait. Further ones are not made, which is counted.
const MAX_WAITING: usize = 8192;

/// Publishes what was written.
pub(super) struct Publisher {
    memory: Arc<SharedMemory>,
    waiting: Mutex<Waiting>,
    /// Those that a drain waits for.
    tasks: TaskTracker,
}

#[derive(Default)]
struct Waiting {
    changes: Vec<NoteChange>,
    /// Whether a task is there that makes them.
    is_running: bool,
}

impl Publisher {
    pub(super) fn new(memory: Arc<SharedMemory>, tasks: TaskTracker) -> Self {
        Self { memory, waiting: Mutex::default(), tasks }
    }

    /// Makes a change soon.
    pub(super) fn add(self: &Arc<Self>, change: NoteChange) {
        let mut waiting = self.waiting();
        if waiting.changes.len() >= MAX_WAITING {
            drop(waiting);
            return self.memory.count(1);
        }
        waiting.changes.push(change);
        if !waiting.is_running {
            waiting.is_running = true;
            drop(waiting);
            let this = Arc::clone(self);
            self.tasks.spawn(async move { this.run().await });
        }
    }

    /// Ends when nothing waits.
    async fn run(&self) {
        loop {
            sleep(GATHER).await;
            let changes = {
                let mut waiting = self.waiting();
                if waiting.changes.is_empty() {
                    waiting.is_running = false;
                    return;
                }
                std::mem::take(&mut waiting.changes)
            };
            for call in changes.chunks(MAX_CALL) {
                self.publish(call).await;
            }
        }
    }

    async fn publish(&self, changes: &[NoteChange]) {
        let Some(replaced) = self.memory.publish(changes).await else { return };
        // The memory failed at the claim and works again, or lost the note.
        let is_lost = |replaced: &Replaced| *replaced == Replaced::Found(None);
        let lost = changes.iter().zip(&replaced).filter(|(change, replaced)| change.new.is_some() && is_lost(replaced));
        let lost: Vec<_> = lost.map(|(change, _)| NoteChange { expected: None, ..change.clone() }).collect();
        if !lost.is_empty() {
            self.memory.publish(&lost).await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use async_trait::async_trait;
    use causeway_protocol::subject::Subject;
    use prometheus::IntCounter;

    use super::*;
    use crate::inbound::{InboundLimits, NoteKey, SharedNotes};

    /// Takes a while for each call.
    #[derive(Default)]
    struct SlowNotes(Arc<Mutex<Vec<usize>>>);

    #[async_trait]
    impl SharedNotes for SlowNotes {
        async fn claim(&self, _: &NoteChange, _: Duration) -> Result<Replaced, String> {
            Ok(Replaced::Done)
        }

        async fn publish(&self, changes: &[NoteChange], _: Duration) -> Result<Vec<Replaced>, String> {
            sleep(Duration::from_millis(200)).await;
            self.0.lock().unwrap().push(changes.len());
            Ok(vec![Replaced::Done; changes.len()])
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_memory_gets_calls_of_limited_size_and_what_is_too_much_is_counted() {
        let calls = Arc::default();
        let failures = IntCounter::new("failures", "failures").unwrap();
        let notes = Box::new(SlowNotes(Arc::clone(&calls)));
        let memory = Arc::new(SharedMemory::new(notes, InboundLimits::default(), failures.clone()));
        let tasks = TaskTracker::new();
        let publisher = Arc::new(Publisher::new(memory, tasks.clone()));
        let key = NoteKey { subject: Subject::parse("t:u").unwrap(), channel: "chat".to_owned(), id: "e".to_owned() };
        let change = NoteChange { key, expected: None, new: None };
        for _ in 0..MAX_WAITING + 3 {
            publisher.add(change.clone());
        }
        assert_eq!(failures.get(), 3);
        tasks.close();
        tasks.wait().await;
        let calls = calls.lock().unwrap().clone();
        assert!(calls.iter().all(|size| *size <= MAX_CALL), "{calls:?}");
        assert_eq!((calls.iter().sum::<usize>(), failures.get()), (MAX_WAITING, 3), "a drain waits for them");
    }
}
