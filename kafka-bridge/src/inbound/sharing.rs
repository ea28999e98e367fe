//! What instances share, so that a repeat at another instance gets the same answer and no second write.
//!
//! There is a note for each event: first that an instance writes it, then what Kafka has acknowledged. A note changes
//! only from a known state to the next, so of several instances one writes. If that one dies, its note lapses, and a
//! repeat writes.
//!
//! If the shared memory fails, each instance goes on with its own. That is counted.

use std::{sync::Arc, time::Duration};

use prometheus::IntCounter;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::{
    InboundLimits,
    attempt::Progress,
    note::{Note, NoteChange, NoteKey, Replaced, SharedNotes},
    publisher::Publisher,
    record::Said,
    shared_memory::SharedMemory,
};

/// The first wait before a note of another instance is read again. Each further one doubles.
const FIRST_POLL: Duration = Duration::from_millis(10);

/// The longest of these waits.
const MAX_POLL: Duration = Duration::from_millis(200);

/// The maximum number of events whose notes are being looked up. Each is in memory, and not in a queue yet.
const MAX_CLAIMS: usize = 1024;

/// Who writes an event.
pub(super) enum Claim {
    /// This instance. It writes what is missing.
    Here {
        /// What another instance has written.
        known: Progress,
        /// The note that says so.
        claimed: Claimed,
    },
    /// Nobody, since another instance has written it.
    Written(Progress),
    /// Nobody, since another event has the id.
    Reused,
    /// Another instance, which has not finished in time.
    Elsewhere,
}

/// The note that this instance writes an event.
pub(super) struct Claimed {
    key: NoteKey,
    text: String,
}

/// This instance's access to the shared memory.
pub(super) struct Sharing {
    memory: Arc<SharedMemory>,
    publisher: Arc<Publisher>,
    claims: Arc<Semaphore>,
}

impl Sharing {
    pub(super) fn new(
        notes: Box<dyn SharedNotes>,
        limits: InboundLimits,
        failures: IntCounter,
        tasks: TaskTracker,
    ) -> Self {
        let memory = Arc::new(SharedMemory::new(notes, limits, failures));
        let publisher = Arc::new(Publisher::new(Arc::clone(&memory), tasks));
        Self { memory, publisher, claims: Arc::new(Semaphore::new(MAX_CLAIMS)) }
    }

    /// Room for one more claim. It is held until the event is queued or rejected.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.claims).try_acquire_owned().ok()
    }

    /// Finds out who writes an event. Waits until the deadline for an instance that does.
    pub(super) async fn claim(&self, said: &Said, mut known: Progress, with_echo: bool, deadline: Instant) -> Claim {
        let event = &said.event;
        let key = NoteKey { subject: event.subject.clone(), channel: event.channel.clone(), id: event.id.clone() };
        let writer = format!("{:032x}", fastrand::u128(..));
        let mut change = NoteChange { key, expected: None, new: None };
        let mut wait = FIRST_POLL;
        loop {
            let mine = Note::new(said, known, Some(writer.clone()));
            let text = mine.text();
            change.new = Some(text.clone());
            let found = match self.memory.claim(&change).await {
                // Without the memory, this instance may write.
                None | Some(Replaced::Done) => {
                    return Claim::Here { known, claimed: Claimed { key: change.key, text } };
                }
                Some(Replaced::Found(found)) => found,
            };
            change.expected = None;
            if let Some(found) = found {
                let Ok(note) = serde_json::from_str::<Note>(&found) else {
                    self.memory.fail(1, "a note can't be read");
                    return Claim::Here { known, claimed: Claimed { key: change.key, text } };
                };
                if note.fingerprint != mine.fingerprint {
                    return Claim::Reused;
                }
                if note.writer.is_none() {
                    known = known.or(note.progress());
                    if known.complete(with_echo).is_some() {
                        return Claim::Written(known);
                    }
                    change.expected = Some(found);
                    continue;
                }
            }
            if Instant::now() + wait >= deadline {
                return Claim::Elsewhere;
            }
            sleep(wait).await;
            wait = (wait * 2).min(MAX_POLL);
        }
    }

    /// Tells the other instances soon what was written.
    pub(super) fn publish(&self, said: &Said, claimed: Claimed, progress: Progress) {
        let new = (!progress.is_empty()).then(|| Note::new(said, progress, None).text());
        self.publisher.add(NoteChange { key: claimed.key, expected: Some(claimed.text), new });
    }
}
