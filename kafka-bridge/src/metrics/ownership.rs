//! Which partitions this instance reads.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

use super::family::{Families, Made};

/// Which partitions this instance reads.
#[derive(Debug)]
pub struct OwnershipMetrics {
    /// Partitions that this instance reads, by topic.
    pub partitions: IntGaugeVec,
    /// Partitions that a topic has.
    pub topic_partitions: IntGaugeVec,
    /// How many times another instance took a partition that this one read.
    pub stale_partitions: IntCounter,
    /// How many times a topic's partitions were planned anew, after reading it ended or could not begin.
    pub replans: IntCounterVec,
    /// How many times the whole delivery was started again after a task of it failed.
    pub delivery_restarts: IntCounter,
}

impl OwnershipMetrics {
    pub(super) fn new(make: &Families<'_>) -> Made<Self> {
        Ok(Self {
            partitions: make.gauges("causeway_partitions", "Partitions that this instance reads.", &["topic"])?,
            topic_partitions: make.gauges("causeway_topic_partitions", "Partitions that the topic has.", &["topic"])?,
            stale_partitions: make.counter(
                "causeway_stale_partitions_total",
                "How many times another instance took a partition that this one read.",
            )?,
            replans: make.counters(
                "causeway_replans_total",
                "How many times reading a topic ended, or could not begin, and all of its partitions were planned anew.",
                &["topic"],
            )?,
            delivery_restarts: make.counter(
                "causeway_delivery_restarts_total",
                "How many times a task of the delivery failed and all of them were started again.",
            )?,
        })
    }
}
