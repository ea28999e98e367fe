//! The metrics behind `/metrics`, in Prometheus' text format. Labels are topics, partitions and fixed words, so the
//! number of series does not grow with the number of users.

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

/// All metrics of a bridge.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Responses to `POST /v1/events`, by status.
    pub events: IntCounterVec,
    /// Seconds from an event's arrival to Kafka's acknowledgement.
    pub ack_seconds: Histogram,
    /// Events that were forgotten early, because too many were remembered.
    pub events_forgotten: IntCounter,
    /// Calls to the memory of events that instances share which failed or were not made after a failure.
    pub events_unshared: IntCounter,
    /// Records delivered, by topic.
    pub delivered: IntCounterVec,
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
    /// How many times another instance took a partition that this one read.
    pub stale_partitions: IntCounter,
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
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let by = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).and_then(|metric| register(&registry, metric))
        };
        let gauge = |name: &str, help: &str| {
            IntGaugeVec::new(Opts::new(name, help), &["topic", "partition"])
                .and_then(|metric| register(&registry, metric))
        };
        let number = |name: &str, help: &str| IntGauge::new(name, help).and_then(|metric| register(&registry, metric));
        let count = |name: &str, help: &str| IntCounter::new(name, help).and_then(|metric| register(&registry, metric));
        let seconds = |name: &str, help: &str, buckets: Vec<f64>| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
                .and_then(|metric| register(&registry, metric))
        };
        let stored_buckets =
            vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
        let ack_buckets = vec![0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        Ok(Self {
            events: by("causeway_events_total", "Responses to POST /v1/events.", &["status"])?,
            ack_seconds: seconds(
                "causeway_event_ack_seconds",
                "From an event's arrival to Kafka's acknowledgement.",
                ack_buckets,
            )?,
            events_forgotten: count(
                "causeway_events_forgotten_total",
                "Events forgotten within ten minutes, because too many were remembered. Repeats are written again.",
            )?,
            events_unshared: count(
                "causeway_events_unshared_total",
                "Failed calls to the memory of events that instances share. A repeat at another instance may be written again.",
            )?,
            delivered: by(
                "causeway_records_delivered_total",
                "Records made durable in their users' buffers.",
                &["topic"],
            )?,
            delivery_failures: by(
                "causeway_delivery_failures_total",
                "Deliveries that failed and are retried.",
                &["reason"],
            )?,
            stored_seconds: seconds(
                "causeway_record_stored_seconds",
                "From a record's Kafka timestamp until it is stored in the user's buffer.",
                stored_buckets,
            )?,
            user_deliveries: by(
                "causeway_user_deliveries_total",
                "Users' parts of delivery requests, by what became of them.",
                &["outcome"],
            )?,
            waiting_users: number("causeway_waiting_users", "Users with items that wait or are in flight.")?,
            parked_users: number(
                "causeway_parked_users",
                "Users whose records were given up, and who have received nothing since.",
            )?,
            deliveries_in_flight: number("causeway_deliveries_in_flight", "Delivery requests in flight.")?,
            checkpoints: count("causeway_checkpoints_total", "Checkpoints written.")?,
            stale_partitions: count(
                "causeway_stale_partitions_total",
                "How many times another instance took a partition that this one read.",
            )?,
            backlog: gauge("causeway_backlog_records", "Records fetched and not yet delivered.")?,
            backlog_bytes: gauge(
                "causeway_backlog_bytes",
                "Bytes of records fetched and not yet delivered, and of dead letters not yet written.",
            )?,
            lag: gauge("causeway_lag_records", "Records in Kafka beyond the checkpoint.")?,
            refusing: number(
                "causeway_edge_refuses_records",
                "1 while records wait because the edge refuses one after another.",
            )?,
            dead_letters: by(
                "causeway_dead_letters_total",
                "Records given up instead of being delivered, and normally written to a dead-letter topic.",
                &["topic", "reason"],
            )?,
            lost_to_retention: by(
                "causeway_lost_to_retention_total",
                "Offsets that retention removed before they were delivered.",
                &["topic", "partition"],
            )?,
            truncated: by(
                "causeway_truncated_total",
                "Offsets by which the end of a partition moved back.",
                &["topic", "partition"],
            )?,
            undecodable: by(
                "causeway_undecodable_total",
                "Offsets that can't be decoded, without transaction markers.",
                &["topic", "partition"],
            )?,
            streams: number("causeway_streams", "Streams being served.")?,
            stream_requests: by("causeway_streams_asked_total", "Responses to GET /v1/stream.", &["status"])?,
            replay_requests: by("causeway_replays_asked_total", "Responses to GET /v1/replay.", &["status"])?,
            stream_resets: by(
                "causeway_stream_resets_total",
                "Resets sent to streams, which report a possible gap.",
                &["reason"],
            )?,
            subscription_breaks: count(
                "causeway_subscription_breaks_total",
                "Interruptions of the Redis subscription that wakes streams.",
            )?,
            registry,
        })
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

fn register<T: Collector + Clone + 'static>(registry: &Registry, metric: T) -> Result<T, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
