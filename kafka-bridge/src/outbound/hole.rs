//! Offsets of a partition that nobody receives, whoever they were for.
//!
//! Every user of the partition may have missed something, and who they are is not known. So a hole is noted beside the
//! checkpoint before that moves past it, and each user gets it as a gap in their buffer at the next occasion: before
//! their next record of the partition, or when they open a stream with a position before it. A gap is recognised by its
//! position as a record is, so it may be appended any number of times.

use std::{
    collections::HashSet,
    ops::Range,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use causeway_protocol::{
    checkpoint::{CheckpointRequest, Hole, Operation},
    deliver::WIRE_VERSION,
    hub::ResetReason,
    subject::Subject,
};

use super::{Shared, partition::Partition, sink::SinkError};
use crate::{clock::unix_seconds, metrics::Metrics};

/// How long users hear of a hole with their next record. A user who is new after that does not hear of it.
const TOLD_FOR: Duration = Duration::from_hours(7 * 24);

/// The maximum number of users who are known to have heard of a hole. If there are more, some get the gap again, which
/// their buffers skip.
const MAX_TOLD: usize = 20_000;

/// The last hole of a partition that is read, and who was told of it.
#[derive(Debug, Default)]
pub(super) struct LastHole(Mutex<Option<Telling>>);

#[derive(Debug)]
struct Telling {
    hole: Hole,
    told: HashSet<Subject>,
}

impl LastHole {
    /// The hole that was noted when the partition was claimed, if any.
    pub(super) fn new(hole: Option<Hole>) -> Self {
        Self(Mutex::new(hole.map(Telling::new)))
    }

    /// From now on users hear of this hole. Called after everything before it was handed over.
    pub(super) fn set(&self, hole: Hole) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Telling::new(hole));
    }

    /// The hole that a user must hear of before a record with this offset. They are then told.
    pub(super) fn before(&self, subject: &Subject, epoch: u32, offset: i64) -> Option<Hole> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Telling { hole, told } = last.as_mut()?;
        let is_before = hole.epoch == epoch && hole.last_offset < offset;
        let is_recent = unix_seconds().saturating_sub(hole.noticed_at) < TOLD_FOR.as_secs();
        if !is_before || !is_recent || told.contains(subject) {
            return None;
        }
        if told.len() >= MAX_TOLD {
            told.clear();
        }
        told.insert(subject.clone());
        Some(*hole)
    }
}

impl Telling {
    fn new(hole: Hole) -> Self {
        Self { hole, told: HashSet::new() }
    }
}

/// The hole that ends before an offset.
pub(super) fn before(epoch: u32, end: i64, reason: ResetReason) -> Hole {
    Hole { epoch, last_offset: end.saturating_sub(1), reason, noticed_at: unix_seconds() }
}

/// Notes a hole of a partition that is read, so that it outlives this process.
pub(super) async fn note(shared: &Shared, partition: &Partition, hole: Hole) -> Result<(), SinkError> {
    let request = CheckpointRequest {
        version: WIRE_VERSION,
        channel: partition.source.channel.clone(),
        topic: partition.topic.clone(),
        partition: partition.source.partition,
        operation: Operation::Note(hole),
    };
    shared.sink.checkpoint(&request).await.map(|_| ())
}

/// Logs and counts a hole.
pub(super) fn report(metrics: &Metrics, topic: &str, partition: i32, offsets: Range<i64>, reason: ResetReason) {
    let count = offsets.end.saturating_sub(offsets.start);
    if count <= 0 {
        return;
    }
    let number = partition.to_string();
    let labels = [topic, number.as_str()];
    let (counter, what) = match reason {
        ResetReason::Retention => {
            (&metrics.loss.lost_to_retention, "retention removed records before they were delivered")
        }
        ResetReason::Truncated => {
            (&metrics.loss.truncated, "the end of the partition moved back: records that were delivered are gone")
        }
        _ => (&metrics.loss.undecodable, "offsets can't be decoded"),
    };
    counter.with_label_values(&labels).inc_by(count.unsigned_abs());
    tracing::error!(
        topic,
        partition,
        from = offsets.start,
        to = offsets.end,
        count,
        reason = reason.as_str(),
        "{what}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_hears_once_of_a_recent_hole_and_only_before_a_later_record() {
        let user = |id: &str| Subject::new("t", id).unwrap();
        let hole = before(1, 8, ResetReason::Retention);
        let last = LastHole::new(Some(hole));
        assert_eq!(last.before(&user("a"), 1, 7), None, "the record is before it");
        assert_eq!(last.before(&user("a"), 2, 9), None, "another epoch");
        assert_eq!(last.before(&user("a"), 1, 8), Some(hole));
        assert_eq!(last.before(&user("a"), 1, 9), None);
        assert_eq!(last.before(&user("b"), 1, 9), Some(hole));
        let later = before(1, 20, ResetReason::Undeliverable);
        last.set(later);
        assert_eq!(last.before(&user("a"), 1, 20), Some(later));
        last.set(Hole { noticed_at: 0, ..later });
        assert_eq!(last.before(&user("a"), 1, 20), None, "long ago");
    }
}
