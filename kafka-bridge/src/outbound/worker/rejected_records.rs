//! Decides whether a record that the sink rejects when it is sent alone is retried or dead-lettered.
//!
//! A single rejected record is at fault itself if the sink accepts others. But if the sink rejects one record after
//! another, edge and bridge probably have different versions. Dead-lettering them would then move the whole topic into
//! the dead-letter topic. Hence these rules:
//!
//! - No record is dead-lettered before the sink has accepted another.
//! - After three rejections in a row, delivery waits and then retries all of them. Each time it tries one record more,
//!   so that it eventually gets past a long run of poison records.
//! - Once the sink accepts a record, those it rejected before are retried one last time. The sink may have been
//!   replaced.
//! - A record is never sent again after a later record of its user was accepted: the user's buffer would skip it as a
//!   repeat.

use std::{collections::BTreeSet, time::Duration};

use causeway_protocol::{deliver::Delivery, subject::Subject};
use tokio::time::Instant;

use crate::{backoff::Backoff, outbound::decode::AddressedRecord};

/// This many rejections in a row suggest that the fault is not in the records.
const SUSPICIOUS_RUN: usize = 3;

/// The maximum number of records that are tried in a row. It limits how many are held in memory.
const MAX_RUN: usize = 64;

/// A rejected record, and the status it was rejected with.
pub(super) struct RejectedRecord {
    pub(super) addressed: AddressedRecord,
    pub(super) status: u16,
}

impl RejectedRecord {
    fn offset(&self) -> i64 {
        self.addressed.record.cursor.offset
    }
}

/// The rejected records of one partition. No I/O, and `now` is passed in.
pub(super) struct RejectedRecords {
    /// In offset order.
    records: Vec<RejectedRecord>,
    /// Offsets that are retried for the last time.
    final_retries: BTreeSet<i64>,
    limit: usize,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

impl RejectedRecords {
    pub(super) fn new() -> Self {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        Self { records: Vec::new(), final_retries: BTreeSet::new(), limit: SUSPICIOUS_RUN, backoff, retry_at: None }
    }

    /// Adds a record that was rejected when sent alone. Returns it if it must be dead-lettered.
    pub(super) fn add(&mut self, now: Instant, rejected: RejectedRecord) -> Option<RejectedRecord> {
        if self.final_retries.remove(&rejected.offset()) {
            return Some(rejected);
        }
        self.records.push(rejected);
        if self.records.len() == 1 || self.are_too_many() {
            self.retry_at = Some(now + self.backoff.next_wait());
        }
        None
    }

    /// Whether the fault is probably the sink's. Nothing may then be sent before [`RejectedRecords::retry_at`].
    #[must_use]
    pub(super) fn are_too_many(&self) -> bool {
        self.records.len() >= self.limit
    }

    #[must_use]
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// The checkpoint must not move beyond it.
    #[must_use]
    pub(super) fn first_offset(&self) -> Option<i64> {
        self.records.first().map(RejectedRecord::offset)
    }

    /// Removes and returns the records to retry now, in offset order.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<AddressedRecord> {
        if self.retry_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        if self.are_too_many() {
            self.limit = (self.limit + 1).min(MAX_RUN);
        }
        self.retry_at = None;
        self.records.drain(..).map(|rejected| rejected.addressed).collect()
    }

    /// The sink accepted records. Returns the records to dead-letter, and those to retry for the last time.
    pub(super) fn on_accepted(&mut self, accepted: &[Delivery]) -> (Vec<RejectedRecord>, Vec<AddressedRecord>) {
        for record in accepted.iter().flat_map(|delivery| &delivery.records) {
            self.final_retries.remove(&record.cursor.offset);
        }
        self.limit = SUSPICIOUS_RUN;
        self.backoff.reset();
        self.retry_at = None;
        let has_later = |subject: &Subject| accepted.iter().any(|delivery| delivery.subject == *subject);
        let (dead, retries): (Vec<_>, Vec<_>) =
            self.records.drain(..).partition(|rejected| has_later(&rejected.addressed.subject));
        self.final_retries.extend(retries.iter().map(RejectedRecord::offset));
        (dead, retries.into_iter().map(|rejected| rejected.addressed).collect())
    }

    /// Removes records before an offset, which another instance has delivered or dead-lettered.
    pub(super) fn drop_before(&mut self, offset: i64) {
        self.records.retain(|rejected| rejected.offset() >= offset);
        self.final_retries.retain(|at| *at >= offset);
    }
}
