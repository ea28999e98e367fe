//! Records that the streams have, and the storage not yet.
//!
//! A commit costs far more than a record. So a user who gets records in quick succession has one for all within
//! [`HOLD`](causeway_protocol::buffer::HOLD). Held records are numbered and known as if they were stored, and all of one
//! source. They are stored before anything is read from the buffer. The bridge keeps them until it hears that they are
//! stored.

use super::{batch::Batch, contents::Contents, doubt::Doubt};
use crate::stream::sql_buffer::{Database, SqlBuffer};

/// The most bytes of held rows, give or take a batch.
const MAX_BYTES: usize = 64 * 1024;

/// Held records.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// As the buffer stores them: a list in JSON that is not closed yet.
    rows: String,
    /// When the first one arrived.
    pub(super) since_ms: u64,
    source: Option<i64>,
    /// What is in doubt if they can't be stored.
    doubt: Option<Doubt>,
    is_sent: bool,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MAX_BYTES
    }

    /// Whether a batch may be held or stored together with them.
    pub(super) fn continues_with(&self, batch: &Batch<'_>) -> bool {
        self.is_empty() || (batch.source().is_some() && batch.source() == self.source)
    }

    /// Adds a batch, which is not noted in the contents yet.
    pub(super) fn add(&mut self, batch: &Batch<'_>, at_ms: u64) {
        if self.is_empty() {
            self.since_ms = at_ms;
            self.source = batch.source();
        }
        for row in batch.rows() {
            self.rows.push(if self.rows.is_empty() { '[' } else { ',' });
            self.rows.push_str(&serde_json::to_string(&row).unwrap_or_default());
        }
    }

    /// Notes that a batch of their source was sent or not. It is not noted in the contents yet.
    pub(super) fn note_sent(&mut self, batch: &Batch<'_>, contents: &Contents, is_sent: bool) {
        self.is_sent |= is_sent;
        let Some(of_batch) = batch.doubt(contents) else { return };
        self.doubt = Some(match self.doubt.take() {
            Some(doubt) => Doubt { to: of_batch.to, ..doubt },
            None => of_batch,
        });
    }

    /// Stores them.
    pub(super) fn store<D: Database>(&self, buffer: &SqlBuffer<D>) -> Result<(), D::Error> {
        if self.is_empty() { Ok(()) } else { buffer.insert_json(&format!("{}]", self.rows), self.since_ms) }
    }

    /// What is in doubt if they are not stored.
    pub(super) fn into_doubt(self) -> Option<Doubt> {
        self.doubt.filter(|_| self.is_sent)
    }
}
