//! The memory that instances share, so that a repeat at another instance gets the same answer and no second write.
//!
//! There is a note for each event: first that an instance writes it, then what Kafka has acknowledged. A note changes
//! only from a known state to the next, so of several instances one writes. If that one dies, its note lapses, and a
//! repeat writes.
//!
//! If the shared memory fails, each instance goes on with its own. That is counted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use causeway_protocol::subject::Subject;
use prometheus::IntCounter;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::{
    InboundLimits,
    attempt::{Place, Progress},
    record::Said,
};

/// The first wait before a note of another instance is read again. Each further one doubles.
const FIRST_POLL: Duration = Duration::from_millis(10);

/// The longest of these waits.
const MAX_POLL: Duration = Duration::from_millis(200);

/// The maximum number of events whose notes are being looked up. Each is in memory, and not in a queue yet.
const MAX_CLAIMS: usize = 1024;

/// How long a failing memory is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Names a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteKey<'a> {
    /// Who said it.
    pub subject: &'a Subject,
    /// Where.
    pub channel: &'a str,
    /// The event's id.
    pub id: &'a str,
}

/// What came of replacing a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The note was as expected and is replaced.
    Done,
    /// There is another note, or none.
    Found(Option<String>),
}

/// A memory of short notes that instances share.
#[async_trait]
pub trait SharedNotes: Send + Sync + 'static {
    /// Replaces a note by `new` if it is `expected`; `None` means that there is no note. The new note lapses after
    /// `keep`. Atomic.
    ///
    /// # Errors
    /// The reason, for the log.
    async fn replace(
        &self,
        key: NoteKey<'_>,
        expected: Option<&str>,
        new: Option<&str>,
        keep: Duration,
    ) -> Result<Replaced, String>;
}

/// A note.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The event's fingerprint, in hexadecimal digits.
    fingerprint: String,
    /// A random name for the instance's attempt, while it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    /// Partition and offset of the inbound record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inbound: Option<(i32, i64)>,
    /// Whether the echo is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    echoed: bool,
}

impl Note {
    fn new(said: &Said, progress: Progress, writer: Option<String>) -> Self {
        let inbound = progress.inbound.map(|place| (place.partition, place.offset));
        Self { fingerprint: format!("{:032x}", said.fingerprint), writer, inbound, echoed: progress.echoed }
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn progress(&self) -> Progress {
        let inbound = self.inbound.map(|(partition, offset)| Place { partition, offset });
        Progress { inbound, echoed: self.echoed }
    }
}

/// Who writes an event.
pub(super) enum Claim {
    /// This instance. It writes what is missing.
    Here {
        /// What another instance has written.
        known: Progress,
        /// The note that says so.
        note: String,
    },
    /// Nobody, since another instance has written it.
    Written(Progress),
    /// Nobody, since another event has the id.
    Reused,
    /// Another instance, which has not finished in time.
    Elsewhere,
}

/// This instance's access to the shared memory.
pub(super) struct Sharing {
    failures: IntCounter,
    limits: InboundLimits,
    paused_until: Mutex<Option<Instant>>,
    claims: Arc<Semaphore>,
    notes: Box<dyn SharedNotes>,
}

impl Sharing {
    pub(super) fn new(notes: Box<dyn SharedNotes>, limits: InboundLimits, failures: IntCounter) -> Self {
        Self { failures, limits, paused_until: Mutex::default(), claims: Arc::new(Semaphore::new(MAX_CLAIMS)), notes }
    }

    /// Room for one more claim. It is held until the event is queued or rejected.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.claims).try_acquire_owned().ok()
    }

    /// Finds out who writes an event. Waits until the deadline for an instance that does.
    pub(super) async fn claim(&self, said: &Said, mut known: Progress, with_echo: bool, deadline: Instant) -> Claim {
        let writer = format!("{:032x}", fastrand::u128(..));
        let mut expected = None;
        let mut wait = FIRST_POLL;
        loop {
            let mine = Note::new(said, known, Some(writer.clone()));
            let text = mine.text();
            let replaced = self.replace(said, expected.as_deref(), Some(&text), self.limits.lease()).await;
            let found = match replaced {
                // Without the memory, this instance may write.
                None | Some(Replaced::Done) => return Claim::Here { known, note: text },
                Some(Replaced::Found(found)) => found,
            };
            expected = None;
            if let Some(found) = found {
                let Ok(note) = serde_json::from_str::<Note>(&found) else {
                    self.fail("a note can't be read");
                    return Claim::Here { known, note: text };
                };
                if note.fingerprint != mine.fingerprint {
                    return Claim::Reused;
                }
                if note.writer.is_none() {
                    known = known.or(note.progress());
                    if known.complete(with_echo).is_some() {
                        return Claim::Written(known);
                    }
                    expected = Some(found);
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

    /// Tells the other instances what was written. `note` is the one of the claim.
    pub(super) async fn publish(&self, said: &Said, note: &str, progress: Progress) {
        let next = (!progress.is_empty()).then(|| Note::new(said, progress, None).text());
        let keep = self.limits.remembered_for;
        let replaced = self.replace(said, Some(note), next.as_deref(), keep).await;
        // The memory failed at the claim and works again, or lost the note.
        if replaced == Some(Replaced::Found(None)) && next.is_some() {
            self.replace(said, None, next.as_deref(), keep).await;
        }
    }

    /// Returns `None` if the memory fails.
    async fn replace(
        &self,
        said: &Said,
        expected: Option<&str>,
        new: Option<&str>,
        keep: Duration,
    ) -> Option<Replaced> {
        if self.is_paused() {
            self.failures.inc();
            return None;
        }
        let event = &said.event;
        let key = NoteKey { subject: &event.subject, channel: &event.channel, id: &event.id };
        match timeout(self.limits.sharing_timeout, self.notes.replace(key, expected, new, keep)).await {
            Ok(Ok(replaced)) => return Some(replaced),
            Ok(Err(error)) => self.fail(&error),
            Err(_) => self.fail("no answer in time"),
        }
        None
    }

    fn fail(&self, error: &str) {
        tracing::warn!(error, "repeats at other instances are not recognised for now");
        self.failures.inc();
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }

    fn is_paused(&self) -> bool {
        let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}
