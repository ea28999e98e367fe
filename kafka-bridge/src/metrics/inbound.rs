//! What users say, on its way to Kafka.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec};

use super::family::{Families, Made, PARTITION, Takes};

/// Why writes to Kafka fail.
const PRODUCE_FAILURES: [&str; 6] = ["rejected", "timeout", "too_large", "unavailable", "undecodable", "unknown_topic"];

/// What users say, on its way to Kafka.
#[derive(Debug)]
pub struct InboundMetrics {
    /// Responses to `POST /v1/events`, by status.
    pub events: IntCounterVec,
    /// Seconds from an event's arrival to Kafka's acknowledgement.
    pub ack_seconds: Histogram,
    /// Events that were forgotten early, because too many were remembered.
    pub events_forgotten: IntCounter,
    /// Calls to the memory of events that instances share which failed or were not made after a failure.
    pub events_unshared: IntCounter,
    /// Searches of Kafka for repeats, by outcome.
    pub repeat_searches: IntCounterVec,
    /// Seconds of a write of a batch to Kafka, by topic.
    pub produce_seconds: HistogramVec,
    /// Records written to Kafka, by topic.
    pub produced: IntCounterVec,
    /// Failed writes of batches, by reason.
    pub produce_failures: IntCounterVec,
    /// Records that wait to be written or are being written, by topic and partition.
    pub produce_queue: IntGaugeVec,
    /// Their bytes, by topic and partition.
    pub produce_queue_bytes: IntGaugeVec,
}

impl InboundMetrics {
    pub(super) fn new(make: &Families<'_>) -> Made<Self> {
        Ok(Self {
            events: make.counters_of(
                "causeway_events_total",
                "Responses to POST /v1/events.",
                "status",
                &["202", "503"],
            )?,
            ack_seconds: make.seconds(
                "causeway_event_ack_seconds",
                "From an event's arrival to Kafka's acknowledgement.",
                Takes::Milliseconds,
            )?,
            events_forgotten: make.counter(
                "causeway_events_forgotten_total",
                "Events forgotten within ten minutes, because too many were remembered. Repeats are written again.",
            )?,
            events_unshared: make.counter(
                "causeway_events_unshared_total",
                "Failed calls to the memory of events that instances share, or searches of Kafka for repeats. A repeat at another instance may be written again.",
            )?,
            repeat_searches: make.counters_of(
                "causeway_repeat_searches_total",
                "Repeats that this instance did not know and looked for in Kafka, by what it found.",
                "outcome",
                &["found", "not_found", "other_event", "failed", "later", "refused"],
            )?,
            produce_seconds: make.seconds_by(
                "causeway_produce_seconds",
                "One write of a batch to Kafka, until it is acknowledged or fails.",
                Takes::Milliseconds,
                &["topic"],
            )?,
            produced: make.counters("causeway_produced_records_total", "Records written to Kafka.", &["topic"])?,
            produce_failures: make.counters_of(
                "causeway_produce_failures_total",
                "Writes of batches to Kafka that failed.",
                "reason",
                &PRODUCE_FAILURES,
            )?,
            produce_queue: make.gauges(
                "causeway_produce_queue_records",
                "Records that wait to be written to Kafka or are being written.",
                &PARTITION,
            )?,
            produce_queue_bytes: make.gauges(
                "causeway_produce_queue_bytes",
                "Bytes of records that wait to be written to Kafka or are being written.",
                &PARTITION,
            )?,
        })
    }
}
