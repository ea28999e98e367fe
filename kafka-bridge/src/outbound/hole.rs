//! Offsets of a partition that nobody receives, whoever they were for. Each is logged and counted with its reason.
//!
//! This is the one place where such a hole is reported, so it is where a gap for every user of the partition belongs.

use std::ops::Range;

use causeway_protocol::hub::ResetReason;

use crate::metrics::Metrics;

/// Reports a hole.
pub(super) fn report(metrics: &Metrics, topic: &str, partition: i32, offsets: Range<i64>, reason: ResetReason) {
    let count = offsets.end.saturating_sub(offsets.start);
    if count <= 0 {
        return;
    }
    let number = partition.to_string();
    let labels = [topic, number.as_str()];
    let (counter, what) = match reason {
        ResetReason::Retention => (&metrics.lost_to_retention, "retention removed records before they were delivered"),
        ResetReason::Truncated => {
            (&metrics.truncated, "the end of the partition moved back: records that were delivered are gone")
        }
        _ => (&metrics.undecodable, "offsets can't be decoded"),
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
