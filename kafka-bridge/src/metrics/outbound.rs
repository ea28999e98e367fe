//! What users hear, on its way to their buffers.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::family::{Families, Made, PARTITION, Takes};

/// Why deliveries fail, as the sinks name it.
const DELIVERY_FAILURES: [&str; 9] = [
    "bad_answer",
    "bad_value",
    "checkpoint_lost",
    "refused",
    "status",
    "timeout",
    "unauthorized",
    "unreachable",
    "version",
];

/// What users hear, on its way to their buffers.
#[derive(Debug)]
pub struct OutboundMetrics {
    /// Failed fetches, by topic.
    pub fetch_failures: IntCounterVec,
    /// Records delivered, by topic.
    pub delivered: IntCounterVec,
    /// Seconds of a delivery request.
    pub delivery_seconds: Histogram,
    /// Failed deliveries, by reason.
    pub delivery_failures: IntCounterVec,
    /// Seconds from the time at which Kafka got a record until it is stored in the user's buffer.
    pub stored_seconds: Histogram,
    /// What became of users' parts of delivery requests, by outcome.
    pub user_deliveries: IntCounterVec,
    /// Users with items that wait or are in flight.
    pub waiting_users: IntGauge,
    /// Users whose records were given up, and who have received nothing since.
    pub parked_users: IntGauge,
    /// Delivery requests in flight.
    pub deliveries_in_flight: IntGauge,
    /// Checkpoints written.
    pub checkpoints: IntCounter,
    /// Records fetched and not yet delivered, by topic and partition.
    pub backlog: IntGaugeVec,
    /// Their bytes, and those of dead letters that are not written, by topic and partition.
    pub backlog_bytes: IntGaugeVec,
    /// Records in Kafka beyond the checkpoint, by topic and partition.
    pub lag: IntGaugeVec,
    /// 1 while items wait because the edge refuses one after another.
    pub refusing: IntGauge,
}

impl OutboundMetrics {
    pub(super) fn new(make: &Families<'_>) -> Made<Self> {
        Ok(Self {
            fetch_failures: make.counters(
                "causeway_fetch_failures_total",
                "Fetches from Kafka that failed and are repeated.",
                &["topic"],
            )?,
            delivered: make.counters(
                "causeway_records_delivered_total",
                "Records made durable in their users' buffers.",
                &["topic"],
            )?,
            delivery_seconds: make.seconds(
                "causeway_delivery_seconds",
                "One delivery request to the edge or to Redis, whatever its outcome.",
                Takes::Milliseconds,
            )?,
            delivery_failures: make.counters_of(
                "causeway_delivery_failures_total",
                "Deliveries that failed and are retried.",
                "reason",
                &DELIVERY_FAILURES,
            )?,
            stored_seconds: make.seconds(
                "causeway_record_stored_seconds",
                "From a record's Kafka timestamp until it is stored in the user's buffer.",
                Takes::Minutes,
            )?,
            user_deliveries: make.counters_of(
                "causeway_user_deliveries_total",
                "Users' parts of delivery requests, by what became of them.",
                "outcome",
                &["stored", "held", "missing", "refused", "later", "stale"],
            )?,
            waiting_users: make.gauge("causeway_waiting_users", "Users with items that wait or are in flight.")?,
            parked_users: make.gauge(
                "causeway_parked_users",
                "Users whose records were given up, and who have received nothing since.",
            )?,
            deliveries_in_flight: make.gauge("causeway_deliveries_in_flight", "Delivery requests in flight.")?,
            checkpoints: make.counter("causeway_checkpoints_total", "Checkpoints written.")?,
            backlog: make.gauges("causeway_backlog_records", "Records fetched and not yet delivered.", &PARTITION)?,
            backlog_bytes: make.gauges(
                "causeway_backlog_bytes",
                "Bytes of records fetched and not yet delivered, and of dead letters not yet written.",
                &PARTITION,
            )?,
            lag: make.gauges("causeway_lag_records", "Records in Kafka beyond the checkpoint.", &PARTITION)?,
            refusing: make.gauge(
                "causeway_edge_refuses_records",
                "1 while records wait because the edge refuses one after another.",
            )?,
        })
    }
}
