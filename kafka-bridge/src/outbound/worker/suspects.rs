//! Records that the sink refused although each was sent alone.
//!
//! One such record is its own fault if the sink takes others. But where one after another is refused, edge and bridge
//! are more likely of different versions, and burying would empty the topic into the dead letters. So nothing is buried
//! before the sink took something; after three in a row delivery waits, and all are tried again, each time with one
//! more, so that a long run of bad records is passed in the end. When the sink took something, those it had refused are
//! tried once more before they are buried: it may be another sink by now.
//!
//! A record is never sent again after a later one of its user was taken: the user's buffer would take it for a repeat.

use std::{collections::BTreeSet, time::Duration};

use causeway_protocol::{deliver::Delivery, subject::Subject};
use tokio::time::Instant;

use crate::{backoff::Backoff, outbound::decode::Addressed};

/// This many in a row are no coincidence.
const IN_A_ROW: usize = 3;

/// Most that are tried in a row; bounds what is held.
const MAX_IN_A_ROW: usize = 64;

/// A refused record, and with which status.
pub(super) struct Suspect {
    pub(super) addressed: Addressed,
    pub(super) status: u16,
}

/// See the module's text. No I/O, and `now` is passed in.
pub(super) struct Suspects {
    refused: Vec<Suspect>,
    /// Offsets that are tried for the last time.
    last_try: BTreeSet<i64>,
    limit: usize,
    backoff: Backoff,
    try_again_at: Option<Instant>,
}

impl Suspects {
    pub(super) fn new() -> Self {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        Self { refused: Vec::new(), last_try: BTreeSet::new(), limit: IN_A_ROW, backoff, try_again_at: None }
    }

    /// Another record was refused alone; returns it if it is dead.
    pub(super) fn add(&mut self, now: Instant, suspect: Suspect) -> Option<Suspect> {
        if self.last_try.remove(&suspect.addressed.record.cursor.offset) {
            return Some(suspect);
        }
        self.refused.push(suspect);
        if self.refused.len() == 1 || self.are_too_many() {
            self.try_again_at = Some(now + self.backoff.next_wait());
        }
        None
    }

    /// Whether the fault is more likely the sink's: nothing else must be tried before [`Suspects::try_again_at`].
    #[must_use]
    pub(super) fn are_too_many(&self) -> bool {
        self.refused.len() >= self.limit
    }

    #[must_use]
    pub(super) fn try_again_at(&self) -> Option<Instant> {
        self.try_again_at
    }

    /// Before it the checkpoint waits.
    #[must_use]
    pub(super) fn first_offset(&self) -> Option<i64> {
        self.refused.first().map(|suspect| suspect.addressed.record.cursor.offset)
    }

    /// Those to be tried again now, in offset order.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Addressed> {
        if self.try_again_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        if self.are_too_many() {
            self.limit = (self.limit + 1).min(MAX_IN_A_ROW);
        }
        self.try_again_at = None;
        self.refused.drain(..).map(|suspect| suspect.addressed).collect()
    }

    /// The sink took records. Returns those that are dead, and those to be tried for the last time.
    pub(super) fn others_taken(&mut self, taken: &[Delivery]) -> (Vec<Suspect>, Vec<Addressed>) {
        for record in taken.iter().flat_map(|delivery| &delivery.records) {
            self.last_try.remove(&record.cursor.offset);
        }
        self.limit = IN_A_ROW;
        self.backoff.reset();
        self.try_again_at = None;
        let has_later = |subject: &Subject| taken.iter().any(|delivery| delivery.subject == *subject);
        let (dead, again): (Vec<_>, Vec<_>) =
            self.refused.drain(..).partition(|suspect| has_later(&suspect.addressed.subject));
        let again: Vec<_> = again.into_iter().map(|suspect| suspect.addressed).collect();
        self.last_try.extend(again.iter().map(|addressed| addressed.record.cursor.offset));
        (dead, again)
    }

    /// Removes what lies before an offset: another instance is through with it.
    pub(super) fn forget_before(&mut self, offset: i64) {
        self.refused.retain(|suspect| suspect.addressed.record.cursor.offset >= offset);
        self.last_try.retain(|at| *at >= offset);
    }
}
