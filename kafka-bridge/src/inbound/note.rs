//! The notes by which instances recognise an event that another one writes or has written, and the memory that keeps
//! them.

use std::time::Duration;

use async_trait::async_trait;
use causeway_protocol::subject::Subject;
use serde::{Deserialize, Serialize};

use super::{
    attempt::{Place, Progress},
    record::Said,
};

/// Names a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    /// Who said it.
    pub subject: Subject,
    /// Where.
    pub channel: String,
    /// The event's id.
    pub id: String,
}

/// A note to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteChange {
    /// Its name.
    pub key: NoteKey,
    /// What it must be; `None` means that there is no note.
    pub expected: Option<String>,
    /// What it becomes; `None` removes it.
    pub new: Option<String>,
}

/// What came of replacing a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The note was as expected and is replaced.
    Done,
    /// There is another note, or none.
    Found(Option<String>),
}

/// A memory of short notes that instances share. Each change is atomic.
#[async_trait]
pub trait SharedNotes: Send + Sync + 'static {
    /// Makes a change that need not outlive a restart of the memory: an event waits for it. The new note lapses after
    /// `keep`.
    ///
    /// # Errors
    /// The reason, for the log.
    async fn claim(&self, change: &NoteChange, keep: Duration) -> Result<Replaced, String>;

    /// Makes changes that outlive a restart of the memory. The new notes lapse after `keep`. Returns a result for each.
    ///
    /// # Errors
    /// The reason, for the log. Some of the changes may be made.
    async fn publish(&self, changes: &[NoteChange], keep: Duration) -> Result<Vec<Replaced>, String>;
}

/// A note.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// The event's fingerprint, in hexadecimal digits.
    pub(super) fingerprint: String,
    /// A random name for the instance's attempt, while it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) writer: Option<String>,
    /// Partition and offset of the inbound record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inbound: Option<(i32, i64)>,
    /// Whether the echo is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    echoed: bool,
}

impl Note {
    pub(super) fn new(said: &Said, progress: Progress, writer: Option<String>) -> Self {
        let inbound = progress.inbound.map(|place| (place.partition, place.offset));
        Self { fingerprint: format!("{:032x}", said.fingerprint), writer, inbound, echoed: progress.echoed }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn progress(&self) -> Progress {
        let inbound = self.inbound.map(|(partition, offset)| Place { partition, offset });
        Progress { inbound, echoed: self.echoed }
    }
}
