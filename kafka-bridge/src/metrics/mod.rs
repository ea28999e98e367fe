//! The metrics behind `/metrics`, in Prometheus' text format. docs/metrics.md lists them, and a test compares the two.
//!
//! - [`family`]: makes metrics and registers them.
//!
//! Labels are topics, partitions and fixed words, so the number of series does not grow with the number of users.

mod family;

use causeway_protocol::hub::ResetReason;
use prometheus::{
    Encoder as _, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use self::family::{Families, Takes};
use crate::health::{Report, State};

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

/// Why writes to Kafka fail.
const PRODUCE_FAILURES: [&str; 6] = ["rejected", "timeout", "too_large", "unavailable", "undecodable", "unknown_topic"];

/// The reasons of gaps in users' buffers.
const GAPS: [ResetReason; 4] =
    [ResetReason::Parked, ResetReason::Retention, ResetReason::Truncated, ResetReason::Undeliverable];

/// The reasons of resets that a stream of the bridge is told.
const RESETS: [ResetReason; 7] = [
    ResetReason::BadCursor,
    ResetReason::OutOfBuffer,
    ResetReason::TooSlow,
    ResetReason::Retention,
    ResetReason::Truncated,
    ResetReason::Undeliverable,
    ResetReason::Parked,
];

/// All metrics of a bridge.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    build: IntGaugeVec,
    dependencies: IntGaugeVec,
    other_version: IntGauge,
    /// Responses to `POST /v1/events`, by status.
    pub events: IntCounterVec,
    /// Seconds from an event's arrival to Kafka's acknowledgement.
    pub ack_seconds: Histogram,
    /// Events that were forgotten early, because too many were remembered.
    pub events_forgotten: IntCounter,
    /// Calls to the memory of events that instances share which failed or were not made after a failure.
    pub events_unshared: IntCounter,
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
    /// Kafka clients that were discarded after a failure.
    pub kafka_rebuilds: IntCounter,
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
    /// Claims of partitions for which not all dead letters of parked users could be read.
    pub incomplete_parked_reads: IntCounter,
    /// Delivery requests in flight.
    pub deliveries_in_flight: IntGauge,
    /// Gaps on their way to users' buffers, by reason.
    pub gaps: IntCounterVec,
    /// Checkpoints written.
    pub checkpoints: IntCounter,
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
    /// Records fetched and not yet delivered, by topic and partition.
    pub backlog: IntGaugeVec,
    /// Their bytes, and those of dead letters that are not written, by topic and partition.
    pub backlog_bytes: IntGaugeVec,
    /// Records in Kafka beyond the checkpoint, by topic and partition.
    pub lag: IntGaugeVec,
    /// 1 while items wait because the edge refuses one after another.
    pub refusing: IntGauge,
    /// Dead letters, by topic and reason.
    pub dead_letters: IntCounterVec,
    /// Offsets that retention removed before delivery, by topic and partition.
    pub lost_to_retention: IntCounterVec,
    /// Offsets by which the end of a partition moved back, by topic and partition.
    pub truncated: IntCounterVec,
    /// Offsets that can't be decoded, without transaction markers, by topic and partition.
    pub undecodable: IntCounterVec,
    /// Open streams.
    pub streams: IntGauge,
    /// Responses to `GET /v1/stream`, by status.
    pub stream_requests: IntCounterVec,
    /// Responses to `GET /v1/replay`, by status.
    pub replay_requests: IntCounterVec,
    /// Resets sent to streams, by reason.
    pub stream_resets: IntCounterVec,
    /// Interruptions of the Redis subscription.
    pub subscription_breaks: IntCounter,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// If two metrics have the same name.
    #[expect(clippy::too_many_lines, reason = "one entry a metric")]
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Families(&registry);
        let of_partition = ["topic", "partition"];
        Ok(Self {
            build: make.gauges("causeway_build_info", "1; the label is the version.", &["version"])?,
            dependencies: make.gauges(
                "causeway_dependency_up",
                "1 if the last call to the dependency succeeded, as in /readyz.",
                &["dependency"],
            )?,
            other_version: make.gauge(
                "causeway_edge_other_version",
                "1 while edge and bridge speak different versions of their contract.",
            )?,
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
                &of_partition,
            )?,
            produce_queue_bytes: make.gauges(
                "causeway_produce_queue_bytes",
                "Bytes of records that wait to be written to Kafka or are being written.",
                &of_partition,
            )?,
            kafka_rebuilds: make.counter(
                "causeway_kafka_rebuilds_total",
                "Kafka clients discarded after a failure. The next call builds a new one.",
            )?,
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
            incomplete_parked_reads: make.counter(
                "causeway_incomplete_parked_reads_total",
                "Partitions claimed without all dead letters of parked users. Some of those may hear of no gap.",
            )?,
            deliveries_in_flight: make.gauge("causeway_deliveries_in_flight", "Delivery requests in flight.")?,
            gaps: make.counters_of(
                "causeway_gaps_total",
                "Gaps on their way to users' buffers. Each is told to its user as a reset.",
                "reason",
                &GAPS.map(ResetReason::as_str),
            )?,
            checkpoints: make.counter("causeway_checkpoints_total", "Checkpoints written.")?,
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
            backlog: make.gauges("causeway_backlog_records", "Records fetched and not yet delivered.", &of_partition)?,
            backlog_bytes: make.gauges(
                "causeway_backlog_bytes",
                "Bytes of records fetched and not yet delivered, and of dead letters not yet written.",
                &of_partition,
            )?,
            lag: make.gauges("causeway_lag_records", "Records in Kafka beyond the checkpoint.", &of_partition)?,
            refusing: make.gauge(
                "causeway_edge_refuses_records",
                "1 while records wait because the edge refuses one after another.",
            )?,
            dead_letters: make.counters(
                "causeway_dead_letters_total",
                "Records given up instead of being delivered, and normally written to a dead-letter topic.",
                &["topic", "reason"],
            )?,
            lost_to_retention: make.counters(
                "causeway_lost_to_retention_total",
                "Offsets that retention removed before they were delivered.",
                &of_partition,
            )?,
            truncated: make.counters(
                "causeway_truncated_total",
                "Offsets by which the end of a partition moved back.",
                &of_partition,
            )?,
            undecodable: make.counters(
                "causeway_undecodable_total",
                "Offsets that can't be decoded, without transaction markers.",
                &of_partition,
            )?,
            streams: make.gauge("causeway_streams", "Streams being served.")?,
            stream_requests: make.counters_of(
                "causeway_streams_asked_total",
                "Responses to GET /v1/stream.",
                "status",
                &["200", "503"],
            )?,
            replay_requests: make.counters_of(
                "causeway_replays_asked_total",
                "Responses to GET /v1/replay.",
                "status",
                &["200", "503"],
            )?,
            stream_resets: make.counters_of(
                "causeway_stream_resets_total",
                "Resets sent to streams, which report a possible gap.",
                "reason",
                &RESETS.map(ResetReason::as_str),
            )?,
            subscription_breaks: make.counter(
                "causeway_subscription_breaks_total",
                "Interruptions of the Redis subscription that wakes streams.",
            )?,
            registry,
        })
    }

    /// Sets what is known only when it is asked for.
    pub fn observe(&self, report: &Report) {
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let states = [("kafka", Some(report.kafka)), ("edge", report.edge), ("redis", report.redis)];
        for (name, state) in states {
            if let Some(state) = state {
                self.dependencies.with_label_values(&[name]).set(i64::from(state == State::Ok));
            }
        }
        self.other_version.set(i64::from(report.is_other_version));
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics can't be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}
