//! What is lost or given up.

use causeway_protocol::hub::ResetReason;
use prometheus::{IntCounter, IntCounterVec};

use super::family::{Families, Made, PARTITION};

/// The reasons of gaps in users' buffers.
const GAPS: [ResetReason; 4] =
    [ResetReason::Parked, ResetReason::Retention, ResetReason::Truncated, ResetReason::Undeliverable];

/// What is lost or given up.
#[derive(Debug)]
pub struct LossMetrics {
    /// Gaps on their way to users' buffers, by reason.
    pub gaps: IntCounterVec,
    /// Dead letters, by topic and reason.
    pub dead_letters: IntCounterVec,
    /// Claims of partitions for which not all dead letters of parked users could be read.
    pub incomplete_parked_reads: IntCounter,
    /// Offsets that retention removed before delivery, by topic and partition.
    pub lost_to_retention: IntCounterVec,
    /// Offsets by which the end of a partition moved back, by topic and partition.
    pub truncated: IntCounterVec,
    /// Offsets that can't be decoded, without transaction markers, by topic and partition.
    pub undecodable: IntCounterVec,
}

impl LossMetrics {
    pub(super) fn new(make: &Families<'_>) -> Made<Self> {
        Ok(Self {
            gaps: make.counters_of(
                "causeway_gaps_total",
                "Gaps on their way to users' buffers. Each is told to its user as a reset.",
                "reason",
                &GAPS.map(ResetReason::as_str),
            )?,
            dead_letters: make.counters(
                "causeway_dead_letters_total",
                "Records given up instead of being delivered, and normally written to a dead-letter topic.",
                &["topic", "reason"],
            )?,
            incomplete_parked_reads: make.counter(
                "causeway_incomplete_parked_reads_total",
                "Partitions claimed without all dead letters of parked users. Some of those may hear of no gap.",
            )?,
            lost_to_retention: make.counters(
                "causeway_lost_to_retention_total",
                "Offsets that retention removed before they were delivered.",
                &PARTITION,
            )?,
            truncated: make.counters(
                "causeway_truncated_total",
                "Offsets by which the end of a partition moved back.",
                &PARTITION,
            )?,
            undecodable: make.counters(
                "causeway_undecodable_total",
                "Offsets that can't be decoded, without transaction markers.",
                &PARTITION,
            )?,
        })
    }
}
